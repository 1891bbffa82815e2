"""Q-Align, also known as OneAlign: a language model that sees the video and is asked how it would rate it.

It answers with one of five words; the score is what the words are worth on the average, by their probabilities.

Source: H. Wu et al., "Q-Align: Teaching LMMs for Visual Scoring via Discrete Text-Defined Levels", ICML 2024 (arXiv
2312.17090), section 3.3 for the words and their worth. From the reference implementation come the prompts, the worth of
the words (``scorer.py``), one frame per second as ``load_video`` takes them, all at one place of the prompt, and how a
picture is prepared: filled up to a square with CLIP's mean colour, made 448 by 448, normalised.

Departures:

- Probabilities are computed in 32 bits and summed in 64, also where the network is in 16.
- Videos of more than ``max_frames`` seconds have that many frames, the middles of equal parts; the reference takes one
  per second whatever comes, and 63 of them already exceed the 4096 positions that LLaMA 2 was trained on. Videos of
  less than a second, which the reference refuses, have their first frame.
- Stills are asked about with the prompt for images, as ``scorer.py`` does without ``--video``.
- Pillow's filter is replaced by PyTorch's for 8-bit pictures: within 1 of 255 of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError, StrPath
from w2svqa.core.extras import require
from w2svqa.core.protocols import Video
from w2svqa.networks.checkpoints import matched
from w2svqa.networks.shards import Shards, find_folder, pour, read_json, read_shards
from w2svqa.teachers.base import BaseTeacher, at_least_one
from w2svqa.teachers.frames import in_batches
from w2svqa.teachers.parameters import damaged

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import Tensor

    from w2svqa.teachers.networks.mplug_owl2 import MplugOwl2, Shape

Frame = NDArray[np.uint8]
"""uint8 ``(height, width, 3)``, RGB 0-255."""

ARITHMETIC = 1
CONFIGURATION = "config.json"
TOKENIZER = "tokenizer.model"
KINDS = ("float16", "bfloat16", "float32")
"""Types that the weights can be computed in; the first is the reference's."""

