"""Pictures that are no charts: logos, gradients, landscapes and faces, from a seed."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from include.sample_data.images.canvas import font
from include.sample_data.images.market import Floats

_BRANDS = (
    ("Tidewater", "#0a7ea4", "#7fd1e6"),
    ("Northfold", "#7a3cff", "#ff8fd2"),
    ("Ember", "#ff5a1f", "#ffc24b"),
    ("Fern & Co", "#1f8a4c", "#b7e07a"),
)
# Sky above, sky at the horizon, far hills, near hills.
_TIMES_OF_DAY = (
    ((38, 84, 160), (255, 214, 170), (120, 130, 170), (24, 48, 60)),
    ((92, 160, 220), (226, 240, 250), (130, 165, 170), (40, 80, 50)),
    ((30, 22, 70), (250, 120, 90), (110, 60, 110), (24, 16, 40)),
    ((120, 180, 200), (250, 245, 220), (170, 180, 150), (90, 90, 50)),
)


def logo(number: int) -> Image.Image:
    """A mark and a name on a transparent ground."""
    name, dark, light = _BRANDS[number % len(_BRANDS)]
    image = Image.new("RGBA", (1200, 720), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    middle, radius = (600, 270), 190
    if number % 4 == 0:
        draw.circle(middle, radius, fill=dark)
        for step in range(3):
            x = np.linspace(-radius, radius, 80)
            y = 70 * step - 60 + 26 * np.sin(x / 42 + step)
            draw.line(
                [(600 + a, 270 + b) for a, b in zip(x, y, strict=True) if a * a + b * b < (radius - 8) ** 2],
                fill=light,
                width=24,
                joint="curve",
            )
    elif number % 4 == 1:
        for turn, colour in ((0, dark), (45, light)):
            draw.regular_polygon((*middle, radius), 4, rotation=turn, fill=colour)
        draw.regular_polygon((*middle, 105), 4, rotation=22, fill="#ffffff")
    elif number % 4 == 2:
        draw.polygon([(600, 60), (770, 300), (690, 460), (510, 460), (430, 300)], fill=dark)
        draw.polygon([(600, 220), (690, 350), (640, 460), (560, 460), (510, 350)], fill=light)
    else:
        for turn in range(6):
            angle = turn * np.pi / 3
            draw.circle((600 + 105 * np.cos(angle), 270 + 105 * np.sin(angle)), 92, fill=dark if turn % 2 else light)
        draw.circle(middle, 62, fill="#ffffff")
    draw.text((600, 590), name, fill=dark, font=font(118), anchor="mm", stroke_width=2, stroke_fill=dark)
    return image.reduce(2)


def gradient(number: int) -> Image.Image:
    """Light that fades from one corner to the other, with soft spots of another colour."""
    width, height = ((600, 400), (400, 600), (512, 512))[number % 3]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    rng = np.random.default_rng([number, 6])
    picture = np.zeros((height, width, 3)) + _colour(number / 3 + 0.05, 0.75, 0.95)
    for spot in range(4):
        across, up, size = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.25, 0.5)
        part = np.exp(-((x - across) ** 2 + (y - up) ** 2) / size**2)[..., None]
        picture = picture * (1 - part) + part * _colour(number / 3 + 0.05 + 0.09 * (spot + 1), 0.6, 1.0)
    return _image(picture)


def landscape(number: int, size: tuple[int, int]) -> Image.Image:
    """Hills one behind the other under a sky, with the grain of a photograph."""
    width, height = size
    rng = np.random.default_rng([number, 7])
    above, horizon, far, near = (np.array(colour) for colour in _TIMES_OF_DAY[number % len(_TIMES_OF_DAY)])
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    picture = above + (horizon - above) * np.clip(y / 0.65, 0, 1)[..., None] ** 1.4
    sun = np.hypot((x - rng.uniform(0.25, 0.75)) * width / height, y - rng.uniform(0.22, 0.4))
    picture += (255 - picture) * (np.exp(-((sun / 0.22) ** 2)) * 0.5 + (sun < 0.055))[..., None].clip(0, 1)
    clouds = _noise(rng, size, 4, flat=0.35) * np.clip(1 - y / 0.5, 0, 1)
    picture += (255 - picture) * np.clip(clouds - 0.15, 0, 0.75)[..., None]
    layers = 5
    for layer in range(layers):
        depth = layer / (layers - 1)
        ridge = 0.5 + 0.09 * layer + (0.05 + 0.05 * depth) * _ridge(rng, width, 2 + layer)
        hill = far + (near - far) * depth
        covered = np.clip((y - ridge) * height, 0, 1)[..., None]
        light = 1 + 0.22 * _noise(rng, size, 10 + 6 * layer)[..., None] - 0.35 * np.clip(y - ridge, 0, 1)[..., None]
        picture = picture * (1 - covered) + covered * hill * light
    return _image(picture + rng.normal(0, 3, (height, width, 1)))


def heights(number: int, size: tuple[int, int]) -> Image.Image:
    """A map of heights in sixteen bits of grey."""
    rng = np.random.default_rng([number, 8])
    field = sum(_noise(rng, size, 3 * 2**octave) / 2**octave for octave in range(6))
    field = (field - field.min()) / (field.max() - field.min())
    return Image.fromarray((4_000 + 58_000 * field).astype(np.uint16))


def avatar(number: int) -> Image.Image:
    """A face of a few shapes: skin, hair, shirt and a plain ground."""
    rng = np.random.default_rng([number, 9])
    side = 640
    image = Image.new("RGB", (side, side), _hex(number / 8 + 0.02, 0.35, 0.95))
    draw = ImageDraw.Draw(image)
    skin = ("#f6d3b3", "#e0ac7e", "#c58c5c", "#8d5a3a", "#5f3b26")[int(rng.integers(5))]
    hair = ("#2b1d14", "#5a3825", "#b8783a", "#e2c069", "#3d3d46", "#8c2f1b")[int(rng.integers(6))]
    draw.ellipse((110, 470, 530, 900), fill=_hex(number / 8 + 0.45, 0.6, 0.75))
    if number % 2:
        draw.rounded_rectangle((180, 170, 460, 500), 120, fill=hair)
    draw.rounded_rectangle((265, 400, 375, 530), 45, fill=_shade(skin))
    draw.ellipse((205, 150, 435, 450), fill=skin)
    draw.pieslice((190, 110, 450, 390), 180 - 8 * (number % 3), 360 + 8 * (number % 3), fill=hair)
    for x in (275, 365):
        draw.circle((x, 300), 15, fill="#ffffff")
        draw.circle((x, 301), 9, fill="#20242c")
        if number % 3 == 0:
            draw.circle((x, 300), 34, outline="#20242c", width=7)
    if number % 3 == 0:
        draw.line((309, 300, 331, 300), fill="#20242c", width=7)
    draw.arc((275, 325, 365, 395), 20, 160, fill="#a3423a", width=9)
    return image.reduce(2 if number % 2 else 1).resize((256 + 32 * (number % 4),) * 2, Image.Resampling.LANCZOS)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: int, flat: float = 1.0) -> Floats:
    """Smooth noise from -1 to 1, of about so many hills from side to side; `flat` pulls them wide."""
    coarse = rng.uniform(-1, 1, (max(2, round(cells / flat * size[1] / size[0]) + 1), cells + 1)).astype(np.float32)
    fine: Floats = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    return fine


def _ridge(rng: np.random.Generator, width: int, cells: int) -> Floats:
    ridge: Floats = sum(_noise(rng, (width, 2), cells * 2**octave)[0] / 2**octave for octave in range(5))
    return ridge


def _image(picture: Floats) -> Image.Image:
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _colour(hue: float, saturation: float, value: float) -> Floats:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _hex(hue: float, saturation: float, value: float) -> str:
    return "#" + bytes(round(part) for part in _colour(hue, saturation, value).tolist()).hex()


def _shade(colour: str) -> str:
    return "#" + bytes(round(part * 0.86) for part in bytes.fromhex(colour[1:])).hex()
