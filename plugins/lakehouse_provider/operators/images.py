"""Images: planned once, stored in batches by any number of workers, registered in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_provider.hooks.catalog import LakehouseCatalogHook
from lakehouse_provider.hooks.object_store import ObjectStoreHook
from lakehouse_provider.links import REFUSED_URL, RefusedLink, ResultLink, gallery_url, operations_url
from lakehouse_provider.operators.base import LakehouseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyiceberg.catalog import Catalog

    from lakehouse.contracts import Contract
    from lakehouse.images.register import Registered
    from lakehouse.images.rules import ImageRules
    from lakehouse.images.sources import Batch, Source
    from lakehouse.objects import ObjectStore


class _ImagesOperator(LakehouseOperator):
    """What the three have in common: the table's contract, the rules, the connections.

    Args:
        contract: file of the metadata table's contract.
        rules: file that says which images are taken, see `lakehouse.images.rules`.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self, *, contract: Path, rules: Path, catalog_conn_id: str = "lakehouse_catalog", s3_conn_id: str = "lakehouse_s3", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.contract, self.rules = contract, rules
        self.catalog_conn_id, self.s3_conn_id = catalog_conn_id, s3_conn_id

    @cached_property
    def engine(self) -> tuple[ObjectStore, Catalog, Contract, ImageRules]:
        """Store, catalog, contract and rules, as every step takes them; opened once."""
        from lakehouse.contracts import load
        from lakehouse.images import rules

        catalog = LakehouseCatalogHook(self.catalog_conn_id, self.s3_conn_id).catalog
        return ObjectStoreHook(self.s3_conn_id).store, catalog, load(Path(self.contract)), rules.load(Path(self.rules))


