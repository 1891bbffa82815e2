"""Swin transformer of pictures, with the state-dict keys of torchvision's ``swin_b``, without its classifier.

Source: Z. Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021
(arXiv 2103.14030), section 3. Where the paper is silent we do as torchvision's model does, because checkpoints were
trained with it: maps whose sides are no multiple of the window are padded with zeros below and to the right (after the
first normalisation of a block), padded places are attended to, and tokens of another region of a shifted window get
-100 added to their attention logit. We depart in nothing but speed: bias and mask are added inside one fused attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_APART = -100.0
"""Added to the logit between tokens of different regions in a shifted window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwinShape:
    """Sizes of a Swin transformer; the defaults are those of Swin-B.

    Attributes:
        width: channels of the first stage; each further stage has twice as many.
        depths: blocks per stage.
        heads: attention heads per stage.
        window: height and width of a window in tokens.
        patch: height and width of a token in pixels.
        growth: hidden units of a block's perceptron, in widths of its stage.
    """

    width: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 7
    patch: int = 4
    growth: int = 4

    @property
    def features(self) -> int:
        """Length of the feature vector: channels of the last stage.

        Example:
            >>> SwinShape().features
            1024
        """
        return self.width << (len(self.depths) - 1)


SWIN_B = SwinShape()


class Swin(nn.Module):
    """Pictures to feature vectors.

    Args:
        shape: sizes; those of Swin-B unless given.
    """

    def __init__(self, shape: SwinShape = SWIN_B) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Patches(shape.width, shape.patch)]
        for stage, (depth, heads) in enumerate(zip(shape.depths, shape.heads, strict=True)):
            width = shape.width * 2**stage
            if stage:
                layers.append(_Merging(width // 2))
            shifts = [0 if block % 2 == 0 else shape.window // 2 for block in range(depth)]
            layers.append(nn.Sequential(*(_Block(width, heads, shape.window, shift, shape.growth) for shift in shifts)))
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(shape.features)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return one vector per picture.

        Args:
            pictures: float32 ``(pictures, 3, height, width)``, normalised, any size of at least one patch.

        Returns:
            float32 ``(pictures, features)``: the mean of the last stage's normalised tokens.
        """
        tokens: Tensor = self.norm(self.features(pictures))
        return tokens.mean(dim=(1, 2))


class _Patches(nn.Sequential):
    """Patches to tokens: ``(n, 3, height, width)`` to ``(n, rows, columns, width)``; key 1 stays without weights."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__(nn.Conv2d(3, width, patch, stride=patch), _ChannelsLast(), nn.LayerNorm(width))


class _ChannelsLast(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1)


class _Merging(nn.Module):
    """Four neighbouring tokens to one of twice the width; an odd row or column is padded with zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, columns = tokens.shape[1:3]
        tokens = functional.pad(tokens, (0, 0, 0, columns % 2, 0, rows % 2))
        corners = [tokens[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged


class _Block(nn.Module):
    """Attention within windows, then a perceptron per token, each on normalised tokens beside a shortcut."""

    def __init__(self, width: int, heads: int, window: int, shift: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, heads, window, shift)
        self.norm2 = nn.LayerNorm(width)
        # The third layer stands where training drops units: it keeps the keys `mlp.0` and `mlp.3` in place.
        self.mlp = nn.Sequential(
            nn.Linear(width, growth * width), nn.GELU(), nn.Identity(), nn.Linear(growth * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        moved: Tensor = tokens + self.mlp(self.norm2(tokens))
        return moved


class _WindowAttention(nn.Module):
    """Attention within square windows; with a shift, windows of the map rolled by that many tokens."""

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return as many tokens as came: ``(n, rows, columns, width)``."""
        rows, columns = tokens.shape[1:3]
        window = self.window
        padded = functional.pad(tokens, (0, 0, 0, -columns % window, 0, -rows % window))
        # A map of a single window in one direction has nothing to exchange in it.
        shifts = [self.shift if size > window else 0 for size in padded.shape[1:3]]
        if any(shifts):
            padded = padded.roll((-shifts[0], -shifts[1]), dims=(1, 2))
        grid = (padded.shape[1] // window, padded.shape[2] // window)
        mixed = self._attend(_windows(padded, window), self._logit_bias(grid, shifts))
        joined = _joined(mixed, grid, window)
        if any(shifts):
            joined = joined.roll((shifts[0], shifts[1]), dims=(1, 2))
        return joined[:, :rows, :columns]

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        """Mix the tokens of each window: ``(n, windows, tokens, width)`` to the same shape."""
        count, parts, length, width = windows.shape
        packed: Tensor = self.qkv(windows)
        packed = packed.reshape(count, parts, length, 3, self.heads, width // self.heads).permute(3, 0, 1, 4, 2, 5)
        # Windows stand beside the heads, so that the bias of each is broadcast over the pictures.
        query, key, value = packed.reshape(3, count, parts * self.heads, length, width // self.heads)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.reshape(count, parts, self.heads, length, -1).transpose(2, 3).reshape(windows.shape)
        projected: Tensor = self.proj(mixed)
        return projected

    def _logit_bias(self, grid: tuple[int, int], shifts: list[int]) -> Tensor:
        """Return what is added to the logits, ``(1, windows * heads, tokens, tokens)``."""
        table = self.relative_position_bias_table
        bias = table[relative_positions(self.window).to(table.device)].permute(2, 0, 1)
        if any(shifts):
            regions = _regions(grid, self.window, shifts).to(table.device)
            apart = regions.unsqueeze(1) != regions.unsqueeze(2)
            both = bias.unsqueeze(0) + _APART * apart.unsqueeze(1).to(bias.dtype)
        else:
            both = bias.expand(grid[0] * grid[1], *bias.shape)
        return both.reshape(1, -1, *bias.shape[1:])


def relative_positions(window: int) -> Tensor:
    """Return the row of the bias table for each pair of tokens of a window, int64 ``(window**2, window**2)``.

    Official checkpoints hold it too, as ``relative_position_index`` and flat; it says nothing that the size does not.

    Example:
        >>> relative_positions(2).tolist()
        [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    """
    tokens = torch.arange(window * window, device="cpu")
    rows, columns = tokens // window, tokens % window
    down = rows[:, None] - rows[None] + window - 1
    right = columns[:, None] - columns[None] + window - 1
    return down * (2 * window - 1) + right


def _windows(tokens: Tensor, window: int) -> Tensor:
    """Cut ``(n, rows, columns, width)`` into ``(n, windows, window**2, width)``."""
    count, rows, columns, width = tokens.shape
    cut = tokens.reshape(count, rows // window, window, columns // window, window, width)
    return cut.transpose(2, 3).reshape(count, -1, window * window, width)


def _joined(windows: Tensor, grid: tuple[int, int], window: int) -> Tensor:
    """Undo :func:`_windows`."""
    count, width = windows.shape[0], windows.shape[-1]
    cut = windows.reshape(count, *grid, window, window, width)
    return cut.transpose(2, 3).reshape(count, grid[0] * window, grid[1] * window, width)


def _regions(grid: tuple[int, int], window: int, shifts: list[int]) -> Tensor:
    """Return which piece of the picture each token of the rolled map belongs to, ``(windows, window**2)``."""
    vertical, horizontal = (_pieces(count * window, window, shift) for count, shift in zip(grid, shifts, strict=True))
    labels = vertical[:, None] * 3 + horizontal[None]
    return _windows(labels[None, :, :, None], window)[0, :, :, 0]


def _pieces(length: int, window: int, shift: int) -> Tensor:
    """Label the last window's tokens: those before the seam 1, those rolled over from the other side 2; others 0.

    Without a shift the whole last window is labelled 2, which parts nothing from it.
    """
    places = torch.arange(length, device="cpu")
    return (places >= length - window).long() + (places >= length - shift if shift else places >= length - window)
