"""The Prometheus Pushgateway, on Airflow's connection type `http`; an installation may do without it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from lakehouse_provider.hooks.extras import base_url, read_extras

if TYPE_CHECKING:
    from lakehouse.metrics import Figure

log = logging.getLogger(__name__)


class PushgatewayHook(BaseHook):
    """Gives the figures of a task to Prometheus, and never fails the task.

    Args:
        conn_id: connection of type `http`, which need not exist; login and password where the gateway asks for them, extras
            `public_url` and `ca_certs` (path of the authority's certificate).
    """

    conn_name_attr = "conn_id"
    default_conn_name = "lakehouse_pushgateway"
    conn_type = "http"
    hook_name = "Prometheus Pushgateway"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def push(self, job: str, grouping: Mapping[str, str], figures: Sequence[Figure]) -> bool:
        """Replace the group's figures, see `lakehouse.metrics.push`; returns whether the gateway took them."""
        from lakehouse.metrics import push

        try:
            connection = self.get_connection(self.conn_id)
            verify: bool | str = read_extras(connection, ca_certs=None)["ca_certs"] or True
        except AirflowNotFoundException:
            log.debug("there is no connection %s, so the figures of %s go nowhere", self.conn_id, job)
            return False
        except Exception as error:  # noqa: BLE001  # a wrong connection must not undo the work that the figures tell of
            log.warning("the figures of %s go nowhere: %s", job, error)
            return False
        auth = (connection.login, connection.password or "") if connection.login else None
        return push(base_url(connection, "http"), job, grouping, figures, auth=auth, verify=verify)
