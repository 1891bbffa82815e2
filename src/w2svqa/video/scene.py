"""A procedural scene: clean video of any size without a file, for the demo, the tests and the smallest run.

Textures whose power falls with frequency as in photographs, edges at all angles, fine lines and a slow pan: enough for
every simulator to leave its mark. It stands in for a real source; it is no substitute for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.core.random import generator
from w2svqa.video.encode import write_lossless
from w2svqa.video.resize import resize_grey, resize_rgb

_SHAPES = 18
_TEXTURES = 3
_OCTAVES = 8
_OVERSAMPLING = 2  # edges drawn at twice the size come out smooth, as a lens would draw them
_PERSISTENCE = 0.75  # contrast of each octave relative to the coarser one
_PAN = 3  # pixels per frame


def scene_frames(
    *, seed: int = 0, width: int = 640, height: int = 360, frames: int = 60
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a panning scene.

    Args:
        seed: picks the scene; the same seed gives the same pixels.
        width: pixels, at least 16.
        height: pixels, at least 16.
        frames: how many.

    Yields:
        uint8 ``(height, width, 3)``, RGB 0-255.

    Example:
        >>> first, second = scene_frames(width=64, height=48, frames=2)
        >>> first.shape, bool((first == second).all())
        ((48, 64, 3), False)
    """
    room = min(width, _PAN * frames)
    canvas = _canvas(seed, width + room, height)
    for index in range(frames):
        # back and forth, so that a long clip stays inside the canvas
        position = (_PAN * index) % max(1, 2 * room)
        left = position if position <= room else 2 * room - position
        yield np.ascontiguousarray(canvas[:, left : left + width])


def write_scene(
    path: StrPath, *, seed: int = 0, width: int = 640, height: int = 360, seconds: float = 2.0, fps: int = 30
) -> None:
    """Write the scene as a lossless video.

    Raises:
        StoreError: the file cannot be written.
    """
    frames = scene_frames(seed=seed, width=width, height=height, frames=max(1, round(seconds * fps)))
    write_lossless(path, frames, fps=Fraction(fps))


def _canvas(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    random = generator(seed, "scene")
    tall, wide = height * _OVERSAMPLING, width * _OVERSAMPLING
    rows, columns = np.mgrid[0:tall, 0:wide].astype(np.float32) / tall
    textures = [_texture(random, rows.shape) for _ in range(_TEXTURES)]
    picture = _background(random, rows, columns, textures[0])
    for number in range(_SHAPES):
        _draw_shape(random, picture, rows, columns, textures[number % _TEXTURES])
    return resize_rgb(np.clip(np.rint(picture), 0, 255).astype(np.uint8), (height, width), method="area")


def _background(
    random: np.random.Generator,
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    texture: NDArray[np.float32],
) -> NDArray[np.float32]:
    """A lit gradient under a texture."""
    top, bottom = _colour(random), _colour(random)
    light = rows[..., None] * bottom + (1 - rows[..., None]) * top
    waves: NDArray[np.float32] = 8 * np.sin(9 * columns[..., None])
    return np.asarray(light + 120 * (texture[..., None] - 0.5) + waves, dtype=np.float32)


def _draw_shape(
    random: np.random.Generator,
    picture: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    texture: NDArray[np.float32],
) -> None:
    """Paint one textured or striped ellipse or box, in place."""
    aspect = picture.shape[1] / picture.shape[0]
    y, x = random.uniform(0, 1), random.uniform(0, aspect)
    angle, tall, wide = random.uniform(0, np.pi), *random.uniform(0.05, 0.3, size=2)
    along = (rows - y) * np.cos(angle) + (columns - x) * np.sin(angle)
    across = (columns - x) * np.cos(angle) - (rows - y) * np.sin(angle)
    if random.random() < 0.5:
        inside = (along / tall) ** 2 + (across / wide) ** 2 < 1
    else:
        inside = (np.abs(along) < tall) & (np.abs(across) < wide)
    colour = _colour(random)
    if random.random() < 0.2:
        stripes = np.sin(along * random.uniform(60, 400))
        surface = colour + 50 * stripes[inside][:, None]
    else:
        surface = colour + 200 * (texture[inside][:, None] - 0.5)
    picture[inside] = surface


def _texture(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Sum of random grids, each twice as fine as the one before and of less contrast; about 0-1."""
    height, width = shape
    total = np.zeros((height, width), np.float32)
    for octave in range(_OCTAVES):
        cells = 2 ** (octave + 2)
        grid = random.integers(0, 256, (cells, max(2, cells * width // height)), dtype=np.uint8)
        total += np.float32(_PERSISTENCE**octave / 255) * resize_grey(grid, (height, width), method="bicubic")
    weight = sum(_PERSISTENCE**octave for octave in range(_OCTAVES))
    return total / np.float32(weight)


def _colour(random: np.random.Generator) -> NDArray[np.float32]:
    """Draw a colour as muted as most things are: a grey with a tint."""
    return (random.uniform(50, 200) + random.normal(0, 25, size=3)).astype(np.float32)
