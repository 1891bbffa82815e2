"""Keys and values of the first video of a pair, computed once: every second video goes on from them.

The sequence of a pair begins with the prompt and the first video. Attention is causal, so what the language model
computes there does not depend on the second video. One layer's keys and values of one token are two vectors per
key/value head: at 7B (28 layers, 4 heads of width 128, 2 bytes) 57,344 bytes a token, 115 MB for an anchor of ten
seconds and 0.57 GB for five.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_path
from w2svqa.core.records import Tokens
from w2svqa.students.llava.model import LlavaModel, last_of

_MAKER: Final = "made_by"
_SEEN: Final = 4096
"""Digests of first videos met once that are remembered."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What the language model keeps of the beginning of a sequence.

    Attributes:
        states: ``(layers, 2, heads, length, width)``: keys, then values, in the type the model computes in.
    """

    states: Tensor

    @property
    def length(self) -> int:
        """Tokens of the beginning."""
        return self.states.shape[3]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.states.nbytes


def prefix_bytes(tokens: int, *, layers: int, heads: int, width: int, item: int = 2) -> int:
    """Return the bytes that the keys and values of a sequence take.

    Args:
        tokens: of the sequence.
        layers: of the language model.
        heads: for keys and values, of each layer.
        width: of a head.
        item: bytes of a number.

    Example:
        >>> prefix_bytes(5 * 1994, layers=28, heads=4, width=128) / 1e9
        0.57171968
    """
    return tokens * layers * 2 * heads * width * item


def prefix_shape(model: LlavaModel) -> tuple[int, int, int, int]:
    """Return layers, 2, heads and width of a model's prefixes: their shape but for the length."""
    text = model.backbone.config.text_config
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return text.num_hidden_layers, 2, text.num_key_value_heads, width


def digest_of(tokens: Tokens) -> str:
    """Return a digest of a video's tokens, shape included: 32 hex digits."""
    digest = sha256(repr(tokens.shape).encode())
    digest.update(np.ascontiguousarray(tokens).data)
    return digest.hexdigest()[:32]


def read_prefix(model: LlavaModel, embeds: Tensor) -> Prefix:
    """Let the language model read the beginning of a sequence.

    Args:
        model: the student.
        embeds: ``(L, H)``, from :meth:`LlavaModel.first_part`.
    """
    cache = DynamicCache()
    _read(model, embeds[None], cache)
    return Prefix(torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers]))


def go_on(model: LlavaModel, beginnings: Sequence[tuple[Prefix, int]], embeds: Tensor, mask: Tensor) -> Tensor:
    """Let the language model read the rest of sequences whose beginnings it has read.

    Args:
        model: the student.
        beginnings: what was read, each with the number of rows in succession that go on from it.
        embeds: ``(B, L, H)``, the rest of each sequence, filled up on the right.
        mask: bool ``(B, L)``, true where it has a token.

    Returns:
        The last hidden state of each row's last token, ``(B, H)``.

    Raises:
        ValueError: not as many rows as the beginnings say.
    """
    lengths = torch.tensor([prefix.length for prefix, rows in beginnings for _ in range(rows)], device=mask.device)
    if len(lengths) != len(embeds):
        raise ValueError(f"{len(embeds)} rows, but beginnings for {len(lengths)}")
    longest = int(lengths.max())
    places = torch.arange(longest, device=mask.device)
    # beginnings are filled up on the left, so that every row goes on at the same place
    whole = torch.cat([places >= longest - lengths[:, None], mask], dim=1)
    positions = lengths[:, None] + torch.arange(mask.shape[1], device=mask.device)
    layers = [_Beginnings(beginnings, number, longest) for number in range(len(beginnings[0][0].states))]
    states = _read(model, embeds, Cache(layers=layers), attention_mask=whole, position_ids=positions)
    return last_of(states, mask)


def _read(model: LlavaModel, embeds: Tensor, cache: Cache, **others: Tensor) -> Tensor:
    language: Any = model.backbone.model.language_model
    # its name changed in transformers 5
    name = "cache" if "cache" in inspect.signature(language.forward).parameters else "past_key_values"
    states: Tensor = language(inputs_embeds=embeds, use_cache=True, **{name: cache}, **others).last_hidden_state
    return states


