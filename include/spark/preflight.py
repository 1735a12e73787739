"""Counts the rows of a table through Spark: `spark-submit preflight.py --table catalog.schema.table --rows 3`; exits 1 when they differ."""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    """Count and compare."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--rows", required=True, type=int)
    parser.add_argument("--where", default="true", help="condition in SQL")
    options = parser.parse_args()
    spark = SparkSession.builder.appName("preflight").getOrCreate()
    rows = spark.table(options.table).where(options.where).count()
    print(f"Spark {spark.version} counts {rows} rows in {options.table}, {options.rows} are wanted", flush=True)  # noqa: T201
    spark.stop()
    return 0 if rows == options.rows else 1


if __name__ == "__main__":
    sys.exit(main())
