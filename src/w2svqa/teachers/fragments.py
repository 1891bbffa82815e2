"""Fragments: small patches of a video at their native resolution, spliced into pictures of one size.

Which frames, and which patches of each, is index arithmetic; one frame is cut at a time, so that full frames are never
held together. FAST-VQA, FasterVQA and the technical branch of DOVER take their input from here.

Source: Wu et al., "FAST-VQA", ECCV 2022, section 3.1, and "Neighbourhood Representative Sampling", TPAMI 2023, section
3; reference implementation ``fastvqa/datasets/fusion_datasets.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require
from w2svqa.core.protocols import Video

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

Indices = NDArray[np.int64]

# Means and deviations of ImageNet's red, green and blue on 0-255.
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentGrid:
    """How a frame is cut.

    Attributes:
        rows: of cells; one fragment comes from each.
        columns: of cells.
        size: height and width of a fragment in pixels.
        aligned: so many consecutive frames of the input share the places of their fragments, which keeps motion.

    Example:
        >>> FragmentGrid(rows=4, columns=4).height
        128
    """

    rows: int = 7
    columns: int = 7
    size: int = 32
    aligned: int = 32

    @property
    def height(self) -> int:
        """Height of the spliced picture in pixels."""
        return self.rows * self.size

    @property
    def width(self) -> int:
        """Width of the spliced picture in pixels."""
        return self.columns * self.size


def spread_clips(count: int, *, clips: int, length: int, interval: int) -> Indices:
    """Return the frame numbers of clips spread evenly over a video, int64 ``(clips, length)``; nothing is drawn.

    Each clip starts in the middle of its share of the possible starts. In a video shorter than a clip all start at 0
    and go round.

    Args:
        count: frames of the video, at least 1.
        clips: how many, at least 1.
        length: frames per clip.
        interval: distance of the frames of a clip.

    Source: ``SampleFrames`` in its test phase.

    Example:
        >>> spread_clips(10, clips=2, length=3, interval=2).tolist()
        [[1, 3, 5], [3, 5, 7]]
    """
    share = (count - length * interval + 1) / clips
    starts = np.floor(np.arange(clips) * share + share / 2) if count >= length * interval else np.zeros(clips)
    frames: Indices = starts.astype(np.int64)[:, None] + interval * np.arange(length)
    return frames % count


def temporal_fragments(
    count: int, *, fragments: int, length: int, interval: int, random: np.random.Generator
) -> Indices:
    """Return the frame numbers of short runs, one from each equal part of a video, int64 ``(fragments, length)``.

    The start of each run is drawn within its part; where a part is no longer than a run, it is the start of the part.
    Beyond the end of the video it goes round.

    Args:
        count: frames of the video, at least 1.
        fragments: parts.
        length: frames per run; 1 for single frames.
        interval: distance of the frames of a run.
        random: drawn from once, ``fragments`` numbers, whatever the video.

    Source: ``FragmentSampleFrames`` (``UnifiedFrameSampler`` in DOVER); the reference draws from the global generator.

    Example:
        >>> temporal_fragments(8, fragments=4, length=2, interval=1, random=np.random.default_rng(0)).tolist()
        [[0, 1], [2, 3], [4, 5], [6, 7]]
    """
    part = count // fragments
    free = max(part - length * interval, 0)
    starts = part * np.arange(fragments) + _places(random.random(fragments), free)
    frames: Indices = starts[:, None] + interval * np.arange(length)
    return frames % count


def draw_shares(grid: FragmentGrid, frames: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw where in its cell each fragment lies, 0 (as far up or left as it goes) to below 1.

    Args:
        grid: how frames are cut.
        frames: of the input, all clips together.
        random: what is drawn from; the draw does not depend on the size of the frames.

    Returns:
        float64 ``(ceil(frames / aligned), rows, columns, 2)``: down, right. Frame ``k`` of the input takes number
        ``k // aligned``.
    """
    return random.random((-(-frames // grid.aligned), grid.rows, grid.columns, 2))


def corners(height: int, width: int, grid: FragmentGrid, shares: NDArray[np.float64]) -> Indices:
    """Return the upper left corners of the fragments of a frame.

    Args:
        height: of the frame in pixels, at least ``grid.height``; smaller frames are enlarged first.
        width: of the frame in pixels, at least ``grid.width``.
        grid: how it is cut.
        shares: 0-1, ``(rows, columns, 2)``, from :func:`draw_shares`.

    Returns:
        int64 ``(rows, columns, 2)``: row and column of pixels, every fragment within the frame.

    Source: ``get_spatial_fragments``. In a cell of 100 pixels the 68 first places of 69 can be drawn, as there.
    """
    cells = np.array([height // grid.rows, width // grid.columns])
    free = np.maximum(cells - grid.size, 0)
    index = np.stack(np.meshgrid(np.arange(grid.rows), np.arange(grid.columns), indexing="ij"), axis=-1)
    starts = np.minimum(index * cells, np.array([height, width]) - grid.size)
    places: Indices = starts + _places(shares, free)
    return places


def cut(frame: Frame, grid: FragmentGrid, shares: NDArray[np.float64]) -> Frame:
    """Return the fragments of one frame as one picture, uint8 ``(grid.height, grid.width, 3)``.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB; of any size: see :func:`enlarged`.
        grid: how it is cut.
        shares: 0-1, ``(rows, columns, 2)``: one group of :func:`draw_shares`.
    """
    source = enlarged(frame, grid)
    height, width = source.shape[:2]
    places = corners(height, width, grid, shares).tolist()
    side, spliced = grid.size, np.empty((grid.height, grid.width, 3), np.uint8)
    for row, line in enumerate(places):
        for column, (top, left) in enumerate(line):
            piece = source[top : top + side, left : left + side]
            spliced[row * side : (row + 1) * side, column * side : (column + 1) * side] = piece
    return spliced


def enlarged(frame: Frame, grid: FragmentGrid) -> Frame:
    """Return a frame that is at least as large as the grid: as it is, or enlarged with its aspect ratio kept.

    Bilinear, on 0-1, and cut off to whole values, as in the reference.

    Raises:
        MissingExtraError: it has to be enlarged, and PyTorch is not installed.

    Source: ``get_spatial_fragments``. Departure: there the cells are laid out for the size before the enlargement, so
    that only the upper left of the enlarged frame is looked at, and a frame below 32 pixels fails; here they cover all
    of it.
    """
    height, width = frame.shape[:2]
    ratio = min(height / grid.height, width / grid.width)
    if ratio >= 1:
        return frame
    torch = require("torch", extra="train")
    scale = _least_scale(height, width, grid, 1 / ratio)
    planes = torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[:, None] / 255.0
    larger = torch.nn.functional.interpolate(planes, scale_factor=scale, mode="bilinear")
    result: Frame = (larger * 255.0).to(torch.uint8)[:, 0].permute(1, 2, 0).contiguous().numpy()
    return result


def collect(video: Video, frames: Sequence[int], grid: FragmentGrid, random: np.random.Generator) -> Frame:
    """Return the fragments of some frames of a video, uint8 ``(frames, grid.height, grid.width, 3)``.

    The video is decoded once, and one full frame held at a time.

    Args:
        video: what to cut.
        frames: numbers from 0, in the order of the input; any order, repeats allowed.
        grid: how each is cut.
        random: where the places of the fragments are drawn from, see :func:`draw_shares`.

    Raises:
        InputError: nothing can be decoded.
    """
    shares = draw_shares(grid, len(frames), random)
    collected = np.empty((len(frames), grid.height, grid.width, 3), np.uint8)
    for frame, positions in each_once(video, frames):
        for position in positions:
            collected[position] = cut(frame, grid, shares[position // grid.aligned])
    return collected


def each_once(video: Video, frames: Sequence[int]) -> Iterator[tuple[Frame, list[int]]]:
    """Yield each wanted frame once, in time order, with its positions in ``frames``.

    Args:
        video: decoded once.
        frames: numbers from 0 in any order, repeats allowed.

    Raises:
        InputError: nothing can be decoded.
    """
    positions: dict[int, list[int]] = {}
    for position, number in enumerate(frames):
        positions.setdefault(int(number), []).append(position)
    numbers = sorted(positions)
    for number, frame in zip(numbers, video.frames_at(numbers), strict=True):
        yield frame, positions[number]


def normalised(fragments: Frame) -> NDArray[np.float32]:
    """Return the input of a network, float32 ``(3, frames, height, width)``, from uint8 ``(frames, height, width, 3)``.

    Example:
        >>> [f"{value:.3f}" for value in normalised(np.zeros((1, 2, 2, 3), np.uint8))[:, 0, 0, 0]]
        ['-2.118', '-2.036', '-1.804']
    """
    values = fragments.astype(np.float32)
    values -= np.array(MEAN, np.float32)
    values /= np.array(DEVIATION, np.float32)
    return np.ascontiguousarray(values.transpose(3, 0, 1, 2))


def _places(shares: NDArray[np.float64], free: int | Indices) -> Indices:
    """Return whole numbers below ``free``, or 0 where that is 0: each equally likely."""
    places: Indices = np.floor(shares * free).astype(np.int64)
    return places


def _least_scale(height: int, width: int, grid: FragmentGrid, scale: float) -> float:
    """Return the scale, raised by rounding errors where these would leave a side one pixel short."""
    while int(height * scale) < grid.height or int(width * scale) < grid.width:
        scale = float(np.nextafter(scale, np.inf))
    return scale
