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
    names = [name.split()[0] for name in option_ticks.WORK_SCHEMA.split(", ")]
    work = [tuple(unit[name] for name in names) for unit in option_ticks.work_of(days)]

    def generate(incoming):  # type: ignore[no-untyped-def]  # Spark calls it with batches
        import option_ticks as job

        return job.batches((unit for batch in incoming for unit in batch.to_pylist()), 7)

    frame = spark.createDataFrame(work, option_ticks.WORK_SCHEMA).repartition(8).mapInArrow(generate, option_ticks.TICK_SCHEMA)
    spark.range(10).writeTo("hive_prod.bench_db.warm_up").createOrReplace()
    for _ in range(2):
        started = time.monotonic()
        frame.write.format("noop").mode("overwrite").save()
        noop = time.monotonic() - started
        started = time.monotonic()
        frame.writeTo(table).append()
        append = time.monotonic() - started
        print(f"noop {noop:.3f} append {append:.3f}", flush=True)
    files = spark.sql(f"SELECT count(*) FROM {table}.files").first()
    print(f"files {files[0] // 2 if files else 0} partitions {len(days)}", flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
