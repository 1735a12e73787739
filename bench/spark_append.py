"""Times Spark's append of ticks beside the `noop` sink of the same frame, in one session; run by `bench.bronze` through spark-submit."""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "include" / "spark"))


def main(table: str, rows: int) -> None:
    """Print `noop SECONDS append SECONDS` twice, the first time cold, then `files FILES partitions PARTITIONS`."""
    import option_ticks
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("bench").getOrCreate()
    spark.sparkContext.addPyFile(option_ticks.__file__)
    days = {date(2026, 11, day): rows // 4 for day in (16, 17, 18, 19)}
    frame = option_ticks.ticks_frame(spark, days, 7)
    spark.range(10).writeTo("hive_prod.bench_db.warm_up").createOrReplace()
    for _ in range(2):
        started = time.monotonic()
        frame.write.format("noop").mode("overwrite").save()
        noop = time.monotonic() - started
        started = time.monotonic()
        frame.writeTo(table).option("use-table-distribution-and-ordering", "false").append()
        append = time.monotonic() - started
        print(f"noop {noop:.3f} append {append:.3f}", flush=True)
    files = spark.sql(f"SELECT count(*) FROM {table}.files").first()
    print(f"files {files[0] // 2 if files else 0} partitions {len(days)}", flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
