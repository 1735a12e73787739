"""The incidents' PostgreSQL, on Airflow's connection type `postgres`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from lakehouse.incidents.store import IncidentStore

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5


class IncidentsHook(BaseHook):
    """Opens the store of incidents.

    Args:
        conn_id: connection of type `postgres`, whose role owns its database.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_ops"
    conn_type = "postgres"
    hook_name = "Incidents"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    @contextmanager
    def store(self) -> Iterator[IncidentStore]:
        """The store, for as long as the block lasts; PostgreSQL has five seconds to answer, and five for each statement.

        Raises:
            TransientError: PostgreSQL does not answer.
            ServiceError: it refuses the user or a statement.
            ConfigurationError: the connection has extras that its driver does not know.
        """
        import psycopg

        from lakehouse.exceptions import ConfigurationError, ServiceError, TransientError
        from lakehouse.incidents.store import IncidentStore

        found = self.get_connection(self.conn_id)
        where = f"PostgreSQL {found.host}:{found.port}/{found.schema}"
        settings = {
            "host": found.host,
            "port": found.port or 5432,
            "dbname": found.schema,
            "user": found.login,
            "password": found.password,
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c timezone=UTC",
        } | found.extra_dejson
        try:
            connection = psycopg.connect(**settings)
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or "does not exist" in str(error):
                raise ServiceError(f"{where} refuses {found.login}: {error}: mend connection {self.conn_id}", target=where) from error
            raise TransientError(f"{where} does not answer: {error}: is it running?") from error
        except psycopg.Error as error:
            raise ConfigurationError(f"connection {self.conn_id} cannot be used: {error}: its extras go to PostgreSQL's driver") from error
        try:
            with connection:
                yield IncidentStore(connection)
        except psycopg.OperationalError as error:
            raise TransientError(f"{where} went away: {error}") from error
        except psycopg.Error as error:
            raise ServiceError(f"{where} refuses a statement: {error}", target=where) from error
