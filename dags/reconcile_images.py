"""# reconcile_images
Compares the stored images under `raw/images/` and their thumbnails with the rows of `media_db.image_metadata`, in both directions, once a
week. A dry run by default: it only lists what it finds. A real run (param `dry_run` off) moves what belongs to no row to
`quarantine/images/<day>/`, never deletes, and rebuilds missing thumbnails. Images that are gone or damaged fail the task.

**Inputs**: the objects, the table, `staging/images/`. **Outputs**: `ops_db.image_findings`, and the asset `image_reconciliation`.

**On call**: a red task means that an image is gone or damaged: do not ignore it for a later green run. Clearing it is safe.
Runbook: [reconcile_images](/lakehouse/runbooks/reconcile_images)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from dags._policy import DECODE_POOL, START_DATE, default_args, on_call
from include.assets import IMAGE_METADATA, IMAGE_RECONCILIATION, Tag, contract
from lakehouse_provider.operators.image_reconciliation import ReconcileImagesOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("image_metadata")

with DAG(
    "reconcile_images",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 4 * * 0", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.TIER_3, Tag.OPERATIONS],
    max_active_runs=1,
    params={
        "dry_run": Param(True, type="boolean", description="Only say what would be moved or rebuilt, and change nothing"),
        "grace_hours": Param(
            24, type="integer", minimum=1, maximum=8_760, description="Leave objects alone that are younger: their run may still go on"
        ),
        "check_hashes": Param(False, type="boolean", description="Read every object and compare its SHA-256 with its row; takes longer"),
        "max_moves": Param(
            1_000, type="integer", minimum=0, maximum=10_000, description="Change nothing when more objects are to be moved"
        ),
        "days_back": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=36_500,
            description="Compare only so many days back, by upload; empty: all days",
        ),
    },
    **on_call(IMAGE_RECONCILIATION.name, late_after=timedelta(hours=2)),
    default_args=default_args(),
):
    reconcile = ReconcileImagesOperator(
        task_id="reconcile",
        contract=CONTRACT,
        only_say="{{ params.dry_run }}",
        grace_hours="{{ params.grace_hours }}",
        check_hashes="{{ params.check_hashes }}",
        max_moves="{{ params.max_moves }}",
        days_back="{{ '' if params.days_back is none else params.days_back }}",
        inlets=[IMAGE_METADATA],
        outlets=[IMAGE_RECONCILIATION],
        pool=DECODE_POOL,
        execution_timeout=timedelta(hours=6),
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> reconcile
