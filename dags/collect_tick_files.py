"""# collect_tick_files
Loads XML files of option ticks from `s3://lakehouse/landing/ticks/` into `option_ticks_db.collected_option_ticks`, each file once, whatever
it is called. Loaded files move to `archive/ticks/`, bad ones to `refused/ticks/` with their reason in `ops_db.refused_files`; bad records
go to `ops_db.refused_records` with file, line and reason, and the others are loaded. Files that are still being written are left alone.

**Inputs**: files `landing/ticks/*.xml` as `include/feeds/ticks.xsd` describes them. **Outputs**: the table, and the asset
`collected_option_ticks`.

**On call**: clear the failed task; nothing is loaded twice. "Too many refused" in `reconcile` means that the good records are safe and a
source sends nonsense: clearing it does not help, the runbook says what does. Old failures may be ignored once a later run is green.
Runbook: [collect_tick_files](/lakehouse/runbooks/collect_tick_files)
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import DECODE_POOL, START_DATE, default_args, on_call
from include.assets import COLLECTED_OPTION_TICKS, Tag, contract
from include.feeds.ticks import SCHEMA, known_values
from lakehouse_provider.operators.feeds import ListFilesOperator, LoadXmlFilesOperator, ReconcileFilesOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("collected_option_ticks")
LANDING = "landing/ticks/"


@task
def put_sample_files() -> int:
    """Puts sample files into the landing prefix when the run asks for them; returns how many."""
    from include.sample_data import tick_files
    from lakehouse_provider.hooks.object_store import ObjectStoreHook
    from lakehouse_provider.params import run_day

    context = get_current_context()
    store = ObjectStoreHook().store
    files = list(tick_files.files(run_day(context))) if context["params"]["sample"] else []
    for name, body in files:
        store.put(LANDING + name, body, "application/xml")
    return len(files)


with DAG(
    "collect_tick_files",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.BRONZE, Tag.TIER_1],
    max_active_runs=1,
    params={
        "sample": Param(default=False, type="boolean", description="First put sample files of the day there"),
        "date": Param(
            None, type=["null", "string"], format="date", description="Day of the sample files (UTC); empty: the data interval's"
        ),
        "quiet_seconds": Param(
            60, type="integer", minimum=0, maximum=86_400, description="Leave files alone that changed within so many seconds"
        ),
    },
    **on_call(COLLECTED_OPTION_TICKS.name, late_after=timedelta(minutes=30)),
    default_args=default_args(),
):
    listed = ListFilesOperator(task_id="list_files", landing=LANDING, quiet_seconds="{{ params.quiet_seconds }}")
    loaded = LoadXmlFilesOperator.partial(
        task_id="load", contract=CONTRACT, xsd=SCHEMA, name="ticks", known_values=known_values, pool=DECODE_POOL
    ).expand(files=listed.output)
    reconcile = ReconcileFilesOperator(
        task_id="reconcile",
        contract=CONTRACT,
        listed=listed.output,
        counts=loaded.output,
        outlets=[COLLECTED_OPTION_TICKS],
        trigger_rule="none_failed",
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> put_sample_files() >> listed
    loaded >> reconcile
