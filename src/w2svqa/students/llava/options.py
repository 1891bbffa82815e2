"""How a LLaVA student is run: where, how exactly, and how much of a long video; none of it needs its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import ConfigError, StrPath

Precision = Literal["auto", "bfloat16", "float16", "float32"]
Quantization = Literal["none", "8bit", "4bit"]
Orders = Literal["one", "both"]
"""``one``: the anchor is the first video, and the scored one the second; ``both``: the other way round as well."""

MOST_SECONDS: Final = 60
"""The frame budget: seconds of a video that are compared at once unless another number is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlavaOptions:
    """How a student is run.

    Attributes:
        device: as PyTorch names it, such as ``"cuda:1"``; ``"auto"`` takes a CUDA device if there is one.
        dtype: of the networks; ``"auto"`` is bfloat16 on a CUDA device that has it (float16 on one that has not) and
            float32 on the CPU.
        quantize: the language model's weights in 8 or 4 bits, by bitsandbytes.
        compiled: compile the vision tower and the language model's feed-forward layers by ``torch.compile``: the first
            videos take minutes, later ones less time.
        orders: in which orders a video and an anchor are compared; as the bundle's card says unless given.
        each_second: score every second of a video by itself too, where nobody asks for them.
        most_seconds: the frame budget: a longer video is compared by this many of its seconds, evenly spaced, or by
            fewer where the context holds no more; as the bundle's card says unless given.
        batch_tokens: tokens that the language model is given at once, fill included.
        frames_at_once: key frames that the vision tower is given at once.
        prefix_gigabytes: memory for the keys and values of first videos that are kept, in 10^9 bytes.
        prefix_file: keeps those of the bundle's anchors from one run to the next.
        checkpoint: where the checkpoint is that the bundle was trained from, if not where its card says.
    """

    device: str = "auto"
    dtype: Precision = "auto"
    quantize: Quantization = "none"
    compiled: bool = False
    orders: Orders | None = None
    each_second: bool = False
    most_seconds: int | None = None
    batch_tokens: int = 32768
    frames_at_once: int = 8
    prefix_gigabytes: float = 2.0
    prefix_file: Path | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        """Reject numbers that cannot be used.

        Raises:
            ConfigError: a count below 1, or memory below 0.
        """
        for name in ("most_seconds", "batch_tokens", "frames_at_once"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}", remedy="give at least 1")
        if self.prefix_gigabytes < 0:
            raise ConfigError(f"prefix_gigabytes is {self.prefix_gigabytes:g}", remedy="give 0 or more")


def parse_options(options: Mapping[str, str], *, where: StrPath | None = None) -> LlavaOptions:
    """Return options that are given by name, as on the command line.

    Args:
        options: fields of :class:`LlavaOptions`.
        where: the bundle, for messages.

    Raises:
        ConfigError: there is no such option, or it has no such value.

    Example:
        >>> parse_options({"most_seconds": "30", "compiled": "true"}).most_seconds
        30
        >>> parse_options({"dtyp": "float32"})
        Traceback (most recent call last):
        w2svqa.core.errors.ConfigError: unknown key 'dtyp' (did you mean 'dtype'?)
    """
    return from_mapping(LlavaOptions, options, where=where)
