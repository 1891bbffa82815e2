"""LLaVA-OneVision with a motion branch: pictures and motion of two videos -> tokens -> five logits.

```
key frame (384, 384, 3) uint8            one per second
  -> vision tower, all layers but its last normalisation      27 x 27 tokens
  -> projector, then bilinear pooling, in this order          14 x 14 tokens of width H -+
motion feature (256)                     one per second                                 |-> 197 tokens of a second
  -> motion projector                                         1 token of width H -------+

prompt | tokens of the first video | prompt | tokens of the second | prompt ... "is"
  -> language model -> its last hidden state at "is" -> five rows of its output matrix -> five logits
```

The tokens of a second depend on that second alone, so they are computed once per video and kept.

Source: arXiv 2505.03631, sections 3 and 5; released code (revision 2c7ca75) for the order of the parts and the place
where the level is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.core.extras import require
from w2svqa.students.llava.config import LlavaConfig
from w2svqa.students.llava.layout import seconds_that_fit, token_places
from w2svqa.students.llava.motion import MotionProjector
from w2svqa.students.llava.pictures import normalised
from w2svqa.students.llava.prompt import PromptIds

if TYPE_CHECKING:
    from transformers import LlavaOnevisionForConditionalGeneration


class LlavaModel(nn.Module):
    """The strong student.

    Args:
        config: what it sees.
        backbone: LLaVA-OneVision.
        motion_projector: of the backbone's width.
        prompt: the question about a pair, in the tokens of the backbone.
        single: the question about a single video; ``None`` for a student that only compares.

    Raises:
        ConfigError: the vision tower is made for another size than ``config.frame_side``.
    """

    def __init__(
        self,
        config: LlavaConfig,
        backbone: LlavaOnevisionForConditionalGeneration,
        motion_projector: MotionProjector,
        prompt: PromptIds,
        single: PromptIds | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.motion_projector = motion_projector
        self.prompt = prompt
        self.single = single
        vision, text = backbone.config.vision_config, backbone.config.text_config
        if vision.image_size != config.frame_side:
            raise ConfigError(
                f"frame_side is {config.frame_side}, and the vision tower of the checkpoint is made for "
                f"{vision.image_size}",
                remedy=f"set frame_side to {vision.image_size}",
            )
        self.hidden: int = text.hidden_size
        """Width of a token, H."""
        self.grid: int = math.ceil(vision.image_size // vision.patch_size / 2)
        """Rows and columns of a frame's tokens after pooling: 14 at full size."""
        self.context: int = min(config.context, text.max_position_embeddings)
        """Most tokens of a pair."""

    @property
    def spatial(self) -> int:
        """Tokens of a frame, P: 196 at full size."""
        return self.grid * self.grid

    @property
    def device(self) -> torch.device:
        """Where the language model is."""
        return self._newline.device

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return self._newline.dtype

    @property
    def most_seconds(self) -> int:
        """Seconds that each of two videos may have at most, so that any pair of them fits in the context."""
        return seconds_that_fit((self.context - self.prompt.length) // 2, self.spatial, self.config)

    @property
    def _newline(self) -> Tensor:
        newline: Tensor = self._parts.image_newline
        return newline

    @property
    def _parts(self) -> Any:  # noqa: ANN401 - transformers does not say what its models are made of
        return self.backbone.model

    def frame_tokens(self, pixels: Tensor) -> Tensor:
        """Return the tokens of key frames.

        Args:
            pixels: uint8 ``(F, side, side, 3)``, from :func:`w2svqa.students.llava.pictures.key_picture`.

        Returns:
            ``(F, P, H)``.
        """
        tower = getattr(self._parts.vision_tower, "vision_model", self._parts.vision_tower)
        embedded = tower.embeddings(normalised(pixels.to(self.device), self.dtype))
        seen = tower.encoder(inputs_embeds=embedded).last_hidden_state
        projected = self._parts.multi_modal_projector(seen)
        side = math.isqrt(projected.shape[1])
        planes = projected.transpose(1, 2).unflatten(2, (side, side))
        pooled = functional.interpolate(planes, size=(self.grid, self.grid), mode="bilinear")
        return pooled.flatten(2).transpose(1, 2)

    def motion_tokens(self, features: Tensor) -> Tensor:
        """Return the tokens of motion features: float ``(K, 256)`` to ``(K, H)``."""
        tokens: Tensor = self.motion_projector(features.to(self.device, self.dtype))
        return tokens

    def second_tokens(self, pixels: Tensor, features: Tensor) -> Tensor:
        """Return the tokens of seconds: what a student keeps of a video.

        Args:
            pixels: uint8 ``(S, side, side, 3)``, the key frames.
            features: float ``(S, 256)``, the motion.

        Returns:
            ``(S, P + 1, H)``: the tokens of the frame, then the one of motion. Row k depends on second k alone.
        """
        return torch.cat([self.frame_tokens(pixels), self.motion_tokens(features)[:, None]], dim=1)

    def video_embeds(self, tokens: Tensor) -> Tensor:
        """Return the tokens of a video in the order of the layout, with the newline that closes it.

        Args:
            tokens: ``(S, P + 1, H)``, from :meth:`second_tokens`.

        Returns:
            ``(L, H)``; see :mod:`w2svqa.students.llava.layout`.
        """
        places = token_places(len(tokens), tokens.shape[1] - 1, self.config)
        with gathered([self._newline]):
            newline = self._newline[None].clone()
        table = torch.cat([tokens.to(self.device, self.dtype).flatten(0, 1), newline])
        return table[torch.from_numpy(places).to(self.device)]

    def first_part(self, first: Tensor) -> Tensor:
        """Return the beginning of a pair's sequence, which depends on the first video alone: ``(L1, H)``.

        Its keys and values in the language model are the same whatever the second video is.
        """
        return torch.cat([self._words(self.prompt.parts[0]), self.video_embeds(first)])

    def second_part(self, second: Tensor) -> Tensor:
        """Return the rest of a pair's sequence, up to the token after which the level comes: ``(L2, H)``."""
        return torch.cat(
            [self._words(self.prompt.parts[1]), self.video_embeds(second), self._words(self.prompt.parts[2])]
        )

    def pair_embeds(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the sequence of a pair, up to and including the token after which the level comes.

        Args:
            first: ``(S1, P + 1, H)``.
            second: ``(S2, P + 1, H)``.

        Returns:
            ``(L, H)``: :meth:`first_part` and :meth:`second_part`, one after the other.

        Raises:
            ConfigError: it is longer than the context. Nothing is ever cut off in silence.
        """
        embeds = torch.cat([self.first_part(first), self.second_part(second)])
        self._check_length(len(embeds), len(first) + len(second))
        return embeds

    def single_embeds(self, video: Tensor) -> Tensor:
        """Return the sequence about a single video, up to and including the token after which the word comes.

        Args:
            video: ``(S, P + 1, H)``.

        Raises:
            ConfigError: the student only compares, or the sequence is longer than the context.
        """
        if self.single is None:
            raise ConfigError("this student only compares", remedy="build it with a prompt for single videos")
        before, after = self.single.parts
        embeds = torch.cat([self._words(before), self.video_embeds(video), self._words(after)])
        self._check_length(len(embeds), len(video))
        return embeds

    def level_logits(self, embeds: Tensor, mask: Tensor | None = None, *, single: bool = False) -> Tensor:
        """Return five logits per sequence: the language model is asked at one position, for five words.

        Args:
            embeds: ``(B, L, H)``; shorter sequences are filled up on the left or on the right, with anything.
            mask: bool ``(B, L)``, true where a sequence has a token; ``None`` if all are of length L.
            single: the words of the prompt for single videos.

        Returns:
            float32 ``(B, 5)``: inferior to superior, or bad to excellent.

        Raises:
            W2SVQAError: a logit is not finite.
        """
        positions = None if mask is None else (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        states = self._parts.language_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return self.logits_of(last_of(states, mask), single=single)

    def logits_of(self, states: Tensor, *, single: bool = False) -> Tensor:
        """Return the five logits of last hidden states: ``(B, H)`` to float32 ``(B, 5)``.

        Raises:
            W2SVQAError: a logit is not finite.
        """
        prompt = self.single if single and self.single is not None else self.prompt
        head = cast("nn.Linear", self.backbone.lm_head)
        with gathered([head.weight]):
            rows = head.weight[list(prompt.levels)]
        logits = functional.linear(states, rows).float()
        check_finite(logits, states.dtype)
        return logits

    def forward(self, embeds: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return :meth:`level_logits`."""
        return self.level_logits(embeds, mask)

    def _words(self, tokens: Sequence[int]) -> Tensor:
        embedding = self.backbone.get_input_embeddings()
        words: Tensor = embedding(torch.tensor(tokens, device=self.device))
        return words.to(self.dtype)

    def _check_length(self, length: int, seconds: int) -> None:
        if length > self.context:
            raise ConfigError(
                f"{seconds} seconds make {length} tokens, and the context holds {self.context}",
                remedy=f"take at most {self.most_seconds} seconds of each video, or raise the context",
            )


def last_of(states: Tensor, mask: Tensor | None) -> Tensor:
    """Return the state of each sequence's last token.

    Args:
        states: ``(B, L, H)``.
        mask: bool ``(B, L)``; ``None`` if all are of length L.

    Returns:
        ``(B, H)``.

    Example:
        >>> mask = torch.tensor([[True, True, False], [False, True, True]])
        >>> last_of(torch.arange(6.0).reshape(2, 3, 1), mask).flatten().tolist()
        [1.0, 5.0]
    """
    if mask is None:
        return states[:, -1]
    last = mask.shape[1] - 1 - mask.flip(1).long().argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), last]


