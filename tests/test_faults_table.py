"""docs/faults.md names the tests that carry each row's marker, and every row has some."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from tests.conftest import FAULTS

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "docs" / "faults.md"
MARKER = re.compile(r"pytest\.mark\.fault\((\d+)\)")
ROW = re.compile(r"^\| (\d+) \| .* \| (.+) \|$", re.MULTILINE)


def files_by_row() -> dict[int, list[Path]]:
    """Test files by the number of their markers."""
    found: dict[int, list[Path]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in sorted({int(number) for number in MARKER.findall(path.read_text())}):
            found.setdefault(number, []).append(path.relative_to(TESTS))
    return found


def cell(files: list[Path]) -> str:
    """How the table names them: by folder."""
    return "; ".join(
        f"`{folder}/`: {', '.join(path.stem.removeprefix('test_') for path in paths)}"
        for folder, paths in groupby(files, key=lambda path: path.parent.as_posix())
    )


@pytest.mark.parametrize("number", range(1, FAULTS + 1))
def test_a_row_names_the_tests_that_show_it(number: int) -> None:
    rows = {int(row): tests for row, tests in ROW.findall(TABLE.read_text())}
    assert rows[number] == cell(files_by_row().get(number, [])), "write that into docs/faults.md"
