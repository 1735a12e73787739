"""Stored images compared with their rows, against the real store and catalog."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import Asset
from PIL import Image
from pyiceberg.catalog import Catalog

from include.assets import contract
from lakehouse.contracts import Contract, load
from lakehouse.exceptions import ConfigurationError, CountError, VerificationError
from lakehouse.iceberg.append import Input, append_once
from lakehouse.iceberg.table import ensure_table
from lakehouse.images import repair
from lakehouse.images.findings import LOST, MOVABLE, Comparison, Finding
from lakehouse.images.keys import Layout
from lakehouse.images.reconcile import Criteria, compare, reconcile
from lakehouse.objects import ObjectStore
from lakehouse_provider.operators.image_reconciliation import ReconcileImagesOperator
from stack.installation import Installation
from stack.report import query

pytestmark = pytest.mark.integration

DAY, NEXT = date(2026, 11, 20), date(2026, 11, 21)
# Objects cannot be made old, but time can be told: two days on, nothing that a test has just stored is young.
LATER = datetime.now(UTC) + timedelta(days=2)
QUARANTINED = f"{LATER:%Y-%m-%d}"
ASSET = Asset("reconciled_by_a_test")


def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (number % 256, number // 256, 90)).save(out, "PNG")
    return out.getvalue()


@dataclass
class World:
    """A table and prefixes of a test's own."""

    store: ObjectStore
    catalog: Catalog
    contract: Contract
    layout: Layout
    root: str
    made: int = 0
    keys: dict[str, str] = field(default_factory=dict)

    def image(self, name: str, day: date = DAY, *, stored: bool = True, thumbnail: bool = True, row: bool = True, **columns: Any) -> str:
        """An image with what is asked for; returns its id."""
        self.made += 1
        body = picture(self.made)
        image_id = hashlib.sha256(body).hexdigest()
        key = self.keys[name] = f"{self.layout.images}{day}/{image_id}.png"
        if stored:
            self.store.put(key, body, "image/png")
        if thumbnail:
            self.store.put(self.layout.thumbnail_of(key), b"a thumbnail", "image/jpeg")
        if row:
            self.append(image_id, key, day, file_size=len(body), **columns)
        return image_id

    def append(self, image_id: str, key: str, day: date, **columns: Any) -> None:
        row = {
            "image_id": image_id,
            "s3_path": f"s3://{self.store.bucket}/{key}",
            "upload_time": datetime.combine(day, time(12), UTC),
            "tag": "product",
            "checksum": image_id,
        }
        made = pa.Table.from_pylist([row | columns])
        append_once(self.catalog, self.contract.table, [Input(image_id, key, made)], key_column="image_id")

    def listing(self) -> dict[str, tuple[int, str]]:
        return {entry.key: (entry.size, entry.etag) for entry in self.store.list(self.root)}

    def reconcile(self, **options: Any) -> Comparison:
        given = {"run_id": self.root, "layout": self.layout, "now": LATER, "dry_run": False} | options
        return reconcile(self.store, self.catalog, self.contract.table, **given)

    def compare(self, **options: Any) -> Comparison:
        return compare(self.store, self.catalog, self.contract.table, layout=self.layout, **({"now": LATER} | options))

    def repair(self, compared: Comparison, max_moves: int = 1_000) -> None:
        repair.repair(
            self.store, self.catalog, self.contract.table, compared, layout=self.layout, max_moves=max_moves, run_day=LATER.date()
        )


@pytest.fixture
def world(catalog: Catalog, store: ObjectStore, stack: Installation, fresh_name: str) -> World:
    made = replace(load(contract("image_metadata")), table=f"test_db.{fresh_name}")
    ensure_table(catalog, made)
    root = f"test/{fresh_name}/"
    layout = Layout(f"{root}images/", f"{root}thumbnails/", f"{root}staging/", f"{root}archive/", f"{root}quarantine/")
    return World(store, catalog, made, layout, root)


