"""The process that looks at images of strangers: one path a line on standard input, one answer a line on standard output.

It is started with an empty environment and bounds its own memory before it opens anything. Run by `lakehouse.images.decoders`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakehouse.images.inspect import Limits, RefusedImage, inspect
from lakehouse.images.private import clean

_OPEN_FILES = 64


def look(path: Path, limits: Limits, formats: list[str], *, drop_private: bool) -> dict[str, Any]:
    """The facts of the image in a file; the thumbnail lies beside it then, and the file holds what is to be stored.

    Raises:
        RefusedImage: it is not taken; the file is as it was.
    """
    body = path.read_bytes()
    facts = inspect(body, limits, formats)
    cleaned, had_private = clean(body, facts.mime_type)
    thumbnail_file(path).write_bytes(facts.thumbnail)
    if had_private and drop_private:
        path.write_bytes(cleaned)
    told = asdict(facts)
    del told["thumbnail"]
    return told | {"private_metadata": ("dropped" if drop_private else "kept") if had_private else "none"}


def thumbnail_file(path: Path) -> Path:
    """Where the thumbnail of a file is put."""
    return path.with_name(path.name + ".thumbnail")


def main() -> None:
    """Answer until standard input ends."""
    limits, formats, drop_private = json.loads(sys.argv[1])
    bounds = Limits(**limits)
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory_bytes, bounds.memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a decoder's library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    tell("ready")
    for line in sys.stdin:
        try:
            answer = look(Path(json.loads(line)), bounds, formats, drop_private=drop_private)
        except RefusedImage as error:
            answer = {"reason": error.reason, "detail": str(error)}
        except OSError as error:  # the disk's fault, not the image's
            answer = {"errno": error.errno, "detail": error.strerror}
        except MemoryError:
            answer = {"reason": "too_much_memory", "detail": f"it takes more than {bounds.memory_bytes} bytes of memory"}
        tell(answer)


if __name__ == "__main__":
    main()
