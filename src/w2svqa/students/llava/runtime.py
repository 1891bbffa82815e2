"""The LLaVA student as scoring uses it: each video encoded once, the anchors' part of a pair read once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Chunk, Tokens
from w2svqa.students.llava.model import LlavaModel
from w2svqa.students.llava.motion import MotionEncoder
from w2svqa.students.llava.options import MOST_SECONDS, LlavaOptions
from w2svqa.students.llava.pictures import MOTION_SPEC, key_picture
from w2svqa.students.llava.prefix import Prefix, PrefixStore, digest_of, go_on, read_prefix
from w2svqa.students.llava.spool import TokenSpool

_Item = TypeVar("_Item")

_CPU_IS_FULL: Final = "DefaultCPUAllocator"
"""In the message of PyTorch's error; on the CPU it has no type of its own."""


class LlavaStudent:
    """Compares two videos by what LLaVA-OneVision says of the pair.

    Satisfies :class:`w2svqa.core.protocols.Student` and :class:`w2svqa.core.protocols.Costly`. It gives no reasons.
    A pair gets the same logits in any batch but for rounding: about 1e-6 in float32, 1e-2 in bfloat16.

    Args:
        model: the networks, on their device, in evaluation mode.
        motion: what makes motion features.
        name: what it is called in results.
        options: how it is run. ``device``, ``dtype`` and ``quantize`` are those of ``model`` and not looked at.

    Raises:
        ConfigError: the context has no room for a pair of videos of one second.
    """

    antisymmetric = False
    clip_spec = MOTION_SPEC

    def __init__(
        self, model: LlavaModel, motion: MotionEncoder, *, name: str, options: LlavaOptions | None = None
    ) -> None:
        self.name = name
        self.model = model.eval()
        self.options = options or LlavaOptions()
        self.both_orders = self.options.orders == "both"
        self.each_second = self.options.each_second
        self.prefixes = PrefixStore(round(self.options.prefix_gigabytes * 1e9))
        self._budget = self.options.most_seconds or MOST_SECONDS
        self._motion = motion
        self._digests = _Digests()
        if self.model.most_seconds < 1:
            raise ConfigError(
                f"a context of {model.context} tokens has no room for two videos of one second", remedy="raise context"
            )
        if self.options.compiled:
            _compile(model)

    @property
    def most_seconds(self) -> int:
        """Seconds of a video that are compared at once: the frame budget, or what the context holds if that is less."""
        return min(self._budget, self.model.most_seconds)

    def encode(self, chunks: Iterable[Chunk]) -> Tokens:
        """Return the tokens of a video, float32 ``(seconds, P + 1, H)``: all seconds, however many.

        At full size a second is 197 tokens of width 3584, 2.8 MB. A long video's are in a temporary file.

        Raises:
            ValueError: there are no chunks.
            ConfigError: not enough memory on the device.
            W2SVQAError: float16 overflowed.
        """
        with TokenSpool() as spool, torch.inference_mode(), self._memory_told():
            for seconds in _batches(chunks, self.options.frames_at_once):
                spool.add(self._second_tokens(seconds))
            return spool.tokens()

    def _second_tokens(self, seconds: Sequence[Chunk]) -> Tokens:
        side = self.model.config.frame_side
        pixels = torch.from_numpy(np.stack([key_picture(chunk.key_frame, side) for chunk in seconds]))
        features = torch.from_numpy(self._motion.features([chunk.motion for chunk in seconds]))
        tokens: Tokens = self.model.second_tokens(pixels, features).float().cpu().numpy()
        if not np.isfinite(tokens).all():
            raise W2SVQAError(
                f"the tokens are not finite, computed in {_named(self.model.dtype)}",
                remedy="take dtype=bfloat16 or dtype=float32"
                if self.model.dtype == torch.float16
                else "check the weights of the student",
            )
        return tokens

    def notes(self, tokens: Tokens) -> tuple[str, ...]:
        """Return what a reader of a video's score must know: which part of a long one was compared."""
        if len(tokens) <= self.most_seconds:
            return ()
        limit = "the context" if self.model.most_seconds < self._budget else "the frame budget"
        return (f"compared by {self.most_seconds} of its {len(tokens)} seconds, evenly spaced: {limit}",)

    def judge(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> NDArray[np.float64]:
        """Return five logits per pair, float64 ``(pairs, 5)``: the level of ``second[i]`` relative to ``first[i]``.

        The part of the sequence of each distinct first video is read by the language model once per call, and kept
        from call to call if it is an anchor's; all first videos of a second one are in one batch.

        Raises:
            ValueError: the two sequences differ in length.
            ConfigError: not enough memory on the device.
            W2SVQAError: a logit is not finite.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first videos cannot be paired with {len(second)} second videos")
        logits = np.empty((len(first), len(LEVELS)))
        firsts, seconds = _Distinct(first), _Distinct(second)
        places = zip(firsts.places, seconds.places, strict=True)
        pairs = [_Pair(row, *both) for row, both in enumerate(places)]
        with torch.inference_mode(), self._memory_told():
            for block in self._blocks(firsts.videos):
                prefixes = {place: self._prefix(firsts.videos[place]) for place in block}
                mine = [pair for pair in pairs if pair.first in prefixes]
                for batch, rests in self._rests(mine, seconds.videos):
                    logits[[pair.row for pair in batch]] = self._logits(batch, rests, prefixes)
        return logits

    def keep(self, videos: Sequence[Tokens], *, path: Path | None = None, made_by: str = "") -> None:
        """Read the parts of first videos, such as a bundle's anchors, and keep them.

        Args:
            videos: tokens of each.
            path: a ``.safetensors`` file that they are taken from if it is there, and written to if it is not or lacks
                one.
            made_by: what the numbers depend on besides the tokens; a file made by another is refused.

        Raises:
            StoreError: the file cannot be read or written.
            ConfigError: the file was made by another student.
        """
        shown = [self._shown(video) for video in videos]
        digests = [digest_of(video) for video in shown]
        if path is not None and path.exists():
            self.prefixes.load(path, self.model, digests, made_by=made_by)
        missing = [place for place, digest in enumerate(digests) if self.prefixes.get(digest) is None]
        with torch.inference_mode(), self._memory_told():
            for place in missing:
                self.prefixes.offer(digests[place], self._read(shown[place]), at_once=True)
        if path is not None and missing:
            self.prefixes.save(path, made_by=made_by)

    def _shown(self, tokens: Tokens) -> Tokens:
        """Return the seconds of a video that are compared."""
        return tokens if len(tokens) <= self.most_seconds else tokens[spaced(len(tokens), self.most_seconds)]

    def _to_device(self, tokens: Tokens) -> Tensor:
        # a copy: NumPy's may be read-only, which PyTorch has no tensors for
        return torch.tensor(np.asarray(self._shown(tokens))).to(self.model.device, self.model.dtype)

    def _read(self, tokens: Tokens) -> Prefix:
        return read_prefix(self.model, self.model.first_part(self._to_device(tokens)))

    def _prefix(self, tokens: Tokens) -> Prefix:
        digest = self._digests.of(tokens, self._shown)
        prefix = self.prefixes.get(digest)
        if prefix is None:
            prefix = self._read(tokens)
            self.prefixes.offer(digest, prefix, at_once=_is_fixed(tokens))
        return prefix

    @property
    def _room(self) -> int:
        return self.options.batch_tokens

    def _blocks(self, firsts: Sequence[Tokens]) -> Iterator[list[int]]:
        """Places of first videos, as many at a time as may be in memory together: ``batch_tokens``, at least one."""
        per_second = self.model.spatial + 1
        sizes = [min(len(video), self.most_seconds) * per_second for video in firsts]
        return _filled(range(len(firsts)), lambda places: sum(sizes[place] for place in places), self._room)

    def _rests(self, pairs: Sequence[_Pair], seconds: Sequence[Tokens]) -> Iterator[tuple[list[_Pair], list[Tensor]]]:
        """Pairs in batches, short second videos first, each with the rests of the sequences."""
        length = [min(len(video), self.most_seconds) for video in seconds]
        overhead = self.model.prompt.length

        def tokens_of(batch: Sequence[_Pair]) -> int:
            longest = max(length[pair.second] for pair in batch)
            return len(batch) * (longest * (self.model.spatial + 1) + overhead)

        ordered = sorted(pairs, key=lambda pair: (length[pair.second], pair.second, pair.first))
        for batch in _filled(ordered, tokens_of, self._room):
            batch.sort(key=lambda pair: pair.first)
            parts = {
                place: self.model.second_part(self._to_device(seconds[place]))
                for place in dict.fromkeys(pair.second for pair in batch)
            }
            yield batch, [parts[pair.second] for pair in batch]

    def _logits(
        self, batch: Sequence[_Pair], rests: Sequence[Tensor], prefixes: dict[int, Prefix]
    ) -> NDArray[np.float64]:
        groups = [(prefixes[place], len(list(rows))) for place, rows in groupby(batch, key=lambda pair: pair.first)]
        embeds = torch.nn.utils.rnn.pad_sequence(list(rests), batch_first=True)
        lengths = torch.tensor([len(rest) for rest in rests], device=embeds.device)
        mask = torch.arange(embeds.shape[1], device=embeds.device) < lengths[:, None]
        logits = self.model.logits_of(go_on(self.model, groups, embeds, mask))
        return logits.double().cpu().numpy()

    @contextmanager
    def _memory_told(self) -> Iterator[None]:
        """Turn the device's lack of memory into an error that says what to turn."""
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, torch.cuda.OutOfMemoryError) and _CPU_IS_FULL not in str(error):
                raise
            torch.cuda.empty_cache()
            raise ConfigError(
                f"not enough memory on {self.model.device}: {str(error).partition('.')[0]}",
                remedy=f"lower batch_tokens ({self.options.batch_tokens}), most_seconds ({self.most_seconds}), "
                f"frames_at_once ({self.options.frames_at_once}) or prefix_gigabytes "
                f"({self.options.prefix_gigabytes:g}), or take quantize=8bit or 4bit",
            ) from None