def one_of_each(world: World) -> None:
    """Every kind of fault at once, and two images that are as they should be."""
    world.image("good")
    world.image("good too", NEXT)
    world.image("orphan", row=False)  # killed between upload and commit
    world.image("missing", stored=False)
    world.image("missing, copy", stored=False, source_checksum="ab" * 32)
    world.store.put(f"{world.layout.archive}2026-11-20/{'ab' * 32}.png", b"as it came")
    world.image("other size")
    world.store.put(world.keys["other size"], b"something else")
    world.image("other hash")
    body = world.store.read(world.keys["other hash"])
    world.store.put(world.keys["other hash"], body[:-1] + b"x")
    world.image("bare", NEXT, thumbnail=False)
    world.image("thumbnail alone", stored=False, row=False)
    for key in (f"images/{DAY}/my photo 'é.jpg", "images/loose.jpg", "images/old/x.jpg", f"thumbnails/{DAY}/x.png"):
        world.store.put(world.root + key, b"by hand")
    world.store.put(f"{world.layout.staging}run-1/batch-0.json", b"[]")
    moved_day = world.image("misplaced", DAY, row=False)
    world.append(moved_day, world.keys["misplaced"], NEXT)
    world.append("ef" * 32, "x", NEXT, s3_path="s3://elsewhere/x")


EACH = {
    Finding.MISSING_OBJECT: 2,
    Finding.SIZE_DIFFERS: 1,
    Finding.HASH_DIFFERS: 1,
    Finding.MISPLACED_ROW: 2,
    Finding.MISSING_THUMBNAIL: 1,
    Finding.ORPHAN_OBJECT: 1,
    Finding.ORPHAN_THUMBNAIL: 2,
    Finding.FOREIGN_OBJECT: 4,
    Finding.STALE_STAGING: 1,
}


def test_a_dry_run_finds_one_of_each_fault_and_changes_nothing(world: World, stack: Installation) -> None:
    one_of_each(world)
    before = world.listing()
    compared = world.reconcile(dry_run=True, criteria=Criteria(check_hashes=True))
    print(compared.table())  # noqa: T201  # for whoever runs it with -s
    assert dict(compared.findings.counts) == EACH
    assert world.listing() == before
    assert (compared.objects.read, compared.objects.with_row, compared.objects.found, compared.objects.young) == (10, 6, 4, 0)
    assert (compared.rows.read, compared.rows.with_object, compared.rows.missing, compared.rows.misplaced) == (9, 5, 2, 2)
    assert (compared.thumbnails.read, compared.thumbnails.with_row, compared.thumbnails.found) == (10, 7, 3)
    assert (compared.staging.read, compared.staging.found) == (1, 1)
    by_kind = {found.finding: found for found in compared.findings.listed(*Finding)}
    missing = {found.key: found.detail for found in compared.findings.listed(Finding.MISSING_OBJECT)}
    assert "no copy lies under" in missing[world.keys["missing"]]
    assert f"lies at {world.layout.archive}2026-11-20/{'ab' * 32}.png" in missing[world.keys["missing, copy"]]
    assert by_kind[Finding.SIZE_DIFFERS].key == world.keys["other size"]
    assert by_kind[Finding.HASH_DIFFERS].key == world.keys["other hash"]
    rows = query(stack, f"SELECT finding, action, sum(findings) FROM ops_db.image_findings WHERE run_id = '{world.root}' GROUP BY 1, 2")
    action = dict.fromkeys(MOVABLE, "would be moved") | {Finding.MISSING_THUMBNAIL: "would be rebuilt"}
    assert sorted(rows) == sorted([kind.value, action.get(kind, "reported"), count] for kind, count in EACH.items())


