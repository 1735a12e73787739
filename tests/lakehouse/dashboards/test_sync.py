from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.dashboards.objects import Document, Key, Shape
from lakehouse.dashboards.plan import Action
from lakehouse.dashboards.record import Memory
from lakehouse.dashboards.sync import Sync
from lakehouse.exceptions import ConfigurationError, ServiceError
from tests.lakehouse.dashboards.services import DictPart, DictStore, DictTarget

BOARD, CHART, ROLE = Key("boards", "b"), Key("charts", "c"), Key("roles", "r")


KEEPS_ALL = Shape(exact=("",))


class KilledError(Exception):
    pass


def service(shape: Shape = KEEPS_ALL) -> tuple[DictTarget, DictStore]:
    there: dict[Key, Document] = {}
    parts = DictPart(("charts", "boards"), together=True, there=there, shape=shape), DictPart(("roles",), there=there, shape=shape)
    return DictTarget({key: {"text": key.id} for key in (BOARD, CHART, ROLE)}, parts), DictStore()


def sync(target: DictTarget, store: DictStore, **options: object) -> Sync:
    return Sync(target, Memory(store, "here"), **options)


def test_parts_are_written_in_their_order_together_or_one_by_one():
    target, store = service()
    target.files[Key("roles", "a")] = {}
    sync(target, store).apply()
    assert target.parts[0].calls == [f"write {BOARD} write {CHART}"]
    assert target.parts[1].calls == ["write roles/a", "write roles/r"]


def test_what_needs_a_later_object_is_tried_once_more():
    target, store = service()
    target.parts[0].needs[BOARD] = ROLE
    sync(target, store).apply()
    assert sync(target, store).plan().counts()["unchanged"] == 3


def test_what_stays_refused_is_named_and_the_rest_is_written():
    target, store = service()
    target.parts[0].needs[CHART] = Key("charts", "nowhere")
    with pytest.raises(ServiceError, match=r"service refused a part; the rest was written:\n  .*charts/c needs charts/nowhere") as caught:
        sync(target, store).apply()
    assert caught.value.status == 422
    assert ROLE in target.parts[1].there
    del target.parts[0].needs[CHART]
    sync(target, store).apply()
    assert sync(target, store).plan().counts()["unchanged"] == 3


@pytest.mark.parametrize("killed_before", [None, "read back", "write roles"])
def test_what_a_write_touches_beside_is_set_right_in_the_same_run_or_after_a_kill(killed_before):
    target, store = service()
    sync(target, store).apply()
    target.parts[0].touches[BOARD] = ROLE
    target.files[BOARD] = {"text": "changed"}

    def stop(name: str) -> None:
        if killed_before and name.startswith(killed_before):
            raise KilledError

    with contextlib.suppress(KilledError):
        sync(target, store, point=stop).apply()
    if killed_before:
        assert sync(target, store).plan().of(Action.DRIFTED) == ()
        sync(target, store).apply()
    assert sync(target, store).plan().counts()["unchanged"] == 3
    assert target.parts[0].there[ROLE] == {"text": ROLE.id}


def test_a_key_that_a_file_has_no_more_is_taken_back():
    target, store = service()
    target.files[BOARD] = {"text": "b", "css": "wide"}
    sync(target, store).apply()
    target.files[BOARD] = {"text": "b"}
    plan, _ = sync(target, store).apply()
    assert [d.path for d in plan.of(Action.CHANGE)[0].differences] == ["css"]
    assert target.parts[0].there[BOARD] == {"text": "b", "css": None}
    assert sync(target, store).plan().counts()["unchanged"] == 3


def test_an_edit_during_an_apply_is_left_alone():
    target, store = service()
    sync(target, store).apply()
    target.files[CHART] = {"text": "changed"}

    def edit(name: str) -> None:
        if name == "read back":
            target.parts[0].there[BOARD] = {"text": "by hand"}
            target.parts[0].edited.add(BOARD)

    sync(target, store, point=edit).apply()
    assert target.parts[0].there[BOARD] == {"text": "by hand"}
    assert [change.key for change in sync(target, store).plan().of(Action.DRIFTED)] == [BOARD]