class _Beginnings(DynamicLayer):  # type: ignore[misc] # for mypy transformers has no types: see pyproject.toml
    """One layer's keys and values of several beginnings; those of a rest are put behind them, and not kept."""

    def __init__(self, beginnings: Sequence[tuple[Prefix, int]], number: int, longest: int) -> None:
        super().__init__()
        self._parts = [(prefix.states[number], rows) for prefix, rows in beginnings]
        self._longest = longest
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Return the keys and values of the whole rows."""
        return self._behind(0, key_states), self._behind(1, value_states)

    def get_seq_length(self, *_: object) -> int:
        """Return how many places the rest comes behind."""
        return self._longest

    def _behind(self, which: int, rest: Tensor) -> Tensor:
        rows, heads, length, width = rest.shape
        whole = rest.new_zeros(rows, heads, self._longest + length, width)
        whole[:, :, self._longest :] = rest
        ends = accumulate(count for _, count in self._parts)
        for (states, count), end in zip(self._parts, ends, strict=True):
            begin = self._longest - states.shape[2]
            whole[end - count : end, :, begin : self._longest] = states[which]
        return whole


class PrefixStore:
    """Prefixes by the digest of the video's tokens; those used least recently go where there is no more room.

    Args:
        most_bytes: of all that are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, Prefix] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of all that are kept."""
        return sum(prefix.size for prefix in self._kept.values())

    def get(self, digest: str) -> Prefix | None:
        """Return a prefix that is kept."""
        if digest in self._kept:
            self._kept.move_to_end(digest)
        return self._kept.get(digest)

    def offer(self, digest: str, prefix: Prefix, *, at_once: bool) -> None:
        """Keep a prefix, if there is room for it at all.

        Args:
            digest: of the video's tokens.
            prefix: of the video.
            at_once: keep it although it was not met before. Most videos never come again as the first of a pair, and
                must not drive the anchors out.
        """
        if not at_once and digest not in self._seen:
            self._seen[digest] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
            return
        if prefix.size > self._most:
            return
        self._kept[digest] = prefix
        self._kept.move_to_end(digest)
        while self.size > self._most:
            self._kept.popitem(last=False)

    def save(self, path: Path, *, made_by: str) -> None:
        """Write all that are kept to a file.

        Args:
            path: a ``.safetensors`` file; it is replaced.
            made_by: what else the numbers depend on; :meth:`load` takes no others.

        Raises:
            UnwritableError: the disk is full, say.
        """
        files = require("safetensors.torch", extra="llm")
        with atomic_path(path) as part:
            tensors = {digest: prefix.states.contiguous().cpu() for digest, prefix in self._kept.items()}
            files.save_file(tensors, str(part), metadata={_MAKER: made_by})

    def load(self, path: Path, model: LlavaModel, digests: Sequence[str], *, made_by: str) -> None:
        """Take prefixes from a file that :meth:`save` wrote, and keep them.

        Args:
            path: the file.
            model: whose they are.
            digests: of those that are wanted; others stay in the file.
            made_by: as it was saved.

        Raises:
            StoreError: it cannot be read, or holds something else.
            ConfigError: it was made by another student, or by this one in another precision.
        """
        for digest, states in _tensors(path, made_by, digests).items():
            around = states.shape[:3] + states.shape[4:]
            if around != prefix_shape(model) or states.dtype != model.dtype or not bool(states.isfinite().all()):
                raise StoreError(
                    f"is damaged: a prefix of type {states.dtype} and shape {tuple(states.shape)}",
                    path=path,
                    remedy="delete it; it is made again",
                )
            self.offer(digest, Prefix(states.to(model.device)), at_once=True)


def _tensors(path: Path, made_by: str, digests: Sequence[str]) -> Mapping[str, Tensor]:
    safetensors = require("safetensors", extra="llm")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            if (file.metadata() or {}).get(_MAKER) != made_by:
                raise ConfigError(
                    "was made by another student, or by this one in another precision",
                    path=path,
                    remedy="name another prefix_file, or delete it",
                )
            present = set(file.keys())
            return {digest: file.get_tensor(digest) for digest in digests if digest in present}
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"cannot be read: {error}", path=path, remedy="delete it; it is made again") from None
