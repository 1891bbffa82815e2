"""mPLUG-Owl2: a language model of the LLaMA-2 kind that treats what it sees and what it reads a little differently.

Keys, values and normalisations have one set of weights for text and one for pictures; all else is shared. It reads a
sequence of the form text, pictures, text once, and is asked only what comes next.

Source: Q. Ye et al., "mPLUG-Owl2", CVPR 2024 (arXiv 2311.04257), section 3.2, the modality-adaptive module; H. Touvron
et al., "Llama 2" (arXiv 2307.09288) for the rest: rotary positions, root-mean-square normalisation, gated perceptrons.
From the reference implementation of Q-Align (``modeling_llama2.py``, ``modeling_mplug_owl2.py``) come the keys and what
is computed in 32 bits whatever the weights are in. Departures: attention is PyTorch's own; the last position alone is
projected, and on the wanted words only, where the reference makes the logits of every word at every position; there is
no cache of keys and values, as nothing is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from w2svqa.teachers.networks.mplug_owl2_vision import (
    AbstractorShape,
    VisionModel,
    VisionShape,
    VisualAbstractor,
    check_divisible,
    join_heads,
    split_heads,
)

IGNORED = r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
"""Keys that older checkpoints carry and that follow from the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageShape:
    """Sizes of the language model; names and defaults of the top level of ``config.json``.

    Attributes:
        vocab_size: words.
        hidden_size: width, an even multiple of the heads.
        intermediate_size: width inside a gated perceptron.
        num_hidden_layers: layers.
        num_attention_heads: heads of each.
        rms_norm_eps: added to mean squares.
        rope_theta: base of the wavelengths of rotary positions.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        check_divisible("hidden_size", self.hidden_size, "twice num_attention_heads", 2 * self.num_attention_heads)

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of the whole.

    Attributes:
        language: of the language model.
        vision: of the vision transformer.
        abstractor: of what lies between.
    """

    language: LanguageShape = field(default_factory=LanguageShape)
    vision: VisionShape = field(default_factory=VisionShape)
    abstractor: AbstractorShape = field(default_factory=AbstractorShape)

    def __post_init__(self) -> None:
        if self.abstractor.hidden_size != self.vision.hidden_size:
            raise ValueError(
                f"the abstractor's hidden_size {self.abstractor.hidden_size} is not the vision transformer's "
                f"{self.vision.hidden_size}"
            )


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where in a sequence pictures stand: positions ``start`` to ``stop - 1``."""

    start: int
    stop: int


class ByModality(nn.Module):
    """Two layers of one kind: the first for text, the second for pictures."""

    def __init__(self, text: nn.Module, pictures: nn.Module) -> None:
        super().__init__()
        self.multiway = nn.ModuleList([text, pictures])

    def forward(self, states: Tensor, place: Pictures) -> Tensor:
        """Return the states ``(batch, positions, width)``, each through the layer of its modality."""
        text, pictures = self.multiway
        before, seen, after = states[:, : place.start], states[:, place.start : place.stop], states[:, place.stop :]
        return torch.cat([text(before), pictures(seen), text(after)], dim=1)


class RootMeanSquareNorm(nn.Module):
    """Normalisation by the root of the mean square, in 32 bits."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self._epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, states: Tensor) -> Tensor:
        """Return the states, normalised along the last axis."""
        exact = states.float()
        scale = torch.rsqrt(exact.square().mean(-1, keepdim=True) + self._epsilon)
        return self.weight * (exact * scale).to(states.dtype)


class Rotation:
    """Rotary positions: coordinates ``i`` and ``i + size / 2`` of a head turn by an angle that grows with the position.

    Args:
        length: positions.
        size: width of a head.
        base: of the wavelengths.
        like: of its kind and place the tables are; angles are computed in 32 bits.
    """

    def __init__(self, length: int, size: int, base: float, like: Tensor) -> None:
        exponents = torch.arange(0, size, 2, dtype=torch.float32, device=like.device) / size
        positions = torch.arange(length, dtype=torch.float32, device=like.device)
        angles = torch.outer(positions, 1.0 / base**exponents)
        self._cosines, self._sines = angles.cos().to(like.dtype), angles.sin().to(like.dtype)

    def apply(self, heads: Tensor) -> Tensor:
        """Turn ``(batch, heads, positions, size)``."""
        first, second = heads.chunk(2, dim=-1)
        turned = first * self._cosines - second * self._sines, second * self._cosines + first * self._sines
        return torch.cat(turned, dim=-1)