def test_a_real_run_moves_orphans_and_rebuilds_thumbnails_and_a_second_has_nothing_to_do(world: World, stack: Installation) -> None:
    one_of_each(world)
    before = world.listing()
    compared = world.reconcile(criteria=Criteria(check_hashes=True))
    assert dict(compared.findings.counts) == EACH
    moved = {found.key: found for found in compared.findings.listed(*MOVABLE)}
    assert len(moved) == 8
    rebuilt = world.layout.thumbnail_of(world.keys["bare"])
    after = world.listing()
    quarantine = f"{world.layout.quarantine}{QUARANTINED}/"
    assert {key.removeprefix(quarantine): entry for key, entry in after.items() if key.startswith(quarantine)} == {
        key: before[key] for key in moved
    }
    assert after.keys() - {key for key in after if key.startswith(quarantine)} == (before.keys() - moved.keys()) | {rebuilt}
    with Image.open(io.BytesIO(world.store.read(rebuilt))) as image:
        assert (image.format, image.size) == ("JPEG", (200, 133))
    done = Counter(
        {
            row[0]: row[1]
            for row in query(stack, f"SELECT action, count(*) FROM ops_db.image_findings WHERE run_id = '{world.root}' GROUP BY 1")
        }
    )
    assert done == {"reported": 6, "moved": 8, "rebuilt": 1}
    again = world.reconcile(criteria=Criteria(check_hashes=True), run_id=f"{world.root}2")
    assert again.findings.has(*MOVABLE, Finding.MISSING_THUMBNAIL) == 0
    assert again.findings.has(*LOST) == 4
    assert world.listing() == after


def test_what_is_younger_than_the_grace_period_is_left_alone(world: World) -> None:
    world.image("orphan", row=False)
    world.store.put(f"{world.layout.images}by-hand.jpg", b"x")
    world.store.put(f"{world.layout.staging}run/batch.json", b"[]")
    before = world.listing()
    compared = world.reconcile(now=datetime.now(UTC))
    assert not compared.findings.counts
    assert (compared.objects.young, compared.thumbnails.young, compared.staging.young) == (2, 1, 1)
    assert world.listing() == before


def test_an_old_object_is_left_alone_while_a_run_of_its_day_may_still_find_it_stored_already(world: World) -> None:
    world.image("other")
    day = datetime.now(UTC).date() + timedelta(days=1)
    world.image("orphan", day, row=False)
    ended = datetime.combine(day + timedelta(days=1), time(), UTC)
    assert world.compare(now=ended + timedelta(hours=23)).objects.young == 1
    assert world.compare(now=ended + timedelta(hours=25)).findings.has(*MOVABLE) == 2


@pytest.mark.fault(11)
def test_an_object_whose_row_comes_between_listing_and_move_stays_with_its_thumbnail(world: World) -> None:
    world.image("other")
    image_id = world.image("late", row=False)
    before = world.listing()
    compared = world.compare()
    assert compared.findings.has(*MOVABLE) == 2
    world.append(image_id, world.keys["late"], DAY)
    world.repair(compared)
    assert [(found.action, found.detail) for found in compared.findings.listed(*MOVABLE)] == [("kept", "a row names it by now")] * 2
    assert world.listing() == before
    assert not world.compare().findings.counts


def test_an_object_that_changed_since_it_was_listed_stays(world: World) -> None:
    world.image("other")
    world.image("orphan", row=False, thumbnail=False)
    compared = world.compare()
    world.store.put(world.keys["orphan"], b"new")
    world.repair(compared)
    assert compared.findings.listed(*MOVABLE)[0].action == "kept"
    assert world.store.read(world.keys["orphan"]) == b"new"


def test_an_object_that_somebody_removed_meanwhile_does_not_stop_the_others(world: World) -> None:
    world.image("other")
    for name in ("first", "second"):
        world.image(name, row=False, thumbnail=False)
    compared = world.compare()
    world.store.delete(world.keys["first"])
    world.repair(compared)
    assert {found.key: found.action for found in compared.findings.listed(*MOVABLE)} == {
        world.keys["first"]: "kept",
        world.keys["second"]: "moved",
    }


@pytest.mark.fault(9)
def test_the_last_copy_of_an_image_that_has_a_row_is_never_moved(world: World) -> None:
    image_id = world.image("first", row=False)
    world.append(image_id, world.keys["first"].replace(str(DAY), str(NEXT)), NEXT)
    compared = world.reconcile()
    assert world.keys["first"] in compared.findings.listed(Finding.MISSING_OBJECT)[0].detail
    orphan = compared.findings.listed(Finding.ORPHAN_OBJECT)[0]
    assert (orphan.action, "copy it there" in orphan.detail) == ("kept", True)
    store = world.store
    store.copy(world.keys["first"], world.keys["first"].replace(str(DAY), str(NEXT)))  # what on-call does
    again = world.reconcile(run_id=f"{world.root}2")
    assert again.lost == 0
    assert again.findings.listed(Finding.ORPHAN_OBJECT)[0].action == "moved"