WORTH = {"excellent": 1.0, "good": 0.75, "fair": 0.5, "poor": 0.25, "bad": 0.0}
"""What each word counts; the paper's 5 to 1, brought to 1 to 0."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Of CLIP's training pictures, by colour, 0-1."""
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Likewise."""

MOST_FRAMES = 60
"""Default of ``max_frames``: 60 pictures of 65 tokens and the prompt fit in 4096 positions."""

# Of what the configuration could say, that for which there is no code here.
_FIXED = {"hidden_act": "silu", "rope_scaling": None, "attention_bias": False, "tie_word_embeddings": False}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as numbers of words.

    Attributes:
        before: what comes before the pictures.
        after: what comes after them.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]


class Vocabulary:
    """The words of a checkpoint.

    Args:
        path: its ``tokenizer.model``, of SentencePiece.
        size: words that the network knows.

    Raises:
        MissingExtraError: the package sentencepiece is not installed.
        InputError: the file is damaged, has another number of words, no word for the beginning of a text, or one of
            the five words of the scale is not one word of it.
    """

    def __init__(self, path: Path, size: int) -> None:
        package = require("sentencepiece", extra="llm")
        try:
            self._pieces = package.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            raise damaged(path, f"is no SentencePiece model: {error}") from None
        if self._pieces.get_piece_size() != size:
            raise damaged(path, f"has {self._pieces.get_piece_size()} words, and the network {size}")
        self._begin = int(self._pieces.bos_id())
        if self._begin < 0:
            raise damaged(path, "has no word for the beginning of a text")
        self.levels = tuple(self._level(word, path) for word in WORTH)

    def prompt(self, subject: str) -> Prompt:
        """Return the question about a ``"video"`` or an ``"image"``.

        Source: ``tokenizer_image_token``: the two halves are taken apart into words each by itself, so that the second
        begins with a blank; only the first gets the word for the beginning.
        """
        before = f"USER: How would you rate the quality of this {subject}?\n"
        after = f"\nASSISTANT: The quality of the {subject} is"
        return Prompt((self._begin, *self._pieces.encode(before)), tuple(self._pieces.encode(after)))

    def _level(self, word: str, path: Path) -> int:
        numbers: list[int] = self._pieces.encode(word)
        if len(numbers) != 1 or numbers[0] == self._pieces.unk_id():
            raise damaged(path, f"takes the word {word!r} apart into {len(numbers)}; it must be one")
        return numbers[0]


class QAlign(BaseTeacher):
    """Q-Align by mPLUG-Owl2 with 8.2 B parameters. 0 to 1, higher is better.

    It needs 16.4 GB for its weights in 16 bits, on the GPU or in memory; see ``docs/q-align.md``.

    Args:
        network: filled, in evaluation mode.
        vocabulary: of the same checkpoint.
        version: changes with the parameters and the arithmetic.
        max_frames: most frames of a video, at least 1.
        batch: frames that go through the visual part together; rounding alone depends on it.

    Raises:
        ConfigError: ``max_frames`` or ``batch`` is less than 1.
    """

    name = "q-align"
    higher_is_better = True
    range = (0.0, 1.0)
    files = (CONFIGURATION, TOKENIZER)
    needs_all_files: ClassVar[bool] = True
    modules = (("torch", "train"), ("sentencepiece", "llm"))
    uses_device = True
    options: ClassVar[dict[str, int | float | str | bool]] = {
        "dtype": KINDS[0],
        "max_frames": MOST_FRAMES,
        "batch": 1,
    }

    def __init__(
        self,
        network: MplugOwl2,
        vocabulary: Vocabulary,
        version: str,
        *,
        max_frames: int = MOST_FRAMES,
        batch: int = 1,
    ) -> None:
        super().__init__(version)
        self._network = network
        self._vocabulary = vocabulary
        self._most = at_least_one(max_frames, "max_frames", self.name)
        self._batch = at_least_one(batch, "batch", self.name)

    @classmethod
    def load(
        cls,
        parameters: StrPath | None,
        *,
        device: str = "cpu",
        dtype: str = KINDS[0],
        max_frames: int = MOST_FRAMES,
        batch: int = 1,
    ) -> Self:
        """Return the teacher with the official checkpoint.

        Args:
            parameters: its folder, or ``hf://OWNER/NAME``, such as ``hf://q-future/one-align``.
            device: where the network shall be, such as ``"cuda:0"``.
            dtype: what it computes in, of :data:`KINDS`; 16 bits are quick on a GPU and slow on most CPUs.
            max_frames: see the class.
            batch: see the class.

        Raises:
            ConfigError: an option has no such value, or nothing is named.
            MissingInputError: the folder or a file of it is not there.
            InputError: a file is damaged, or belongs to another network; what is missing and too much is listed.
            MissingExtraError: PyTorch or sentencepiece is not installed.
        """
        torch = require("torch", extra="train")
        from w2svqa.teachers.networks.mplug_owl2 import IGNORED

        network, vocabulary, shards = cls._opened(parameters, dtype, max_frames, batch)
        pour(network, shards, device=device, kind=getattr(torch, dtype), ignored=IGNORED)
        return cls(network, vocabulary, shards.version(ARITHMETIC), max_frames=max_frames, batch=batch)

    @classmethod
    def identify(
        cls,
        parameters: StrPath | None,
        *,
        device: str = "cpu",
        dtype: str = KINDS[0],
        max_frames: int = MOST_FRAMES,
        batch: int = 1,
    ) -> str:
        """Return the version that :meth:`load` would give, from the files alone; arguments and errors are the same.

        It reads the folder once, for its checksum; loading reads it again.
        """
        del device  # as good as any
        from w2svqa.teachers.networks.mplug_owl2 import IGNORED

        network, _, shards = cls._opened(parameters, dtype, max_frames, batch)
        matched(network, shards.state, shards.folder, ignored=IGNORED)
        return shards.version(ARITHMETIC)

    @classmethod
    def _opened(
        cls, parameters: StrPath | None, dtype: str, max_frames: int, batch: int
    ) -> tuple[MplugOwl2, Vocabulary, Shards]:
        """Return network and weights, neither of which takes memory yet; what :meth:`load` raises is raised here."""
        if dtype not in KINDS:
            raise ConfigError(f"q-align has no dtype {dtype!r}", remedy=f"choose {', '.join(KINDS)}")
        at_least_one(max_frames, "max_frames", cls.name)
        at_least_one(batch, "batch", cls.name)
        torch = require("torch", extra="train")
        from w2svqa.teachers.networks.mplug_owl2 import MplugOwl2

        folder = find_folder(parameters, cls.files, cls.name)
        shape = read_shape(folder / CONFIGURATION)
        vocabulary = Vocabulary(folder / TOKENIZER, shape.language.vocab_size)
        with torch.device("meta"):
            network = MplugOwl2(shape)
        return network, vocabulary, read_shards(folder, cls.files)

    def score(self, video: Video, reference: Video | None = None) -> float:
        """Return the score of a video or a still, 0 to 1; see the class.

        Raises:
            InputError: the video cannot be decoded.
        """
        del reference  # not needed
        torch = require("torch", extra="train")
        logits = np.asarray(self.logits(video).to("cpu", torch.float64))
        shares = np.exp(logits - logits.max())
        return float(shares @ list(WORTH.values()) / shares.sum())

    def logits(self, video: Video) -> Tensor:
        """Return the logits of the five words from excellent to bad, float32 ``(5,)``.

        Raises:
            InputError: the video cannot be decoded.
        """
        torch = require("torch", extra="train")
        prompt = self._vocabulary.prompt("image" if video.info.is_still else "video")
        with torch.inference_mode():
            batches = (torch.cat(batch) for batch in in_batches(self._pictures(video), self._batch))
            seen = torch.cat([self._network.see(pictures).flatten(0, 1) for pictures in batches])
            before, after = (torch.tensor(part, device=seen.device) for part in (prompt.before, prompt.after))
            logits: Tensor = self._network(before, seen, after, self._vocabulary.levels)
        return logits

    def _pictures(self, video: Video) -> Iterator[Tensor]:
        """Yield one prepared picture ``(1, 3, side, side)`` at a time, where and in what the network computes."""
        weight = self._network.lm_head.weight
        info = video.info
        indices = [0] if info.is_still else frame_numbers(video.count(), info.fps, info.duration, self._most)
        for frame in video.frames_at(indices):
            yield prepared(frame, self._network.shape.vision.image_size).to(weight.device, weight.dtype)[None]


def frame_numbers(count: int, fps: float | None, duration: float | None, most: int) -> list[int]:
    """Return the numbers of the frames to look at: the first of each whole second; at least one, at most ``most``.

    Args:
        count: frames of the video.
        fps: average frames per second; ``None`` if unknown.
        duration: in seconds, from which the rate follows where it is unknown; without either, it is taken to be 25.
        most: of more seconds, the middles of as many equal parts are taken.

    Source: ``load_video``: ``int(fps * second)`` for each second below ``int(count / fps)``.

    Example:
        >>> frame_numbers(100, 29.97, None, 60), frame_numbers(20, 30.0, None, 60), frame_numbers(2000, 10.0, None, 4)
        ([0, 29, 59], [0], [250, 750, 1250, 1750])
    """
    known = (rate for rate in (fps, count / duration if duration else None) if rate and math.isfinite(rate))
    rate = next(known, 25.0)
    seconds = min(count / rate, float(2**53))
    whole = max(1, int(seconds))
    chosen = range(whole) if whole <= most else [(2 * part + 1) * whole // (2 * most) for part in range(most)]
    return [min(int(rate * second), count - 1) for second in chosen]


def prepared(frame: Frame, side: int) -> Tensor:
    """Return a frame as the network takes it: in the middle of a square, made ``side`` by ``side``, normalised.

    Args:
        frame: uint8 ``(height, width, 3)``, RGB 0-255.
        side: height and width in pixels.

    Returns:
        float32 ``(3, side, side)``.

    Source: ``expand2square`` and CLIP's image processor: bicubic with a low-pass, rounded to 8 bits.
    """
    torch = require("torch", extra="train")
    planes = torch.from_numpy(squared(frame)).permute(2, 0, 1)[None]
    if planes.shape[2] != side:
        planes = torch.nn.functional.interpolate(planes, size=(side, side), mode="bicubic", antialias=True)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    normalised: Tensor = (planes[0].float() / 255 - mean) / deviation
    return normalised


def squared(frame: Frame) -> Frame:
    """Return a frame in the middle of a square of CLIP's mean colour.

    Example:
        >>> squared(np.zeros((1, 3, 3), np.uint8))[:, 1].tolist()
        [[122, 116, 104], [0, 0, 0], [122, 116, 104]]
    """
    height, width = frame.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = [int(255 * share) for share in MEAN]
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = frame
    return square


def read_shape(path: Path) -> Shape:
    """Return the sizes that a ``config.json`` tells; what it leaves out is as in the reference.

    Raises:
        MissingInputError: it cannot be read.
        InputError: it is damaged, a size is impossible, or it asks for what there is no code for.
        MissingExtraError: PyTorch is not installed.
    """
    require("torch", extra="train")
    from w2svqa.teachers.networks import mplug_owl2, mplug_owl2_vision

    content = read_json(path)
    heads = content.get("num_attention_heads")  # fewer for keys than for queries fail in the reference too
    for name, wanted in (*_FIXED.items(), ("num_key_value_heads", heads)):
        if content.get(name, wanted) not in (wanted, None):
            raise InputError(
                f"{name} is {content[name]!r}; there is code for {wanted!r} alone",
                path=path,
                remedy="name a checkpoint of Q-Align's architecture",
            )
    visual = _object(content, "visual_config", path)
    try:
        return mplug_owl2.Shape(
            language=_sizes(mplug_owl2.LanguageShape, content, path),
            vision=_sizes(mplug_owl2_vision.VisionShape, _object(visual, "visual_model", path), path),
            abstractor=_sizes(mplug_owl2_vision.AbstractorShape, _object(visual, "visual_abstractor", path), path),
        )
    except ValueError as error:
        raise damaged(path, str(error)) from None


def _object(content: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise damaged(path, f"{name} is no object")
    return value


_Sizes = TypeVar("_Sizes", bound="DataclassInstance")


def _sizes(kind: type[_Sizes], content: Mapping[str, object], path: Path) -> _Sizes:
    """Return an instance of a dataclass of positive numbers, filled by name."""
    values: dict[str, Any] = {}
    for each in fields(kind):
        value = content.get(each.name)
        if value is None:
            continue
        whole = each.type == "int"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 < value < 2**31:
            raise damaged(path, f"{each.name} is {value!r}, and must be a positive {'whole ' if whole else ''}number")
        values[each.name] = value
    return kind(**values)
