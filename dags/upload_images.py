"""# upload_images
Takes images from `s3://lakehouse/landing/images/`, and from the URLs that manifests under `landing/image_manifests/` list: each one is
decoded to its end in a process of its own, stored by its content under `raw/images/{date}/` with a thumbnail, and all of a run are
registered in `media_db.image_metadata` in one commit. An image that cannot be taken is kept under `refused/` and listed in
`ops_db.refused_files` with its reason. What is allowed stands in `include/images.yaml`.

**Inputs**: objects under `landing/images/` (`landing/images/<tag>/<source_system>/` labels them), manifests (CSV or JSON lines: url, tag,
source_system, licence). **Outputs**: objects, the table, and the asset `image_metadata`.

**On call**: clear the failed task; nothing is stored or registered twice. Old failures may be ignored once a later run is green.
Runbook: [upload_images](/lakehouse/runbooks/upload_images)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import DECODE_POOL, START_DATE, default_args, on_call
from include.assets import IMAGE_METADATA, Tag, contract
from lakehouse_provider.operators.images import ImagesToIcebergOperator, PlanImagesOperator, RegisterImagesOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

COMMON = {"contract": contract("image_metadata"), "rules": Path(__file__).resolve().parent.parent / "include" / "images.yaml"}
LANDING, MANIFESTS = "landing/images/", "landing/image_manifests/"

PARAMS = {
    "sample": Param(False, type="boolean", description="First put the sample images into the landing prefix"),
    "tag": Param("product", enum=["product", "user", "analytics"], description="Tag of images that are in no folder named as a tag"),
    "source_system": Param("batch", enum=["manual", "batch", "api"], description="Where such images come from"),
    "licence": Param(None, type=["null", "string"], maxLength=200, description="Licence of images for which no manifest says one"),
    "folder": Param(None, type=["null", "string"], description="A folder of the worker to read as well; its files stay where they are"),
    "max_files": Param(
        10_000, type="integer", minimum=1, maximum=20_000, description="Images of one run; the others wait for the next one"
    ),
}


@task
def put_sample_images() -> int:
    """Puts the sample images into the landing prefix when the run asks for them; returns how many."""
    if not get_current_context()["params"]["sample"]:
        return 0
    from include.sample_data import images
    from lakehouse_provider.hooks.object_store import ObjectStoreHook

    store = ObjectStoreHook().store
    files = list(images.files())
    for image in files:
        store.put(f"{LANDING}{image.tag}/{image.source_system}/{image.name}", image.body)
    return len(files)


with DAG(
    "upload_images",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("10 * * * *", timezone="UTC"),
    start_date=START_DATE,
    catchup=False,
    tags=[Tag.BRONZE, Tag.TIER_3],
    max_active_runs=1,
    params=PARAMS,
    **on_call(IMAGE_METADATA.name, late_after=timedelta(hours=1)),
    default_args=default_args(),
):
    planned = PlanImagesOperator(
        task_id="plan",
        **COMMON,
        landing=LANDING,
        manifests=MANIFESTS,
        folder="{{ params.folder or '' }}",
        tag="{{ params.tag }}",
        source_system="{{ params.source_system }}",
        licence="{{ params.licence or '' }}",
        max_files="{{ params.max_files }}",
    )
    uploaded = ImagesToIcebergOperator.partial(task_id="upload", **COMMON, pool=DECODE_POOL).expand(batch=planned.output)
    register = RegisterImagesOperator(
        task_id="register",
        **COMMON,
        planned=planned.output,
        outcomes=uploaded.output,
        outlets=[IMAGE_METADATA],
        trigger_rule="none_failed",
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[COMMON["contract"]]) >> put_sample_images() >> planned
    uploaded >> register
