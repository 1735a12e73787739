"""`python -m lakehouse.incidents FILE`: checks the file of silences; an expired one is an error."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.exceptions import ConfigurationError
from lakehouse.incidents.silences import expired, read_silences


def main(path: Path) -> int:
    """Returns 1, and says what is wrong, for a file that cannot be read or holds an expired silence."""
    try:
        silences = read_silences(path)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    over = expired(silences, datetime.now(UTC).date())
    for silence in over:
        sys.stderr.write(f"{path}: the silence of {silence.key} ended on {silence.until}: remove it, or see {silence.link} and renew it\n")
    sys.stdout.write(f"{path}: {len(silences)} silences, {len(over)} expired\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
