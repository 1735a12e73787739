"""PostgreSQL: metadata of Airflow, Superset and the Hive metastore, open incidents."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg2

from stack.installation import HOST, Installation, postgres_binaries, write_private
from stack.services.process import SERVICE_USER, as_service_user, check_call, own_by_service_user
from stack.services.service import Service


def postgres(stack: Installation) -> Service:
    """One cluster with a database and an owner for each of its users."""
    binaries = postgres_binaries()
    data = stack.data / "postgres"

    def prepare() -> None:
        owned = own_by_service_user(data)
        if not (data / "PG_VERSION").exists():
            initdb: list[str | Path] = [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-A",
                "scram-sha-256",
            ]
            password = stack.data / "postgres-password"
            write_private(password, stack.secrets["POSTGRES_PASSWORD"])
            if owned:
                shutil.chown(password, SERVICE_USER)
            try:
                check_call([*as_service_user(stack), *initdb, f"--pwfile={password}"])
            finally:
                password.unlink()
        for name in ("postgresql.conf", "pg_hba.conf"):
            shutil.copyfile(stack.etc / "postgres" / name, data / name)
            if owned:
                shutil.chown(data / name, SERVICE_USER)

    def setup() -> None:
        databases = {"airflow": "AIRFLOW", "superset": "SUPERSET", "lakehouse_ops": "OPS"}
        databases |= {"metastore": "METASTORE"} if stack.catalog == "hive" else {}
        for database, secret in databases.items():
            with connection(stack) as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (database,))
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(f'{verb} ROLE "{database}" LOGIN PASSWORD %s', (stack.secrets[f"POSTGRES_{secret}_PASSWORD"],))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                if not cursor.fetchone():
                    cursor.execute(f'CREATE DATABASE "{database}" OWNER "{database}"')
        with connection(stack) as cursor:
            for role in ("metrics", "backup"):
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                password = stack.secrets[f"POSTGRES_{role.upper()}_PASSWORD"]
                cursor.execute(f"{verb} ROLE {role} LOGIN CONNECTION LIMIT 5 PASSWORD %s", (password,))
            # Sizes and counts of every database, no rows. What it reads of Airflow's is granted by config/airflow/provision.py.
            cursor.execute("GRANT pg_monitor TO metrics")
            cursor.execute("GRANT pg_read_all_data TO backup")

    def ready() -> bool:
        with connection(stack) as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone() == (1,)

    return Service(
        "postgres",
        "PostgreSQL",
        [str(binaries / "postgres"), "-D", str(data)],
        ready=ready,
        ports=("postgres",),
        refuses_root=True,
        prepare=prepare,
        setup=setup,
    )


class connection:  # noqa: N801  # reads like a function where it is used
    """A cursor of the superuser's, each statement on its own (CREATE DATABASE refuses a transaction)."""

    def __init__(self, stack: Installation, database: str = "postgres") -> None:
        password = stack.secrets["POSTGRES_PASSWORD"]
        self.connection = psycopg2.connect(
            host=HOST, port=stack.ports["postgres"], user="postgres", password=password, dbname=database, connect_timeout=3
        )
        self.connection.autocommit = True

    def __enter__(self) -> psycopg2.extensions.cursor:
        return self.connection.cursor()

    def __exit__(self, *exc: object) -> None:
        self.connection.close()
