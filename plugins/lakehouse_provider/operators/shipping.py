"""A table's rows to OpenSearch, counted: planned once, shipped in parts by any number of workers, reconciled at one end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.opensearch import LakehouseOpenSearchHook
from lakehouse_provider.hooks.pushgateway import PushgatewayHook
from lakehouse_provider.links import REFUSED_URL, RefusedLink, ResultLink, operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyiceberg.catalog import Catalog

    from lakehouse.contracts import Contract
    from lakehouse.opensearch.client import OpenSearchClient
    from lakehouse.opensearch.shipment import Part, Shipment
    from lakehouse.opensearch.target import Target


class _ShippingOperator(LakehouseOperator):
    """What the three have in common: the table's contract, the target, the connections.

    Args:
        contract: file of the source table's contract; its primary key gives the documents' ids, its retention the event times that are
            taken.
        target: indices, event time and opened columns.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        contract: Path,
        target: Target,
        catalog_conn_id: str = "lakehouse_catalog",
        opensearch_conn_id: str = "lakehouse_opensearch",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.target = contract, target
        self.catalog_conn_id, self.opensearch_conn_id = catalog_conn_id, opensearch_conn_id

    @cached_property
    def engine(self) -> tuple[Catalog, OpenSearchClient, Contract, Target]:
        """Catalog, client, contract and target, as every step of a shipment takes them; opened once."""
        from lakehouse.contracts import load

        catalog = LakehouseCatalogHook(self.catalog_conn_id).catalog
        return catalog, LakehouseOpenSearchHook(self.opensearch_conn_id).client, load(Path(self.contract)), self.target


class PlanShipmentOperator(_ShippingOperator):
    """Says what is to be shipped, in parts for `IcebergToOpenSearchOperator.expand(part=…)`.

    Args:
        resync: "no" ships what is new; "dry run" looks for every row of the present snapshot by its id and sends nothing; "send" sends
            them all again, and documents that are there stay as they are.
        from_day, to_day: limit a resync to event days (UTC, both included); the cursor then stays where it is.
        max_rows, max_bytes: about how large a part is.
    """

    template_fields: Sequence[str] = ("resync", "from_day", "to_day")

    def __init__(
        self,
        *,
        resync: str = "no",
        from_day: str = "",
        to_day: str = "",
        max_rows: int = 1_000_000,
        max_bytes: int = 256 << 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resync, self.from_day, self.to_day = resync, from_day, to_day
        self.max_rows, self.max_bytes = max_rows, max_bytes

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """Returns the parts as plain data."""
        return [asdict(part) for part in self.plan()]

    def plan(self) -> list[Part]:
        """The parts."""
        from lakehouse.exceptions import ConfigurationError
        from lakehouse.opensearch.ship import plan

        if self.resync not in ("no", "dry run", "send"):
            raise ConfigurationError(f"resync is {self.resync!r}: it can be no, dry run or send")
        return plan(
            *self.engine,
            resync=None if self.resync == "no" else self.resync,  # type: ignore[arg-type]  # looked at above
            from_day=_day("from_day", self.from_day),
            to_day=_day("to_day", self.to_day),
            max_rows=self.max_rows,
            max_bytes=self.max_bytes,
        )


class ReconcileShipmentOperator(_ShippingOperator):
    """Adds up what the parts did, reads the indices back, moves the cursor, tells asset and Prometheus.

    Fails when more was refused than the contract allows; the rest is safe then.

    Args:
        planned: the parts from `PlanShipmentOperator`.
        counts: what `IcebergToOpenSearchOperator` returned for each.
        superset_conn_id: its address leads to the board of what was refused.
    """

    template_fields: Sequence[str] = ("planned", "counts")
    operator_extra_links = (ResultLink(), RefusedLink())

    def __init__(self, *, planned: Any, counts: Any, superset_conn_id: str = "lakehouse_superset", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned, self.counts, self.superset_conn_id = planned, counts, superset_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts of the shipment."""
        from lakehouse.opensearch.ship import finish
        from lakehouse.opensearch.shipment import Counts, Part

        parts = [Part(**part) for part in self.planned or ()]
        shipment = finish(*self.engine, parts, [Counts(**counts) for counts in self.counts or ()])
        return conclude(self, context, shipment)


class IcebergToOpenSearchOperator(PlanShipmentOperator):
    """Ships a table's rows to daily indices, every row counted; see `lakehouse.opensearch.ship`.

    Alone it does a whole shipment. Between `PlanShipmentOperator` and `ReconcileShipmentOperator` it ships one part.

    Args:
        part: one of the parts that were planned; None for the whole.
    """

    template_fields: Sequence[str] = (*PlanShipmentOperator.template_fields, "part")
    operator_extra_links = (ResultLink(), RefusedLink())

    def __init__(self, *, part: dict[str, Any] | None = None, superset_conn_id: str = "lakehouse_superset", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part, self.superset_conn_id = part, superset_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # type: ignore[override]
        """Returns the counts: of the part, or of the whole shipment."""
        from lakehouse.opensearch.ship import finish, ship_part
        from lakehouse.opensearch.shipment import Part

        if self.part is not None:
            return asdict(ship_part(*self.engine, Part(**self.part)))
        parts = self.plan()
        return conclude(self, context, finish(*self.engine, parts, [ship_part(*self.engine, part) for part in parts]))


def conclude(operator: IcebergToOpenSearchOperator | ReconcileShipmentOperator, context: Context, shipment: Shipment) -> dict[str, Any]:
    """Say what a shipment did, wherever people look, and fail when too much was refused."""
    from lakehouse.exceptions import RefusedThresholdError
    from lakehouse.opensearch.figures import figures, grouping

    facts = shipment.facts() | {"rows": shipment.counts.indexed}
    operator.log.info("%s", shipment)
    operator.describe_outlets(context, facts)
    if shipment.counts.refused:
        operator.log.warning("refused: %s", shipment.counts.why_refused)
    hook = LakehouseOpenSearchHook(operator.opensearch_conn_id)
    if shipment.to_snapshot_id:
        operator.show_result(context, hook.url_of_shipped(shipment.target, shipment.to_snapshot_id))
    if shipment.counts.refused and (url := operations_url(operator.superset_conn_id, shipment.source_table)):
        context["ti"].xcom_push(key=REFUSED_URL, value=url)
    if shipment.kind == "dry run":
        operator.log.warning(
            "dry run, nothing was sent: of %d rows %d have their document, %d have none, %d would be refused; %d documents have no row",
            shipment.rows_read,
            shipment.counts.already_there,
            shipment.counts.missing,
            shipment.counts.refused,
            shipment.without_row or 0,
        )
        return facts
    if shipment.counts.same_id:
        operator.log.warning("%d rows have the id of another row: they share its document", shipment.counts.same_id)
    if shipment.kind is not None:  # A run without news would wipe out what the last shipment said of itself.
        PushgatewayHook().push("lakehouse_shipment", grouping(facts), figures(facts))
    contract = operator.engine[2]
    if shipment.counts.unexpected > contract.refused_threshold * shipment.rows_read:
        raise RefusedThresholdError(
            f"{shipment.counts.unexpected} of {shipment.rows_read} rows were refused, {contract.refused_threshold:.0%} are allowed: "
            f"{shipment.counts.why_refused}. The others are shipped. The refused rows are in ops_db.refused_records: cure the cause, then "
            "trigger redrive_refused"
        )
    return facts


def _day(name: str, text: str | None) -> date | None:
    from lakehouse.exceptions import ConfigurationError

    if not text or text == "None":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"param {name} is {text!r}: write a day as YYYY-MM-DD") from error