class PlanImagesOperator(_ImagesOperator):
    """Lists the images that are to be taken, in batches for `ImagesToIcebergOperator.expand(batch=…)`.

    Args:
        landing: prefix where images arrive; a folder below it that is named as a tag, and one in it as a source system, decide these.
        manifests: prefix where lists of URLs arrive, CSV or JSON lines.
        folder: a folder of the worker, whose files stay where they are; None for none.
        tag, source_system, licence: what is not said otherwise.
        max_files: how many a run takes; what is beyond waits for the next one.
    """

    template_fields: Sequence[str] = ("landing", "manifests", "folder", "tag", "source_system", "licence", "max_files")

    def __init__(
        self,
        *,
        landing: str,
        manifests: str | None = None,
        folder: str | None = None,
        tag: str,
        source_system: str,
        licence: str | None = None,
        max_files: int | str = 10_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.landing, self.manifests, self.folder = landing, manifests, folder
        self.tag, self.source_system, self.licence, self.max_files = tag, source_system, licence, max_files

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Returns the batches as plain data."""
        batches = self.plan(context)
        self.log.info("%d images in %d batches", sum(batch.files for batch in batches), len(batches))
        return [asdict(batch) | {"started": batch.started.isoformat()} for batch in batches]

    def plan(self, context: Context) -> list[Batch]:
        """The batches, staged."""
        from lakehouse.images.sources import plan

        return plan(self.engine[0], run_name(context), datetime.now(UTC), self.sources(), max_files=int(self.max_files))

    def sources(self) -> Iterator[Source]:
        """What there is."""
        from lakehouse.images.sources import Labels, in_folder, in_manifests, landed

        labels = Labels(self.tag, self.source_system, self.licence or None)
        store = self.engine[0]
        if self.landing:
            yield from landed(store, self.landing, labels)
        if self.manifests:
            yield from in_manifests(store, self.manifests, labels)
        if self.folder:
            yield from in_folder(Path(self.folder), labels)


class RegisterImagesOperator(_ImagesOperator):
    """Registers in one commit what the batches stored, clears the landing prefix, adds up, and tells the asset.

    Fails when more was refused than the contract allows; the good ones are registered then.

    Args:
        planned: the batches from `PlanImagesOperator`.
        outcomes: what `ImagesToIcebergOperator` returned for each.
        superset_conn_id: its address leads to the board of what was refused.
        gallery_conn_id: its address leads to the images.
    """

    template_fields: Sequence[str] = ("planned", "outcomes")
    operator_extra_links = (ResultLink(), RefusedLink())

    def __init__(
        self,
        *,
        planned: Any,
        outcomes: Any,
        superset_conn_id: str = "lakehouse_superset",
        gallery_conn_id: str = "lakehouse_gallery",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.planned, self.outcomes = planned, outcomes
        self.superset_conn_id, self.gallery_conn_id = superset_conn_id, gallery_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the counts, and what the commit added."""
        from lakehouse.images.register import register

        store, catalog, contract, _ = self.engine
        batches = [_batch(fields) for fields in self.planned or ()]
        return conclude(self, context, register(store, catalog, contract, run_name(context), batches, list(self.outcomes or ())))


class ImagesToIcebergOperator(PlanImagesOperator):
    """Stores images by content with their thumbnails and registers them; see `lakehouse.images.upload`.

    Alone it does a whole run. Between `PlanImagesOperator` and `RegisterImagesOperator` it stores one batch.

    Args:
        batch: one of the batches that were planned; None for the whole.
    """

    template_fields: Sequence[str] = (*PlanImagesOperator.template_fields, "batch")
    operator_extra_links = (ResultLink(), RefusedLink())

    def __init__(
        self,
        *,
        batch: dict[str, Any] | None = None,
        landing: str = "",
        tag: str = "",
        source_system: str = "",
        superset_conn_id: str = "lakehouse_superset",
        gallery_conn_id: str = "lakehouse_gallery",
        **kwargs: Any,
    ) -> None:
        super().__init__(landing=landing, tag=tag, source_system=source_system, **kwargs)
        self.batch, self.superset_conn_id, self.gallery_conn_id = batch, superset_conn_id, gallery_conn_id

    def execute(self, context: Context) -> Any:
        """Returns the key of the batch's outcomes, or the counts of the whole run."""
        from lakehouse.images.register import register
        from lakehouse.images.upload import upload

        store, catalog, contract, rules = self.engine
        if self.batch is not None:
            return upload(store, catalog, contract, rules, _batch(self.batch))
        batches = self.plan(context)
        outcomes = [upload(store, catalog, contract, rules, batch) for batch in batches]
        return conclude(self, context, register(store, catalog, contract, run_name(context), batches, outcomes))


def run_name(context: Context) -> str:
    """The name under which a DAG run stages its batches; it is part of a key, so a hash stands for the run's id."""
    run = context["dag_run"]
    return sha256(f"{run.dag_id}/{run.run_id}".encode()).hexdigest()[:32]


def conclude(operator: ImagesToIcebergOperator | RegisterImagesOperator, context: Context, counts: Registered) -> dict[str, Any]:
    """Say what a run did, wherever people look, and fail when too much was refused."""
    from lakehouse.exceptions import RefusedThresholdError
    from lakehouse.iceberg.history import facts_of

    _, catalog, contract, _ = operator.engine
    facts = counts.as_facts() | facts_of(catalog.load_table(contract.table), [counts.snapshot_id] if counts.snapshot_id else [])
    operator.log.info("images\n%s", counts.report())
    operator.describe_outlets(context, facts)
    operator.show_result(context, gallery_url(operator.gallery_conn_id, facts["days"]))
    if counts.refused and (url := operations_url(operator.superset_conn_id, contract.table)):
        context["ti"].xcom_push(key=REFUSED_URL, value=url)
    if counts.refused > contract.refused_threshold * counts.read:
        raise RefusedThresholdError(
            f"{counts.refused} of {counts.read} images were refused, {contract.refused_threshold:.0%} are allowed: "
            f"{', '.join(f'{reason} {number}' for reason, number in sorted(counts.reasons.items()))}. The good ones are registered. The "
            "refused ones are in ops_db.refused_files, the files under refused/"
        )
    return facts


def _batch(fields: dict[str, Any]) -> Batch:
    from lakehouse.images.sources import Batch

    return Batch(**fields | {"started": datetime.fromisoformat(fields["started"])})