def spaced(count: int, most: int) -> NDArray[np.int64]:
    """Return ``most`` of ``count`` seconds, evenly spaced: each the middle one of its part of the video.

    Args:
        count: seconds of the video, at least ``most``.
        most: how many are wanted.

    Returns:
        int64 ``(most,)``, rising.

    Example:
        >>> spaced(100, 4).tolist(), spaced(5, 4).tolist()
        ([12, 37, 62, 87], [0, 1, 3, 4])
    """
    places: NDArray[np.int64] = (2 * np.arange(most) + 1) * count // (2 * most)
    return places


@dataclass(frozen=True, slots=True)
class _Pair:
    """Row in the result, and which of the distinct first and second videos."""

    row: int
    first: int
    second: int


class _Distinct:
    """The distinct arrays among videos, in order of first appearance, and which of them each video is."""

    def __init__(self, videos: Sequence[Tokens]) -> None:
        found: dict[object, int] = {}
        self.videos: list[Tokens] = []
        self.places: list[int] = []
        for video in videos:
            # a slice of the same seconds is a new object each time, but at the same address
            key = (video.__array_interface__["data"][0], video.shape, video.strides)
            if key not in found:
                found[key] = len(self.videos)
                self.videos.append(video)
            self.places.append(found[key])


class _Digests:
    """Digests of tokens; those of arrays that cannot change are worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], str]] = {}

    def of(self, tokens: Tokens, shown: Callable[[Tokens], Tokens]) -> str:
        known = self._known.get(id(tokens))
        if known is not None and known[0]() is tokens:
            return known[1]
        digest = digest_of(shown(tokens))
        if _is_fixed(tokens):
            self._known = {key: entry for key, entry in self._known.items() if entry[0]() is not None}
            self._known[id(tokens)] = weakref.ref(tokens), digest
        return digest


def _is_fixed(tokens: Tokens) -> bool:
    """Whether an array can no longer change, as a bundle's anchors cannot."""
    return not tokens.flags.writeable and tokens.flags.owndata


def _filled(items: Iterable[_Item], size_of: Callable[[Sequence[_Item]], int], room: int) -> Iterator[list[_Item]]:
    """Cut items into lists that are as long as their size allows; a single one may be larger."""
    batch: list[_Item] = []
    for item in items:
        if batch and size_of([*batch, item]) > room:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _compile(model: LlavaModel) -> None:
    """Compile what has one shape, or takes most of the time: attention over cached keys is left as it is."""
    parts: Any = model.backbone.model
    tower = getattr(parts.vision_tower, "vision_model", parts.vision_tower)
    tower.encoder.compile()
    for layer in parts.language_model.layers:
        layer.mlp.compile(dynamic=True)


def _named(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
