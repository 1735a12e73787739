"""Images of strangers are decoded in processes of their own: no secret in them, bounded memory and time, killed and replaced."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lakehouse.exceptions import ConfigurationError
from lakehouse.images import decoder
from lakehouse.images.inspect import RefusedImage
from lakehouse.images.rules import ImageRules

# The package's folder, for a process that does not know ours.
_PACKAGES = Path(decoder.__file__).resolve().parents[2]
_START = f"import sys; sys.path.insert(0, {str(_PACKAGES)!r}); from lakehouse.images.decoder import main; main()"
_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Looked:
    """An image that is taken; its file holds what is to be stored, the thumbnail lies in `thumbnail`.

    Attributes:
        private_metadata: none, dropped or kept: what became of GPS positions and serial numbers.
    """

    mime_type: str
    width: int
    height: int
    frames: int
    perceptual_hash: str
    private_metadata: str
    thumbnail: Path


class Decoders:
    """A few decoding processes, started when they are needed.

    Args:
        rules: what is taken.
        processes: how many images are looked at side by side.
    """

    def __init__(self, rules: ImageRules, processes: int) -> None:
        self._rules = rules
        self._processes = processes

    async def __aenter__(self) -> Decoders:
        self._idle: asyncio.Queue[asyncio.subprocess.Process | None] = asyncio.Queue()
        for _ in range(self._processes):
            self._idle.put_nowait(None)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while not self._idle.empty():
            await _end(self._idle.get_nowait())

    async def look(self, path: Path) -> Looked:
        """Look at the image in a file.

        Raises:
            RefusedImage: it is not taken, also because it took too long, too much memory, or its decoder died of it.
            OSError: the disk does not take the thumbnail.
        """
        process = await self._idle.get()
        try:
            answer = None
            # It may have been killed for what others took of the memory: only one that dies twice says something of the image.
            for _ in range(2):
                process = process or await self._start()
                answer = await asyncio.wait_for(_ask(process, path), self._rules.limits.seconds)
                if answer is not None:
                    break
                died = await process.wait()
                process = None
            if answer is None:
                raise RefusedImage("decoder_died", f"its decoder ended with {died}, twice")
        except TimeoutError:
            await _end(process)
            process = None
            raise RefusedImage("too_slow", f"it takes more than {self._rules.limits.seconds:g} seconds to decode") from None
        except BaseException:
            await _end(process)
            process = None
            raise
        finally:
            self._idle.put_nowait(process)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["detail"])
        if "reason" in answer:
            raise RefusedImage(answer["reason"], answer["detail"])
        return Looked(**answer, thumbnail=decoder.thumbnail_file(path))

    async def _start(self) -> asyncio.subprocess.Process:
        settings = json.dumps([asdict(self._rules.limits), sorted(self._rules.formats), self._rules.drop_private])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", _START, settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={},
            limit=_ANSWER_BYTES,
        )
        # One that dies before it has seen an image says nothing about the image.
        if process.stdout is None or not await process.stdout.readline():
            raise ConfigurationError(f"the decoding process does not start, it ended with {await process.wait()}: its own words are above")
        return process


async def _ask(process: asyncio.subprocess.Process, path: Path) -> dict[str, Any] | None:
    """None when the process died of it."""
    if process.stdin is None or process.stdout is None:  # never: both are pipes
        raise RuntimeError("the decoder has no pipes")
    process.stdin.write(json.dumps(str(path)).encode() + b"\n")
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        return None
    answer: dict[str, Any] = json.loads(line)
    return answer


async def _end(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        process.kill()
        await process.wait()
