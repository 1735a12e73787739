"""Six sample images, drawn from a fixed seed: five that are fine and one that is cut off in the middle."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

from PIL import Image, ImageDraw

_FORMATS = (("candles", "JPEG"), ("order-book", "PNG"), ("heat-map", "WEBP"), ("logo", "PNG"), ("sparkline", "GIF"))


def files() -> Iterator[tuple[str, bytes]]:
    """(file name, content) of each image."""
    for number, (name, kind) in enumerate(_FORMATS):
        body = _draw(number, kind)
        yield f"{name}.{kind.lower()}", body
        if number == 0:
            yield "cut-off.jpeg", body[: len(body) // 2]


def _draw(number: int, kind: str) -> bytes:
    rng = random.Random(number)  # noqa: S311  # sample data, not a secret
    width, height = 480 + 80 * number, 360
    image = Image.new("RGB", (width, height), (18, 24, 38))
    draw = ImageDraw.Draw(image)
    level = height / 2
    for x in range(10, width - 10, 14):
        step = rng.gauss(0, 18)
        colour = (80, 200, 140) if step < 0 else (220, 90, 90)
        top, bottom = sorted((level, level + step))
        draw.line((x + 4, top - rng.uniform(4, 20), x + 4, bottom + rng.uniform(4, 20)), fill=colour)
        draw.rectangle((x, top, x + 8, bottom + 1), fill=colour)
        level = min(max(level + step, 60), height - 60)
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()
