"""Log files that were rotated while the log collector was stopped, given back to it."""

from __future__ import annotations

import json
from pathlib import Path


def link_missed(logs: Path, work: Path, missed: Path) -> None:
    """Hard-link into `missed` what the collector has not read to its end, as `<inode>.<name>.log`; drop the links that it has.

    rsyslog's imfile knows a file by its inode, so it goes on in a link where it was in the file. Call it while the collector is stopped.

    Args:
        logs: the folder with `<name>.log`, and `<name>.log.1`, the newest of those that were rotated.
        work: rsyslog's `workDirectory`, with its `imfile-state:<inode>:<hash>` files.
    """
    offsets = {int(path.name.split(":")[1]): int(json.loads(path.read_text())["curr_offs"]) for path in work.glob("imfile-state:*:*")}
    missed.mkdir(parents=True, exist_ok=True, mode=0o700)
    for link in missed.iterdir():
        if offsets.get(link.stat().st_ino) == link.stat().st_size:
            link.unlink()
    for log in logs.glob("*.log"):
        unread = [log]
        # What is newer than the last one that was seen was seen by nobody. Without any that was seen there is nothing to go on with.
        for rotated in sorted(logs.glob(f"{log.name}.*"), key=lambda path: int(path.suffix[1:])):
            if unread[-1].stat().st_ino in offsets:
                break
            unread.append(rotated)
        if unread[-1].stat().st_ino not in offsets:
            continue
        for rotated in unread[1:]:
            status = rotated.stat()
            link = missed / f"{status.st_ino}.{log.name}"
            if offsets.get(status.st_ino) != status.st_size and not link.exists():
                link.hardlink_to(rotated)
