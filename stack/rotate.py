"""`make rotate`: a new password, key or certificate in the place of one, and everything that uses it told."""

from __future__ import annotations

import os

from stack.errors import StackError
from stack.installation import SECRETS, VENVS, Installation, write_private
from stack.lifecycle import console, start
from stack.services.airflow import airflow_environment
from stack.services.process import check_call
from stack.supervisor import Supervisor

CERTIFICATE = "OPENSEARCH_CERTIFICATE"
# Why one cannot be rotated while the stack runs, and what to do.
_OTHERWISE = {
    "POSTGRES_PASSWORD": "the superuser's own: ALTER ROLE postgres PASSWORD '…' first, then write it into secrets.env",
    "OPENSEARCH_ADMIN_PASSWORD": "a reserved user: it changes with OpenSearch's securityadmin tool",
    "SUPERSET_SECRET_KEY": "it encrypts passwords in Superset's database: see `superset re-encrypt-secrets`",
    "BACKUP_IDENTITY": "older back-ups can be read with this one alone",
    "GRAFANA_ADMIN_PASSWORD": "only containers have a Grafana",
}
ROTATABLE = (*(name for name in SECRETS if name not in _OTHERWISE), CERTIFICATE)


def rotate(stack: Installation, names: list[str]) -> None:
    """Make new ones and bring the stack up with them; what is not named stays.

    Raises:
        StackError: there is no such secret, or it cannot be rotated this way; nothing was changed.
    """
    for name in names:
        if name not in ROTATABLE:
            known = f"{name} is not rotated this way: {_OTHERWISE[name]}" if name in _OTHERWISE else f"there is no {name}"
            raise StackError(f"{known}; these are: {', '.join(ROTATABLE)}")
    if not stack.secrets_file.exists():
        raise StackError(f"there is no installation in {stack.state} yet: `make up`")
    old = dict(stack.secrets)
    if CERTIFICATE in names:
        (stack.etc / "opensearch" / "node.pem").unlink(missing_ok=True)
        # No setting changes with it, so nothing would restart by itself.
        supervisor = Supervisor(stack)
        if supervisor.running:
            there = supervisor.states()
            supervisor.stop_together([name for name in ("opensearch", "opensearch_exporter", "log_counter") if name in there])
    if any(name.startswith("SUPERSET_") for name in names):
        (stack.data / "superset" / ".provisioned").unlink(missing_ok=True)
    write_private(stack.secrets_file, "".join(f"{name}={value}\n" for name, value in old.items() if name not in names))
    fresh = Installation(stack.state, stack.port_offset, stack.repo)
    if "AIRFLOW_FERNET_KEY" in names:
        # With both keys Airflow reads what the old one encrypted, and writes it with the new one.
        both = f"{fresh.secrets['AIRFLOW_FERNET_KEY']},{old['AIRFLOW_FERNET_KEY']}"
        environment = {**os.environ, **airflow_environment(stack), "AIRFLOW__CORE__FERNET_KEY": both}
        check_call([VENVS / "airflow" / "bin" / "airflow", "rotate-fernet-key"], env=environment, log=stack.logs / "airflow-provision.log")
    start(fresh)
    console.print(f"  rotated: {', '.join(names)}; keep the new {stack.secrets_file} in your password store")
