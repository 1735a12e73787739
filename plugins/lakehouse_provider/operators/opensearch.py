"""What must stand in OpenSearch before documents come, and what goes when they are old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.extras import public_url
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.opensearch.target import Target


class EnsureOpenSearchOperator(LakehouseOperator):
    """Brings index templates, deletion policies, roles and users to what a folder says; see `lakehouse.opensearch.ensure`.

    Args:
        folder: `index_templates/*.json`, `ism_policies/*.json`, `security.yaml`.
        password_conn_ids: connections of the users that tasks sign in as; OpenSearch gets their passwords from them.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        folder: Path,
        opensearch_admin_conn_id: str = "lakehouse_opensearch_admin",
        password_conn_ids: Sequence[str] = ("lakehouse_opensearch", "lakehouse_opensearch_retention"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder, self.opensearch_admin_conn_id, self.password_conn_ids = folder, opensearch_admin_conn_id, password_conn_ids

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Returns one entry for each object: kind, name, action, and the fields that differed."""
        from lakehouse.opensearch.ensure import ensure

        hook = LakehouseOpenSearchHook(self.opensearch_admin_conn_id)
        connections = [hook.get_connection(conn_id) for conn_id in self.password_conn_ids]
        passwords = {one.login: one.password for one in connections if one.login and one.password}
        changes = ensure(hook.client, Path(self.folder), passwords=passwords)
        written = [change for change in changes if change.action in ("create", "change")]
        self.log.info("%d objects, %d of them written", len(changes), len(written))
        url = public_url(hook.get_connection(self.opensearch_admin_conn_id))
        self.show_result(context, f"{url}/_cat/templates?v" if url else "")
        return [asdict(change) | {"fields": list(change.fields)} for change in changes]


class DeleteOldIndicesOperator(LakehouseOperator):
    """Deletes daily indices that are older than the contract's retention; see `lakehouse.opensearch.retention`.

    Args:
        contract: file of the source table's contract, which says how long its rows are kept.
        target: the indices.
        max_indices: more than that in one run is taken for a wrong clock, and nothing is deleted.
        only_say: only say what would be deleted.
    """

    template_fields: Sequence[str] = ("max_indices", "only_say")

    def __init__(
        self,
        *,
        contract: Path,
        target: Target,
        max_indices: int | str = 10,
        only_say: bool | str = False,
        opensearch_conn_id: str = "lakehouse_opensearch_retention",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.target, self.max_indices, self.only_say = contract, target, max_indices, only_say
        self.opensearch_conn_id = opensearch_conn_id

    def execute(self, context: Context) -> list[str]:
        """Returns the names of the indices."""
        from lakehouse.contracts import load
        from lakehouse.exceptions import ConfigurationError
        from lakehouse.opensearch.retention import delete_old_indices

        contract = load(Path(self.contract))
        if contract.retention_days is None:
            raise ConfigurationError(f"the contract of {contract.table} has no retention in its slaProperties, so nothing is ever old")
        hook = LakehouseOpenSearchHook(self.opensearch_conn_id)
        indices = delete_old_indices(
            hook.client,
            self.target,
            retention_days=contract.retention_days,
            max_indices=int(self.max_indices),
            dry_run=str(self.only_say) == "True",
        )
        url = public_url(hook.get_connection(self.opensearch_conn_id))
        self.show_result(context, f"{url}/_cat/indices/{self.target.pattern}?v&s=index" if url else "")
        return indices
