"""How the tokens of a clip are parted into windows, and how the tokens of a window lie to each other.

Source: reference implementation of FAST-VQA, ``fastvqa/models/swin_backbone.py``: ``get_window_size``,
``compute_mask``, ``global_position_index``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int, int]
"""Time, height, width."""

# What is added to the attention between tokens that a shift made neighbours although they are not.
_MASKED = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The windows of one shape of input.

    Attributes:
        size: tokens of the input.
        window: tokens of a window, no larger than the input.
        padded: ``size`` rounded up to whole windows.
        shift: by how much the windows are shifted; 0 along axes of one window.
        index: rows of the bias tables, int64 ``(tokens, tokens)`` of a window.
        distance: of the fragments that two tokens belong to, in cells, uint8 ``(places, tokens, tokens)``: windows
            that differ in time alone are alike.
        mask: 1 between tokens that are no neighbours, uint8 ``(windows, tokens, tokens)``; ``None`` without a shift.
    """

    size: Size
    window: Size
    padded: Size
    shift: Size
    index: Tensor
    distance: Tensor
    mask: Tensor | None

    @property
    def different(self) -> int:
        """How many windows, from the first, differ in what is added to their attention; the rest repeats them."""
        return len(self.distance) if self.mask is None else len(self.mask)

    def biased(self, bias: Tensor, change: Tensor | None, start: int, end: int) -> Tensor:
        """Return what is added to the attention in windows ``start`` to ``end``.

        Args:
            bias: ``(1, heads, tokens, tokens)``.
            change: its change per cell of distance, of the same shape; ``None`` if the distance does not matter.
            start: first window.
            end: one behind the last window.

        Returns:
            ``(end - start, heads, tokens, tokens)``.
        """
        if change is None:
            total = bias.repeat(end - start, 1, 1, 1)
        else:
            places = torch.arange(start, end, device=bias.device) % len(self.distance)
            total = torch.addcmul(bias, self.distance[places][:, None].to(bias.dtype), change)
        return total if self.mask is None else total.add_(self.mask[start:end, None], alpha=_MASKED)


