"""Spark's part of `test_roundtrip.py`: writes the edge values, or prints what it reads, one JSON list a row."""

from __future__ import annotations

import json
import sys


def main(table: str, statements: list[str], columns: list[str]) -> None:
    """Run the statements, then print the rows, their columns as the expressions say."""
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("roundtrip").getOrCreate()
    for statement in statements:
        spark.sql(statement)
    for row in spark.sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id").collect():
        print("ROW" + json.dumps(list(row)), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], *map(json.loads, sys.argv[2:]))
