"""Runs the parts of `make test` one after the other and ends with a table of their results and times.

Every part runs, whatever the ones before found; the exit code is 0 when all passed. Usage: parts.py NAME=COMMAND ...
"""

from __future__ import annotations

import subprocess
import sys
import time


def main(parts: list[str]) -> int:
    """Run the parts."""
    results: list[tuple[str, int, float]] = []
    for part in parts:
        name, command = part.split("=", 1)
        print(f"\n=== {name}: {command}", flush=True)
        started = time.monotonic()
        code = subprocess.run(["bash", "-c", command], check=False).returncode
        results.append((name, code, time.monotonic() - started))
    print(f"\n{'part':14} {'result':8} {'time':>7}")
    for name, code, seconds in results:
        print(f"{name:14} {'passed' if code == 0 else 'FAILED':8} {seconds:6.0f} s")
    print(f"{'all':14} {'':8} {sum(seconds for _, _, seconds in results):6.0f} s")
    return 1 if any(code for _, code, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
