"""Airflow's metadata: schema, roles, the admin, connections and pools; run before Airflow starts. Safe to run again."""

import json
import os
from pathlib import Path

from airflow.models.pool import Pool
from airflow.utils import db
from airflow.utils.session import create_session

HERE = Path(__file__).resolve().parent


def import_connections() -> None:
    """Connections of `connections.json` go into the metadata database, encrypted, where the UI lists and tests them."""
    from airflow.models.connection import Connection
    from sqlalchemy import select

    wanted = json.loads((HERE.parent / "connections.json").read_text())
    for absent in os.environ.get("WITHOUT_CONNECTIONS", "").split():
        del wanted[absent]
    with create_session() as session:
        for conn_id, fields in wanted.items():
            extra = json.dumps(fields.pop("extra", {}))
            old = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
            if old is not None:
                session.delete(old)
                session.flush()
            session.add(Connection(conn_id=conn_id, extra=extra, **fields))


def create_pools() -> None:
    """Heavy tasks name a pool, so that they do not starve one another on a small machine."""
    for name, pool in json.loads((HERE / "pools.json").read_text()).items():
        Pool.create_or_update_pool(name, slots=pool["slots"], description=pool["description"], include_deferred=False)


def create_admin() -> None:
    """The FAB user `admin`, with the installation's password."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        password = os.environ["AIRFLOW_ADMIN_PASSWORD"]
        user = manager.find_user("admin")
        if user is None:
            manager.add_user("admin", "Admin", "Lakehouse", "admin@localhost", manager.find_role("Admin"), password=password)
        else:
            manager.reset_password(user.id, password)


def create_roles() -> None:
    """The roles of `roles.json` with exactly their permissions; Viewer may see the plugin's pages in the menu too."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.bulk_sync_roles([{"role": "Viewer", "perms": [("can_read", "Plugins")]}])
        for name, role in json.loads((HERE / "roles.json").read_text()).items():
            like = {(one.action.name, one.resource.name) for one in manager.find_role(role["like"]).permissions}
            wanted = like | {(action, resource) for action, resource in role["add"]}
            manager.bulk_sync_roles([{"role": name, "perms": sorted(wanted)}])
            found = manager.find_role(name)
            for permission in list(found.permissions):
                if (permission.action.name, permission.resource.name) not in wanted:
                    manager.remove_permission_from_role(found, permission)


# What config/exporters/airflow.yaml reads: no column in which a person or a task could have put something.
METRICS = {
    "dag_run": "dag_id, state, start_date, end_date",
    "task_instance": "dag_id, state, end_date, pool, pool_slots",
    "job": "job_type, latest_heartbeat",
    "slot_pool": "pool, slots",
}


def grant_metrics() -> None:
    """Let the role `metrics`, where there is one, read when runs and tasks ended, and how."""
    from sqlalchemy import text

    with create_session() as session:
        if session.execute(text("SELECT 1 FROM pg_roles WHERE rolname = 'metrics'")).scalar():
            for table, columns in METRICS.items():
                session.execute(text(f"GRANT SELECT ({columns}) ON {table} TO metrics"))


if __name__ == "__main__":
    db.upgradedb()
    grant_metrics()
    create_admin()
    create_roles()
    import_connections()
    create_pools()