def filled_up(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return sequences of any length as one batch.

    Args:
        rows: ``(L, H)`` each.

    Returns:
        the batch ``(B, L, H)``, shorter sequences filled up on the right, and the mask for
        :meth:`LlavaModel.level_logits`: bool ``(B, L)``, or ``None`` if all are of one length.

    Example:
        >>> batch, mask = filled_up([torch.ones(1, 2), torch.ones(3, 2)])
        >>> batch.shape, mask.tolist()
        (torch.Size([2, 3, 2]), [[True, False, False], [True, True, True]])
    """
    embeds = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=embeds.device)
    if len(set(lengths.tolist())) == 1:
        return embeds, None
    return embeds, torch.arange(embeds.shape[1], device=embeds.device) < lengths[:, None]


def check_finite(logits: Tensor, kind: torch.dtype) -> None:
    """Refuse logits that are infinite or no numbers.

    Args:
        logits: any shape.
        kind: what the language model computed in, for the message.

    Raises:
        W2SVQAError: there are any; half precision is named where it is the likely cause.
    """
    if bool(torch.isfinite(logits).all()):
        return
    if kind == torch.float16:
        raise W2SVQAError(
            "the logits are not finite: the language model computes in float16, which overflows beyond 65504",
            remedy="load it in bfloat16, which the checkpoint was trained in, or in float32",
        )
    raise W2SVQAError(
        f"the logits are not finite, computed in {str(kind).removeprefix('torch.')}",
        remedy="check the weights of the checkpoint, and the learning rate if it was trained here",
    )


@contextmanager
def gathered(weights: Sequence[Tensor]) -> Iterator[None]:
    """Have weights whole for a while where DeepSpeed ZeRO-3 keeps a part of them in each process.

    It gathers the weights of a module when the module is called; rows and vectors that are taken out of one are beyond
    it.

    Args:
        weights: parameters.
    """
    # small ones may be whole at all times, and must not be parted while something else uses them
    parted = [
        weight for weight in weights if getattr(getattr(weight, "ds_status", None), "name", "") == "NOT_AVAILABLE"
    ]
    whole = require("deepspeed", extra="llm").zero.GatheredParameters(parted) if parted else nullcontext()
    with whole:
        yield
