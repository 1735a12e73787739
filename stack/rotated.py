"""Log files that were rotated while the log collector was stopped, given back to it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path


def link_missed(logs: Path, work: Path, missed: Path) -> None:
    """Hard-link into `missed` what the collector has not read to its end, as `<inode>.<name>.log`; drop the links that it has.

    rsyslog's imfile knows a file by its inode, so it goes on in a link where it was in the file. Call it while the collector is stopped.

    Args:
        logs: the folder with `<name>.log`, and `<name>.log.1`, the newest of those that were rotated.
        work: rsyslog's `workDirectory`, with its `imfile-state:<inode>:<hash>` files.
    """
    offsets = _offsets(work)

    def read_to(path: Path) -> int | None:
        """Where the collector is in a file; None if it never saw it: an offset beyond the end is that of another file, long gone."""
        status = path.stat()
        return max((offset for offset in offsets.get(status.st_ino, ()) if offset <= status.st_size), default=None)

    missed.mkdir(parents=True, exist_ok=True, mode=0o700)
    for link in missed.iterdir():
        if read_to(link) == link.stat().st_size:
            link.unlink()
    for log in logs.glob("*.log"):
        unread = [log]
        rotated = [path for path in logs.glob(f"{log.name}.*") if path.suffix[1:].isdigit()]
        # What is newer than the last one that was seen was seen by nobody. Without any that was seen there is nothing to go on with.
        for path in sorted(rotated, key=lambda path: int(path.suffix[1:])):
            if read_to(unread[-1]) is not None:
                break
            unread.append(path)
        if read_to(unread[-1]) is None:
            continue
        for path in unread[1:]:
            link = missed / f"{path.stat().st_ino}.{log.name}"
            if read_to(path) != path.stat().st_size and not link.exists():
                link.hardlink_to(path)


def _offsets(work: Path) -> dict[int, set[int]]:
    """By inode how far its files were read, one that is gone included; a small file's state has no hash in its name."""
    found: dict[int, set[int]] = {}
    for path in work.glob("imfile-state:*"):
        with suppress(ValueError, KeyError):  # cut off by a kill: as if there were none
            found.setdefault(int(path.name.split(":")[1]), set()).add(int(json.loads(path.read_text())["curr_offs"]))
    return found
