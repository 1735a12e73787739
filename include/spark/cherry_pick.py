"""Takes a branch's snapshot over to a main that has moved meanwhile; Iceberg refuses when the same partitions changed there.

By hand:

    SPARK_CONF_DIR=var/etc/spark spark-submit include/spark/cherry_pick.py \\
        --table hive_prod.option_ticks_db.bronze_option_ticks --snapshot-id 123
"""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    """Take the snapshot over unless main has it; returns the exit code."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="catalog.schema.table")
    parser.add_argument("--snapshot-id", required=True, type=int)
    options = parser.parse_args()
    catalog, _, name = options.table.partition(".")
    spark = SparkSession.builder.appName("cherry_pick").getOrCreate()
    # An earlier attempt may have been killed after its commit; what was rolled back since does not count.
    there = spark.sql(
        f"SELECT count(*) FROM {options.table}.history h JOIN {options.table}.snapshots s ON s.snapshot_id = h.snapshot_id "  # noqa: S608
        f"WHERE h.is_current_ancestor AND s.summary['source-snapshot-id'] = '{options.snapshot_id}'"
    ).first()
    try:
        if there is not None and there[0] == 0:
            spark.sql(f"CALL {catalog}.system.cherrypick_snapshot('{name}', {options.snapshot_id})")
    except PySparkException as error:
        print(f"cherry_pick: snapshot {options.snapshot_id} was not taken over, main is as it was: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        spark.stop()
    print(f"cherry_pick: main of {options.table} has the rows of snapshot {options.snapshot_id}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
