"""# upload_images
Takes images from `s3://lakehouse/landing/images/`: decodes each one fully, stores it by its content under `raw/images/{date}/` with a
thumbnail, and registers all of them in `media_db.image_metadata` in one commit. An image that cannot be taken is kept under `refused/`
and listed in `ops_db.refused_files` with its reason.

**Inputs**: objects under `landing/images/`. **Outputs**: objects, the table, and the asset `image_metadata`.

**On call**: clear the failed task; nothing is stored or registered twice. Old failures may be ignored once a later run is green.
Runbook: [upload_images](/lakehouse/runbooks/upload_images)
"""

from __future__ import annotations

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from dags._policy import DECODE_POOL, START_DATE, default_args
from include.assets import IMAGE_METADATA, Tag, contract
from lakehouse_provider.operators.images import ImagesToIcebergOperator
from lakehouse_provider.operators.tables import EnsureTablesOperator

CONTRACT = contract("image_metadata")
LANDING = "landing/images/"

PARAMS = {
    "sample": Param(False, type="boolean", description="First put the sample images into the landing prefix"),
    "tag": Param("product", enum=["product", "user", "analytics"], description="Tag of this run's images"),
    "source_system": Param("batch", enum=["manual", "batch", "api"], description="Where this run's images come from"),
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
    for name, body in files:
        store.put(LANDING + name, body)
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
    default_args=default_args(),
):
    upload = ImagesToIcebergOperator(
        task_id="upload",
        contract=CONTRACT,
        landing=LANDING,
        tag="{{ params.tag }}",
        source_system="{{ params.source_system }}",
        outlets=[IMAGE_METADATA],
        pool=DECODE_POOL,
    )
    EnsureTablesOperator(task_id="ensure_table", contracts=[CONTRACT]) >> put_sample_images() >> upload