def test_what_on_call_restored_is_not_written_over_by_finishing_the_sync_that_was_cut_off():
    target, store = service()
    sync(target, store).apply()
    target.files[BOARD] = {"text": "bad"}

    def stop(name: str) -> None:
        if name == "note what is done":
            raise KilledError

    with contextlib.suppress(KilledError):
        sync(target, store, point=stop).apply()
    memory = Memory(store, "here")
    sync(target, store).restore(memory.backups()[0])
    assert target.parts[0].there[BOARD] == {"text": "b"}
    assert BOARD not in memory.record().pending


def test_an_orphan_that_something_else_needs_is_left():
    target, store = service()
    sync(target, store).apply()
    target.files.clear()
    target.parts[0].needed.add(CHART)
    removed, _ = sync(target, store).prune({BOARD, CHART, ROLE}, limit=3)
    assert {change.key for change in removed} == {BOARD, ROLE}
    assert [change.key for change in sync(target, store).plan().of(Action.ORPHANED)] == [CHART]


def test_orphans_are_removed_in_the_reverse_order_of_writing():
    target, store = service()
    sync(target, store).apply()
    target.files.clear()
    removed, _ = sync(target, store).prune({BOARD, CHART, ROLE}, limit=3)
    assert {change.key for change in removed} == {BOARD, CHART, ROLE}
    assert [call for part in reversed(target.parts) for call in part.calls if "delete" in call] == [
        f"delete {ROLE}",
        f"delete {BOARD}",
        f"delete {CHART}",
    ]


def test_what_was_never_applied_from_here_is_no_orphan():
    target, store = service()
    target.parts[1].there[Key("roles", "theirs")] = {}
    sync(target, store).apply()
    assert sync(target, store).plan().of(Action.ORPHANED) == ()


def test_a_damaged_record_is_named_with_what_to_do():
    target, store = service()
    store.objects["here/applied.json"] = b"{"
    with pytest.raises(ConfigurationError, match=r"here/applied\.json is no record .* remove it"):
        sync(target, store).plan()


TEXTS = st.sampled_from(["a", "b", "c"])
SIDES = st.dictionaries(st.sampled_from([BOARD, CHART, ROLE]), TEXTS)


def document(text: str) -> Document:
    """Of several texts, some with a key that others lack."""
    return {"text": text, "inner": {"note": "there"}} if text == "b" else {"text": text, "inner": {}}


@given(first=SIDES, edits=SIDES, second=SIDES, steps=st.integers(0, 8), overwrite=st.booleans(), replaces=st.booleans())
def test_whatever_was_edited_and_wherever_it_was_killed_the_next_apply_loses_no_edit_and_settles(
    first, edits, second, steps, overwrite, replaces
):
    """Files, edits by hand, other files, a kill after some steps of an apply, and an apply that ends."""
    target, store = service(Shape(replaces=True) if replaces else KEEPS_ALL)
    target.files = {key: document(text) for key, text in first.items()}
    sync(target, store).apply()
    for key, text in edits.items():
        target.parts[0].there[key] = document(text)
        target.parts[0].edited.add(key)
    target.files = {key: document(text) for key, text in second.items()}

    left = steps

    def stop(name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    before = dict(target.parts[0].there)
    with contextlib.suppress(KilledError):
        sync(target, store, point=stop).apply(overwrite_drift=overwrite)
    sync(target, store).apply(overwrite_drift=overwrite)
    after = dict(target.parts[0].there)
    plan = sync(target, store).plan()
    assert not plan.of(Action.CREATE, Action.CHANGE)
    memory = Memory(store, "here")
    assert not memory.record().pending
    kept = [backup.objects for backup in map(memory.backup, memory.backups())]
    for key, there in before.items():
        # Nothing that was live is lost: it is live still, or in a backup.
        assert after.get(key) == there or any(key in objects and objects[key] and objects[key].content == there for objects in kept)
        if not overwrite and key in first and key in second and there not in (document(first[key]), document(second[key])):
            assert after[key] == there
    if overwrite:
        assert {key: after.get(key) for key in target.files} == target.files