class CausalAttention(nn.Module):
    """Attention to what came before; keys and values by modality."""

    def __init__(self, shape: LanguageShape) -> None:
        super().__init__()
        width = shape.hidden_size
        self._heads = shape.num_attention_heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = ByModality(nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False))
        self.v_proj = ByModality(nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False))
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor, place: Pictures, rotation: Rotation) -> Tensor:
        """Return ``(batch, positions, width)``, as it came in."""
        query = rotation.apply(split_heads(self.q_proj(states), self._heads))
        key = rotation.apply(split_heads(self.k_proj(states, place), self._heads))
        value = split_heads(self.v_proj(states, place), self._heads)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        result: Tensor = self.o_proj(join_heads(attended))
        return result


class GatedPerceptron(nn.Module):
    """The perceptron of a layer, shared by both modalities."""

    def __init__(self, shape: LanguageShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(batch, positions, width)``, as it came in."""
        result: Tensor = self.down_proj(functional.silu(self.gate_proj(states)) * self.up_proj(states))
        return result


class DecoderLayer(nn.Module):
    """Attention and perceptron, each after a normalisation by modality and beside a residual."""

    def __init__(self, shape: LanguageShape) -> None:
        super().__init__()
        self.self_attn = CausalAttention(shape)
        self.mlp = GatedPerceptron(shape)
        self.input_layernorm = _norms(shape)
        self.post_attention_layernorm = _norms(shape)

    def forward(self, states: Tensor, place: Pictures, rotation: Rotation) -> Tensor:
        """Return ``(batch, positions, width)``, as it came in."""
        states = states + self.self_attn(self.input_layernorm(states, place), place, rotation)
        result: Tensor = states + self.mlp(self.post_attention_layernorm(states, place))
        return result


def _norms(shape: LanguageShape) -> ByModality:
    width, epsilon = shape.hidden_size, shape.rms_norm_eps
    return ByModality(RootMeanSquareNorm(width, epsilon), RootMeanSquareNorm(width, epsilon))


class OwlModel(nn.Module):
    """Everything below the last projection: words and pictures in, states out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        language = shape.language
        self._head_size, self._base = language.head_size, language.rope_theta
        self.embed_tokens = nn.Embedding(language.vocab_size, language.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(language) for _ in range(language.num_hidden_layers))
        self.norm = RootMeanSquareNorm(language.hidden_size, language.rms_norm_eps)
        self.vision_model = VisionModel(shape.vision)
        self.visual_abstractor = VisualAbstractor(shape.abstractor, shape.vision.tokens, language.hidden_size)

    def forward(self, before: Tensor, seen: Tensor, after: Tensor) -> Tensor:
        """Return the normalised states ``(positions, width)``; arguments are those of :meth:`MplugOwl2.forward`."""
        states = torch.cat([self.embed_tokens(before), seen, self.embed_tokens(after)])[None]
        place = Pictures(len(before), len(before) + len(seen))
        rotation = Rotation(states.shape[1], self._head_size, self._base, states)
        for layer in self.layers:
            states = layer(states, place, rotation)
        result: Tensor = self.norm(states)[0]
        return result


class MplugOwl2(nn.Module):
    """The network of Q-Align. Keys are those of the official checkpoints.

    Args:
        shape: sizes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = OwlModel(shape)
        self.lm_head = nn.Linear(shape.language.hidden_size, shape.language.vocab_size, bias=False)

    def see(self, pictures: Tensor) -> Tensor:
        """Return the visual tokens of pictures.

        Args:
            pictures: ``(batch, 3, side, side)``, normalised as for CLIP, on the device and in the type of the weights.

        Returns:
            ``(batch, queries + 1, language width)``.
        """
        tokens: Tensor = self.model.visual_abstractor(self.model.vision_model(pictures))
        return tokens

    def forward(self, before: Tensor, seen: Tensor, after: Tensor, words: Sequence[int]) -> Tensor:
        """Return the logits of some words as the next one.

        Args:
            before: numbers of the words before the pictures, int64 ``(count,)``.
            seen: visual tokens of all pictures in time order, ``(count, language width)``.
            after: numbers of the words after them, int64 ``(count,)``, at least one.
            words: numbers of the words that are asked for.

        Returns:
            float32 ``(words,)``.
        """
        last = self.model(before, seen, after)[-1]
        return functional.linear(last, self.lm_head.weight[list(words)]).float()
