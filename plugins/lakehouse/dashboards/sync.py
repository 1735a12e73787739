"""Plan, back up, apply, read back; prune; restore. The same for every service, which says in its parts how it is read and written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from lakehouse.dashboards.objects import Document, Key, Live, Part, Target, Wanted
from lakehouse.dashboards.plan import Action, Change, Plan, every_key, make_plan
from lakehouse.dashboards.record import Backup, Memory, Record, Recorded
from lakehouse.exceptions import LakehouseError, PruneLimitError, ServiceError, VerificationError

log = logging.getLogger(__name__)

_ROUNDS = 2


@dataclass(frozen=True)
class Written:
    """Outcome of an apply: the keys that were written, and the backup of what was there (empty: nothing was touched)."""

    keys: tuple[Key, ...]
    backup: str


class Sync:
    """One service, its files and its memory.

    Args:
        target: the service.
        memory: its record and backups.
        point: called with the name of each step before it is done; tests stop there.
    """

    def __init__(self, target: Target, memory: Memory, *, point: Callable[[str], object] = str) -> None:
        self._target, self._memory, self._point = target, memory, point
        self._shapes = {kind: part.shape for part in target.parts for kind in part.kinds}

    def plan(self, *, thorough: bool = False) -> Plan:
        """What an apply would do; nothing is written.

        Args:
            thorough: read every object, also those whose version says that nobody touched them.
        """
        record = self._memory.record()
        return self._compare(record, fresh=record.applied if thorough else record.pending)[0]

    def _compare(self, record: Record, fresh: Collection[Key]) -> tuple[Plan, dict[Key, Wanted], dict[Key, Live]]:
        """The plan, and its two sides; of the keys in `fresh` no version is trusted."""
        wanted = {key: self._unsaid(key, one, record) for key, one in self._target.wanted().items()}
        known = {
            key: Live(entry.content, entry.name, version=entry.version)
            for key, entry in record.applied.items()
            if entry.version and key not in fresh
        }
        live = self._live(wanted.keys() | record.applied.keys(), known)
        return make_plan(wanted, live, record, self._target.user, self._shapes, self._target.kept), wanted, live

    def apply(self, *, overwrite_drift: bool = False, thorough: bool = False) -> tuple[Plan, Written]:
        """Bring the service to what the files say; what a person edited since the last apply is left alone unless told otherwise.

        Args:
            overwrite_drift: write over such edits too; the backup has them.
            thorough: as in `plan`.

        Returns:
            The plan as it was before, and what was done.

        Raises:
            ServiceError: the service refused an object, after everything that does not depend on it was written.
            VerificationError: it took all, and reads back differently.
        """
        record = self._memory.record()
        plan, wanted, live = self._compare(record, fresh=record.applied if thorough else record.pending)
        if touched := {change.key for change in plan.writes(overwrite_drift=overwrite_drift)}:
            # What is written over is looked at itself: its version may have missed an edit.
            plan, wanted, live = self._compare(record, fresh=record.applied if thorough else record.pending | touched)
        log.info("plan:\n%s", plan.to_markdown())
        keys = [change.key for change in plan.writes(overwrite_drift=overwrite_drift)]
        if not keys:
            self._remember(record, plan, wanted, live)
            return plan, Written((), "")
        self._point("back up")
        backup = self._memory.back_up({key: live.get(key) for key in keys})
        log.info("backup %s keeps what is live of the %d objects that are touched", backup, len(keys))
        self._point("note what is begun")
        # A write may touch what was as it should be: an import makes its user an owner. So what is watched is more than what is written.
        beside = {change.key for change in plan.of(Action.UNCHANGED) if not self._shapes[change.key.kind].replaces}
        watched = {*keys, *beside}
        begun = {key: wanted[key].content for key in keys if self._shapes[key.kind].replaces}
        record = replace(record, pending=record.pending | watched, begun={**record.begun, **begun})
        self._memory.write_record(record)
        left: Collection[Key] = keys
        for _ in range(_ROUNDS):
            written: set[Key] = set()
            try:
                self._write({key: wanted[key].content for key in left}, written)
            except ServiceError:
                record = self._after_sending(record, {key: wanted[key] for key in written})
                # Where not even reading is possible any more, the record says that a write was begun.
                with suppress(LakehouseError):
                    after, wanted, live = self._compare(record, fresh=keys)
                    self._remember(record, after, wanted, live)
                raise
            record = self._after_sending(record, {key: wanted[key] for key in left})
            self._point("read back")
            after, wanted, live = self._compare(record, fresh=keys)
            # Whatever a person edited in these seconds is drift, and is left alone.
            left = [change.key for change in after.of(Action.CREATE, Action.CHANGE) if change.key in watched]
            if not left:
                break
        self._point("note what is done")
        self._remember(record, after, wanted, live)
        if missed := [change for change in after.changes if change.key in left or (change.action is Action.DRIFTED and change.key in keys)]:
            shown = "\n  ".join(f"{c.key.kind} {c.name}: {c.action} {', '.join(d.path for d in c.differences)}" for c in missed)
            raise VerificationError(f"{self._target.name} took the write, but reads back differently:\n  {shown}\nthe backup is {backup}")
        return plan, Written(tuple(keys), backup)

    def _after_sending(self, record: Record, sent: Mapping[Key, Wanted]) -> Record:
        """The record after these went out: secrets are known, and what they do not say any more is not missed."""
        return record.with_secrets(sent).with_said({key: one for key, one in sent.items() if self._shapes[key.kind].replaces})

    def _remember(self, record: Record, plan: Plan, wanted: Mapping[Key, Wanted], live: Mapping[Key, Live]) -> None:
        """Whatever is live as its file says is what was applied last, whoever wrote it; what is gone on both sides is forgotten."""
        same = {
            change.key: Recorded(
                change.name, live[change.key].content, live[change.key].version, self._said(change.key, wanted[change.key])
            )
            for change in plan.of(Action.UNCHANGED)
        }
        known = {change.key for change in plan.changes}
        kept = {key: entry for key, entry in record.applied.items() if key in known}
        new = replace(record, applied=kept | same, pending=record.pending & known - same.keys())
        if new != record:
            self._memory.write_record(new)

    def prune(self, keys: Collection[Key], *, limit: int) -> tuple[tuple[Change, ...], str]:
        """Remove orphaned objects that nobody edited since we applied them, and that nothing else uses.

        Args:
            keys: what was approved; an object that is no orphan any more, or was edited since, stays.
            limit: at most so many.

        Returns:
            What was removed, and the backup of it.

        Raises:
            PruneLimitError: there are more than `limit`; nothing was removed.
        """
        record = self._memory.record()
        plan, _, live = self._compare(record, fresh=record.applied)
        orphaned = [change for change in plan.of(Action.ORPHANED) if change.key in keys]
        doomed = tuple(change for change in orphaned if not change.differences and not change.locked)
        if len(doomed) > limit:
            raise PruneLimitError(f"{len(doomed)} objects would be removed, the limit is {limit}: raise the param if that is meant")
        if not doomed:
            return (), ""
        backup = self._memory.back_up({change.key: live[change.key] for change in doomed})
        removed: list[Change] = []
        left = list(doomed)
        while left:
            gone_now = self._remove(left)
            if not gone_now:
                break
            removed += gone_now
            left = [change for change in left if change not in gone_now]
        for change in left:
            log.warning("%s %s is left", change.key.kind, change.name)
        gone = {change.key for change in removed}
        if still := sorted(map(str, self._live(gone))):
            raise VerificationError(f"{self._target.name} took the removal, but still has {', '.join(still)}; the backup is {backup}")
        self._memory.write_record(replace(record, applied={key: entry for key, entry in record.applied.items() if key not in gone}))
        return tuple(removed), backup

    def _remove(self, changes: Collection[Change]) -> list[Change]:
        """Remove what nothing needs, in the reverse order of writing; what held something may be free after it."""
        removed = []
        for part in reversed(self._target.parts):
            for change in sorted((c for c in changes if c.key.kind in part.kinds), key=lambda c: -part.kinds.index(c.key.kind)):
                if users := part.in_use(change.key):
                    log.info("%s %s is not removed yet: %s", change.key.kind, change.name, users)
                    continue
                self._point(f"delete {change.key}")
                try:
                    part.delete(change.key)
                except ServiceError as error:
                    log.info("%s %s is not removed yet: %s", change.key.kind, change.name, error)
                else:
                    removed.append(change)
        return removed

    def restore(self, name: str) -> tuple[Backup, str]:
        """Bring the objects of a backup back to what they were; what was created since is left. The record stays as it is: to the
        next sync the restored objects are edits by hand, which it reports and leaves alone.

        Returns:
            The backup, and the name of a new one of what was live just before.

        Raises:
            ConfigurationError: there is no such backup.
            VerificationError: an object reads back differently.
        """
        backup = self._memory.backup(name)
        before = {key: live for key, live in backup.objects.items() if live}
        now = self._live(before)
        as_files = {key: Wanted(live.content, live.name) for key, live in before.items()}
        # What a document that is replaced whole had not when it was kept, it is not to have.
        shapes = {kind: every_key(shape) if shape.replaces else shape for kind, shape in self._shapes.items()}
        taken = Record(pending=frozenset(before))
        changes = make_plan(as_files, now, taken, "", shapes)
        writes = [change.key for change in changes.writes(overwrite_drift=True)]
        if not writes:
            return backup, ""
        newer = self._memory.back_up({key: now.get(key) for key in writes})
        self._write({key: before[key].content for key in writes}, set())
        after = make_plan(as_files, self._live(before), taken, "", shapes)
        if left := after.writes(overwrite_drift=True):
            raise VerificationError(f"restored, but these read back differently: {', '.join(f'{c.key.kind} {c.name}' for c in left)}")
        record = self._memory.record()
        if record.pending & before.keys():  # a sync that was cut off is not to be finished over it
            self._memory.write_record(replace(record, pending=record.pending - before.keys()))
        return backup, newer

    def _live(self, keys: Collection[Key], known: Mapping[Key, Live] = MappingProxyType({})) -> dict[Key, Live]:
        found: dict[Key, Live] = {}
        for part in self._target.parts:
            if mine := [key for key in keys if key.kind in part.kinds]:
                found |= part.live(mine, known)
        return found

    def _write(self, documents: Mapping[Key, Document], written: set[Key]) -> None:
        """Write in order, and add to `written` what was taken.

        What is refused is tried again after the rest, because it may need what comes later, as long as that helps.
        """
        batches = list(self._batches(documents))
        while batches:
            refused: list[tuple[Part, dict[Key, Document], ServiceError]] = []
            for part, batch in batches:
                self._point(f"write {', '.join(sorted({key.kind for key in batch}))}")
                try:
                    part.write(batch)
                except ServiceError as error:
                    refused.append((part, batch, error))
                else:
                    written.update(batch)
                    log.info("wrote %d objects: %s", len(batch), ", ".join(sorted({key.kind for key in batch})))
            if len(refused) == len(batches):
                first = refused[0][2]
                shown = "\n  ".join(f"{', '.join(map(str, batch))}: {error}" for _, batch, error in refused)
                raise ServiceError(
                    f"{self._target.name} refused a part; the rest was written:\n  {shown}", status=first.status, target=first.target
                )
            batches = [(part, batch) for part, batch, _ in refused]

    def _batches(self, documents: Mapping[Key, Document]) -> Iterator[tuple[Part, dict[Key, Document]]]:
        for part in self._target.parts:
            keys = sorted((key for key in documents if key.kind in part.kinds), key=lambda key: (part.kinds.index(key.kind), key.id))
            for group in [keys] if part.together and keys else [[key] for key in keys]:
                yield part, {key: documents[key] for key in group}

    def _said(self, key: Key, wanted: Wanted) -> Document:
        """What the record keeps of a file: where a key has to be told that it is gone, the keys are enough."""
        return wanted.content if self._shapes[key.kind].replaces else dict.fromkeys(wanted.content)

    def _unsaid(self, key: Key, wanted: Wanted, record: Record) -> Wanted:
        """With nothing for each key that the file had and has no more, where it would otherwise stay as it is."""
        if key not in record.applied or self._shapes[key.kind].replaces:
            return wanted
        dropped = record.applied[key].said.keys() - wanted.content.keys()
        return replace(wanted, content={**wanted.content, **dict.fromkeys(sorted(dropped))}) if dropped else wanted
