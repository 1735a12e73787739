"""The worker's own disk, where large inputs wait."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.exceptions import StorageFullError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Turn "no space left" while writing below a folder into an error that says where room is wanted.

    Raises:
        StorageFullError: the disk is full, read-only, or over its quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFullError(f"{folder} takes no more ({error.strerror}): make room there, or set TMPDIR to a larger disk") from error
        raise