def test_more_than_the_cap_moves_nothing_and_says_so(world: World, stack: Installation) -> None:
    world.image("bare", thumbnail=False)
    for number in range(2):
        world.image(f"orphan {number}", row=False)
    before = world.listing()
    compared = world.reconcile(max_moves=3)
    assert compared.stopped
    assert "4 objects belong to no row" in compared.stopped
    assert world.listing() == before
    actions = query(stack, f"SELECT DISTINCT action FROM ops_db.image_findings WHERE run_id = '{world.root}'")
    assert actions == [["reported"]]
    assert world.reconcile(max_moves=4, run_id=f"{world.root}2").findings.actions() == {"moved": 4, "rebuilt": 1}


def test_nothing_is_moved_for_a_table_without_a_row(world: World) -> None:
    world.image("orphan", row=False)
    before = world.listing()
    compared = world.reconcile()
    assert "has no row at all" in (compared.stopped or "")
    assert world.listing() == before


@pytest.mark.fault(9)
def test_a_run_that_is_cut_off_in_the_middle_of_a_move_is_finished_by_the_next(
    world: World, stack: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.image("other")
    for number in range(3):
        world.image(f"orphan {number}", row=False, thumbnail=False)
    with monkeypatch.context() as patch:
        deleted: list[str] = []

        def delete(key: str) -> None:
            if deleted:
                raise KeyboardInterrupt  # copied, not yet removed
            deleted.append(key)
            ObjectStore.delete(world.store, key)

        patch.setattr(world.store, "delete", delete)
        with pytest.raises(KeyboardInterrupt):
            world.reconcile()
    assert query(stack, f"SELECT count(*) FROM ops_db.image_findings WHERE run_id = '{world.root}' AND action = 'moved'") == [[1]]
    assert len(world.listing()) == 2 + 2 + 2
    compared = world.reconcile(run_id=f"{world.root}2")
    assert compared.findings.actions() == {"moved": 2}
    assert len(list(world.store.list(f"{world.layout.quarantine}{QUARANTINED}/"))) == 3
    assert len(world.listing()) == 2 + 3


def test_what_lies_in_the_quarantine_is_never_overwritten(world: World) -> None:
    world.image("other")
    key = f"{world.layout.images}cat.jpg"
    world.store.put(key, b"the first cat")
    assert world.reconcile().findings.actions() == {"moved": 1}
    world.store.put(key, b"another, a bigger cat")
    assert world.reconcile(run_id=f"{world.root}2").findings.actions() == {"kept": 1}
    assert world.store.read(f"{world.layout.quarantine}{QUARANTINED}/{key}") == b"the first cat"
    assert world.store.read(key) == b"another, a bigger cat"
    third = world.reconcile(run_id=f"{world.root}3", now=LATER + timedelta(days=1))
    assert third.findings.actions() == {"moved": 1}


def test_a_thumbnail_is_not_made_of_a_damaged_image_which_is_then_found(world: World) -> None:
    world.image("bare", thumbnail=False)
    body = world.store.read(world.keys["bare"])
    world.store.put(world.keys["bare"], body[:-1] + b"x")
    compared = world.reconcile()
    assert compared.findings.listed(Finding.MISSING_THUMBNAIL)[0].action == "kept"
    assert compared.findings.listed(Finding.HASH_DIFFERS)[0].key == world.keys["bare"]
    assert list(world.store.list(world.layout.thumbnails)) == []


def test_only_the_days_asked_for_are_compared(world: World) -> None:
    world.image("old", DAY, stored=False)
    world.image("new", NEXT, stored=False)
    compared = world.compare(criteria=Criteria(first_day=NEXT))
    assert (compared.days, compared.rows.read, compared.rows_total, compared.findings.has(Finding.MISSING_OBJECT)) == (1, 1, 2, 1)


def test_an_object_that_the_listing_gives_twice_does_not_add_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.image("other")
    world.image("orphan", row=False)
    monkeypatch.setattr(world.store, "list", lambda prefix: [entry for entry in ObjectStore.list(world.store, prefix) for _ in range(2)])
    with pytest.raises(CountError, match=r"objects: .*does not add up; nothing was moved"):
        world.reconcile()


@pytest.mark.parametrize("zone", ["UTC", None])
def test_a_table_that_somebody_made_without_days_is_compared_too(world: World, zone: str | None) -> None:
    world.catalog.drop_table(world.contract.table)
    names = ("image_id", "s3_path", "tag", "checksum")
    schema = pa.schema([(name, pa.string()) for name in names] + [("file_size", pa.int64()), ("upload_time", pa.timestamp("us", zone))])
    table = world.catalog.create_table(world.contract.table, schema)
    ids = [world.image(name, day, row=False) for name, day in (("a", DAY), ("b", NEXT), ("c", NEXT))]
    times = [datetime.combine(DAY, time(12)), datetime.combine(NEXT, time.max), None]
    rows = [
        {"image_id": image_id, "s3_path": f"s3://{world.store.bucket}/{key}", "upload_time": at, "checksum": image_id}
        for image_id, key, at in zip(ids, world.keys.values(), times, strict=True)
    ]
    table.append(pa.Table.from_pylist(rows, schema))
    compared = world.compare()
    assert (compared.rows.with_object, compared.rows.misplaced, compared.objects.with_row, compared.thumbnails.with_row) == (2, 1, 3, 3)
    assert dict(compared.findings.counts) == {Finding.MISPLACED_ROW: 1}


class Run:
    """As much of a task's context as the operator uses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.extra: dict[str, Any] = {}
        self.links: dict[str, str] = {}

    def xcom_push(self, key: str, value: str) -> None:
        self.links[key] = value

    def context(self) -> Any:
        return {"ti": self, "run_id": self.name, "outlet_events": {ASSET: self}, "params": {}}


def operator(world: World, tmp_path: Path, **options: Any) -> ReconcileImagesOperator:
    text = contract("image_metadata").read_text()
    file = tmp_path / "contract.odcs.yaml"
    file.write_text(text.replace("media_db.image_metadata", world.contract.table))
    given = {"contract": file, "layout": world.layout, "grace_hours": "0", "only_say": "False"} | options
    return ReconcileImagesOperator(task_id="reconcile", outlets=[ASSET], **given)


def test_orphans_leave_the_task_green_and_the_asset_says_what_was_found(world: World, tmp_path: Path) -> None:
    world.image("good")
    world.image("orphan", row=False)
    run = Run(world.root)
    facts = operator(world, tmp_path).execute(run.context())
    assert run.extra.items() >= {"rows": 1, "objects": 2, "dry_run": False, "findings": {"orphan_object": 1, "orphan_thumbnail": 1}}.items()
    assert facts["actions"] == {"moved": 2}
    assert world.contract.table in run.links["result_url"]
    assert "| orphan_object | 1 | moved |" in facts["table"]


def test_a_lost_image_fails_the_task_after_everything_else_is_done_and_written(world: World, stack: Installation, tmp_path: Path) -> None:
    world.image("good")
    world.image("orphan", row=False, thumbnail=False)
    world.image("missing", stored=False)
    with pytest.raises(VerificationError, match=r"gone or damaged \(missing_object 1\): ops_db.image_findings lists them"):
        operator(world, tmp_path).execute(Run(world.root).context())
    assert [entry.key for entry in world.store.list(world.layout.images)] == [world.keys["good"]]
    rows = query(stack, f"SELECT finding, action FROM ops_db.image_findings WHERE run_id = '{world.root}' ORDER BY 1")
    assert rows == [["missing_object", "reported"], ["orphan_object", "moved"]]


def test_a_cap_that_is_too_low_fails_a_real_run_and_not_a_dry_one(world: World, tmp_path: Path) -> None:
    world.image("good")
    world.image("orphan", row=False)
    assert operator(world, tmp_path, max_moves="1", only_say="True").execute(Run(world.root).context())["actions"] == {"reported": 2}
    with pytest.raises(ConfigurationError, match="nothing was changed: 2 objects belong to no row"):
        operator(world, tmp_path, max_moves="1").execute(Run(world.root).context())
    with pytest.raises(ConfigurationError, match="max_moves is 10001"):
        operator(world, tmp_path, max_moves="10001").execute(Run(world.root).context())
