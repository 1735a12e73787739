"""One page of 20 images in a process of its own: ours, or the whole table into pandas; prints what it took as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main(way: str, table: str) -> None:
    """The imports are done before the clock starts: a running gallery has done them once."""
    import pandas as pd  # noqa: F401  # for the rival

    from include.gallery import figures, lake
    from include.gallery.pictures import Pictures
    from include.gallery.query import FIELDS as ALL
    from include.gallery.query import Filters
    from include.gallery.settings import Settings

    settings = Settings(**_settings(table))
    began = time.monotonic()
    shown = lake.open_table(settings)
    pictures = Pictures(settings.store)
    if way == "ours":
        selection = Filters().select(shown.table, shown.snapshot_id)
        rows = selection.page(sort_by="upload_time", descending=True, fields=ALL)
        thumbnails = pictures.thumbnails([row["s3_path"] for row in rows])
        seconds = time.monotonic() - began
        images = figures.totals(selection).images
    else:
        frame = shown.table.scan().to_pandas()
        page = frame.sort_values(["upload_time", "image_id"], ascending=[False, True]).iloc[:20]
        thumbnails = pictures.thumbnails(list(page["s3_path"]))
        seconds = time.monotonic() - began
        images = len(frame)
        _ = frame["file_size"].sum(), frame["file_size"].mean(), frame["tag"].nunique()
    found = {"images": images, "thumbnails": sum(body is not None for body in thumbnails)}
    print(json.dumps(found | {"seconds": seconds, "with_figures": time.monotonic() - began}))


def _settings(table: str) -> dict[str, Any]:
    """The writer's key, because the gallery's own cannot read `bench_db`."""
    from include.gallery.settings import Store

    store, catalog = (json.loads(os.environ[f"AIRFLOW_CONN_{name}"]) for name in ("LAKEHOUSE_S3", "LAKEHOUSE_CATALOG"))
    extra = dict(catalog["extra"])
    name = extra.pop("catalog_name")
    properties = {"uri": catalog["host"], **extra}
    if catalog.get("login"):
        properties["credential"] = f"{catalog['login']}:{catalog['password']}"
    url = store["extra"]["endpoint_url"]
    keys = Store(url, url, store["extra"]["region_name"], store["extra"]["bucket"], store["login"], store["password"])
    return {"table": table, "catalog_name": name, "catalog": properties, "store": keys}


if __name__ == "__main__":
    main(*sys.argv[1:])
