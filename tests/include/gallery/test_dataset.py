from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import date

import pytest

from include.gallery import dataset, settings
from include.gallery.lake import open_table
from include.gallery.query import FIELDS, Filters
from lakehouse.exceptions import HistoryError, VerificationError
from lakehouse.iceberg.page import Selection
from tests.include.gallery.local_lake import row


@pytest.fixture
def shown(lake):
    lake.add(*(row(number) for number in range(20)))
    lake.add(row(20, source="=HYPERLINK(1)", licence="@x", tag="-1"), row(21))
    return open_table(settings.load())


def written(shown, filters=Filters(), snapshot_id=None):  # noqa: B008  # frozen
    file = io.BytesIO()
    made = dataset.write_manifest(shown, filters, snapshot_id or shown.snapshot_id, file)
    return made, file.getvalue()


def test_a_csv_has_all_columns_and_no_cell_that_is_a_formula(shown):
    file = io.StringIO()
    assert dataset.write_csv(Filters().select(shown.table, shown.snapshot_id), file) == 22
    lines = {line["image_id"]: line for line in csv.DictReader(io.StringIO(file.getvalue()))}
    assert tuple(next(iter(lines.values()))) == FIELDS
    hostile = lines[row(20)["image_id"]]
    assert (hostile["source"], hostile["licence"], hostile["tag"]) == ("'=HYPERLINK(1)", "'@x", "'-1")
    plain = lines[row(3)["image_id"]]
    assert (plain["file_size"], plain["upload_time"], plain["source"]) == (
        "4000",
        "2026-11-01T12:03:00+00:00",
        "landing/images/Sample-3.png",
    )
    assert lines[row(4)["image_id"]]["licence"] == ""


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_run_is_quoted(text):
    assert dataset.cell(text) == f"'{text}"


def test_a_negative_number_stays_a_number():
    assert dataset.cell(-5) == "-5"


def test_parts_of_a_csv_make_up_the_whole(shown):
    selection = Filters().select(shown.table, shown.snapshot_id)

    def part(skip: int, rows: int) -> list[str]:
        file = io.StringIO()
        dataset.write_csv(selection, file, skip=skip, rows=rows)
        return file.getvalue().splitlines()[1:]

    whole = part(0, 100)
    assert [line for skip in range(0, 28, 7) for line in part(skip, 7)] == whole
    assert len(set(whole)) == 22


def test_a_manifest_names_what_it_is_of_and_each_image(shown):
    made, data = written(shown, Filters(tag=("-1",), first=date(2026, 11, 2)))
    head, *lines = map(json.loads, data.splitlines())
    assert head == {
        "table": "media_db.image_metadata",
        "table_uuid": str(shown.table.metadata.table_uuid),
        "snapshot_id": shown.snapshot_id,
        "snapshot_made": shown.made_at.isoformat(),
        "filters": {"tag": ["-1"], "first": "2026-11-02"},
        "images": 1,
    }
    assert lines == [{name: (row(20) | {"tag": "-1", "licence": "@x"})[name] for name in dataset.LINE}]
    assert made == dataset.Manifest(1, hashlib.sha256(data).hexdigest())


def test_a_manifest_of_an_older_snapshot_is_the_same_bytes_again(lake, shown):
    before = written(shown)
    lake.add(row(30))
    later = open_table(settings.load())
    assert written(later, snapshot_id=shown.snapshot_id) == before
    assert written(later)[0].images == 23


def test_a_snapshot_that_is_gone_is_named(shown):
    with pytest.raises(HistoryError, match=r"media_db\.image_metadata has no snapshot 42"):
        written(shown, snapshot_id=42)


def test_a_manifest_that_does_not_add_up_is_refused(shown, monkeypatch):
    monkeypatch.setattr(Selection, "count", lambda _: 23)
    with pytest.raises(VerificationError, match="counts 23 images, 22 were read"):
        written(shown)


def test_the_command_makes_what_the_page_makes(shown, tmp_path, capsys):
    out = tmp_path / "images.jsonl"
    arguments = ["--out", str(out), "--tag=-1", "--from", "2026-11-02", "--snapshot", str(shown.snapshot_id)]
    assert dataset.main(arguments) == 0
    made, data = written(shown, Filters(tag=("-1",), first=date(2026, 11, 2)))
    assert out.read_bytes() == data
    assert f"1 images of snapshot {shown.snapshot_id}, SHA-256 {made.sha256}" in capsys.readouterr().out


def test_the_command_makes_an_earlier_manifest_again(lake, shown, tmp_path, capsys):
    first, again = tmp_path / "first.jsonl", tmp_path / "again.jsonl"
    assert dataset.main(["--out", str(first), "--tag", "user", "--to", "2026-11-01"]) == 0
    lake.add(row(2, image_id="f" * 64), row(30))
    assert dataset.main(["--out", str(again), "--like", str(first)]) == 0
    assert again.read_bytes() == first.read_bytes()
    capsys.readouterr()
    lake.catalog.drop_table("media_db.image_metadata")
    lake.add(row(1))
    assert dataset.main(["--out", str(again), "--like", str(first)]) == 1
    assert "is of another table" in capsys.readouterr().err
    first.write_text("image_id\n")
    assert dataset.main(["--out", str(again), "--like", str(first)]) == 1
    assert "is not a manifest" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(lake, tmp_path, capsys):
    assert dataset.main(["--out", str(tmp_path / "x")]) == 1
    assert "has no table media_db.image_metadata" in capsys.readouterr().err
    lake.make_table()
    assert dataset.main(["--out", str(tmp_path / "x")]) == 1
    assert "has no images yet" in capsys.readouterr().err