def resized_window(window: Size, size: Size, base: Size) -> Size:
    """Return the window for inputs of ``size`` that stands to them as ``window`` does to ``base``, rounded down.

    Raises:
        ValueError: it would be empty, or larger than ``window``, for which there are no biases.

    Example:
        >>> resized_window((8, 7, 7), (16, 224, 224), (32, 224, 224))
        (4, 7, 7)
    """
    time, height, width = (tokens * now // then for tokens, now, then in zip(window, size, base, strict=True))
    if min(time, height, width) < 1 or time > window[0] or height > window[1] or width > window[2]:
        raise ValueError(f"an input of {size} has no window: {(time, height, width)} instead of 1 to {window}")
    return time, height, width


@lru_cache(maxsize=64)
def layout_of(size: Size, trained: Size, resized: Size | None, shift: Size, device: torch.device) -> Layout:
    """Return the windows for an input of ``size`` tokens; made once per shape.

    Args:
        size: tokens of the input.
        trained: the window that the bias tables are made for.
        resized: the window to use instead, see :func:`resized_window`.
        shift: wanted shift; there is none along axes that one window covers.
        device: where the tensors are needed.
    """
    wanted = trained if resized is None else resized
    time, height, width = (min(tokens, extent) for tokens, extent in zip(wanted, size, strict=True))
    window = (time, height, width)
    moved = [0 if extent <= most else step for extent, most, step in zip(size, wanted, shift, strict=True)]
    across = [-(-extent // tokens) * tokens for extent, tokens in zip(size, window, strict=True)]
    padded, shifted = (across[0], across[1], across[2]), (moved[0], moved[1], moved[2])
    with torch.inference_mode(False):  # kept beyond the call: must serve under any mode
        index = _table_rows(trained)
        tokens = time * height * width
        # The reference takes the first rows of the table where it clips the window, the right ones where it resizes it.
        index = index[:tokens, :tokens] if resized is None else _of_smaller(index, trained, window)
        return Layout(
            size=size,
            window=window,
            padded=padded,
            shift=shifted,
            index=index.to(device),
            distance=_distances(padded, window, shifted).to(device),
            mask=_mask(padded, window, shifted).to(device) if any(shifted) else None,
        )


def parted(tokens: Tensor, layout: Layout) -> Tensor:
    """Return the windows ``(windows, tokens, channels)`` of a clip; zeros fill up the last ones.

    Args:
        tokens: ``(time, height, width, channels)``.
        layout: of that size.
    """
    behind = [whole - part for whole, part in zip(layout.padded, layout.size, strict=True)]
    if any(behind):
        tokens = functional.pad(tokens, (0, 0, 0, behind[2], 0, behind[1], 0, behind[0]))
    if any(layout.shift):
        tokens = tokens.roll([-step for step in layout.shift], (0, 1, 2))
    return _windows(tokens, layout.window)


def merged(windows: Tensor, layout: Layout) -> Tensor:
    """Return ``(time, height, width, channels)`` from ``(windows, tokens, channels)``: undo :func:`parted`."""
    counts = [whole // part for whole, part in zip(layout.padded, layout.window, strict=True)]
    tokens = windows.view(*counts, *layout.window, -1).permute(0, 3, 1, 4, 2, 5, 6).reshape(*layout.padded, -1)
    if any(layout.shift):
        tokens = tokens.roll(layout.shift, (0, 1, 2))
    time, height, width = layout.size
    return tokens[:time, :height, :width]


def _windows(tokens: Tensor, window: Size) -> Tensor:
    time, height, width, channels = tokens.shape
    boxes = tokens.view(
        time // window[0], window[0], height // window[1], window[1], width // window[2], window[2], channels
    )
    return boxes.permute(0, 2, 4, 1, 3, 5, 6).reshape(-1, window[0] * window[1] * window[2], channels)


def _table_rows(window: Size) -> Tensor:
    """Return the row of the bias table for each pair of tokens of a window, by their difference along each axis."""
    axes = [torch.arange(extent) for extent in window]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
    difference = places[:, None] - places[None] + torch.tensor(window) - 1
    strides = torch.tensor([(2 * window[1] - 1) * (2 * window[2] - 1), 2 * window[2] - 1, 1])
    return (difference * strides).sum(dim=-1)


def _of_smaller(index: Tensor, trained: Size, window: Size) -> Tensor:
    time, height, width = window
    tokens = time * height * width
    corner = index.view(*trained, *trained)[:time, :height, :width, :time, :height, :width]
    return corner.reshape(tokens, tokens)


def _distances(padded: Size, window: Size, shift: Size) -> Tensor:
    """Return how many cells of the grid, down plus across, lie between the fragments of two tokens.

    The reference takes as many cells along an axis as a window has tokens (7 of 7 in the released models).
    """
    rows, columns = (_cells(padded[axis], window[axis]) for axis in (1, 2))
    cells = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)[None]
    cells = cells.roll((-shift[1], -shift[2]), (1, 2)).repeat(window[0], 1, 1, 1)
    down, across = _windows(cells, window).to(torch.int8).unbind(dim=-1)
    return (_differences(down).abs_() + _differences(across).abs_()).to(torch.uint8)


def _differences(values: Tensor) -> Tensor:
    return values[:, :, None] - values[:, None]


def _cells(extent: int, cells: int) -> Tensor:
    return functional.interpolate(torch.arange(cells).float()[None, None], size=extent)[0, 0].long()


def _mask(padded: Size, window: Size, shift: Size) -> Tensor:
    time, height, width = (_parts(*sizes) for sizes in zip(padded, window, shift, strict=True))
    labels = 9 * time[:, None, None] + 3 * height[:, None] + width
    of_windows = _windows(labels[..., None], window)[..., 0]
    return (of_windows[:, :, None] != of_windows[:, None]).to(torch.uint8)


def _parts(extent: int, window: int, shift: int) -> Tensor:
    """Label the tokens along an axis, after the shift, by the part of the input that they come from."""
    labels = torch.zeros(extent, dtype=torch.uint8)
    if shift:
        labels[-window:] = 1
        labels[-shift:] = 2
    return labels
