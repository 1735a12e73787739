"""`make bench PART=bronze`: runs a part, or all of them."""

from __future__ import annotations

import importlib
import sys

from bench.harness import write_results

PARTS = ("bronze", "ship", "images", "gallery", "dashboards", "quality", "airflow")


def main(parts: list[str]) -> int:
    """Run the parts; the exit code says only whether they ran: timings are never asserted."""
    if unknown := sorted(set(parts) - set(PARTS)):
        print(f"there is no part {', '.join(unknown)}; there are: {', '.join(PARTS)}")
        return 1
    for part in parts or PARTS:
        print(f"=== {part}", flush=True)
        write_results(importlib.import_module(f"bench.{part}").run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
