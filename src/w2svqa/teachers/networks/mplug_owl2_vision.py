"""The eyes of mPLUG-Owl2: a vision transformer, and the abstractor that sums its patches up in a few visual tokens.

Source: Q. Ye et al., "mPLUG-Owl2: Revolutionizing Multi-modal Large Language Model with Modality Collaboration", CVPR
2024 (arXiv 2311.04257), section 3.1: a CLIP ViT-L/14 at 448 by 448, then learnable queries that attend to the patches.
From the reference implementation of Q-Align (``visual_encoder.py``) come the keys, the order in which heads lie in
``query_key_value``, and what each normalisation is applied to: among other things, that a query's residual starts after
its normalisation. Departures: attention is PyTorch's own, and there is no dropout and no mask, which the reference has
but sets to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_QUICK_GELU = 1.702  # a sigmoid of that slope comes close to the GELU; CLIP was trained with it


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionShape:
    """Sizes of the vision transformer; names and defaults of ``visual_config.visual_model``.

    Attributes:
        hidden_size: width, a multiple of the heads.
        intermediate_size: width between the two layers of a block's perceptron.
        num_hidden_layers: blocks.
        num_attention_heads: heads of each.
        image_size: height and width of a picture in pixels, a multiple of the patch.
        patch_size: height and width of a patch in pixels.
        layer_norm_eps: added to variances.
    """

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 448
    patch_size: int = 14
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        check_divisible("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        check_divisible("image_size", self.image_size, "patch_size", self.patch_size)

    @property
    def tokens(self) -> int:
        """Patches of a picture and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractorShape:
    """Sizes of the abstractor; names and defaults of ``visual_config.visual_abstractor``.

    Attributes:
        hidden_size: width, that of the vision transformer.
        intermediate_size: width inside a block's gated perceptron.
        num_hidden_layers: blocks.
        num_attention_heads: heads of each.
        num_learnable_queries: visual tokens per picture; one more marks the end of the picture.
        layer_norm_eps: added to variances within the perceptrons.
    """

    hidden_size: int = 1024
    intermediate_size: int = 2816
    num_hidden_layers: int = 6
    num_attention_heads: int = 16
    num_learnable_queries: int = 64
    layer_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        check_divisible("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)


def check_divisible(name: str, value: int, divisor_name: str, divisor: int) -> None:
    """Refuse a size that is no multiple of another.

    Raises:
        ValueError: it is none.
    """
    if value % divisor:
        raise ValueError(f"{name} {value} is no multiple of {divisor_name} {divisor}")


def split_heads(states: Tensor, heads: int) -> Tensor:
    """Return ``(batch, tokens, width)`` as ``(batch, heads, tokens, width / heads)``."""
    batch, tokens, _ = states.shape
    return states.reshape(batch, tokens, heads, -1).transpose(1, 2)


def join_heads(states: Tensor) -> Tensor:
    """Undo :func:`split_heads`."""
    return states.transpose(1, 2).flatten(2)


class PatchEmbeddings(nn.Module):
    """Pictures ``(batch, 3, side, side)`` to normalised tokens ``(batch, 1 + patches, width)``; first is the class."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        width, patch = shape.hidden_size, shape.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, shape.tokens, width))
        self.pre_layernorm = nn.LayerNorm(width, shape.layer_norm_eps)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the tokens before the first block."""
        patches = self.patch_embed(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pictures), -1, -1), patches], dim=1)
        normalised: Tensor = self.pre_layernorm(tokens + self.position_embedding)
        return normalised


class VisionAttention(nn.Module):
    """Self-attention whose one projection holds, head by head, the query, the key and the value."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self._heads = shape.num_attention_heads
        self.query_key_value = nn.Linear(shape.hidden_size, 3 * shape.hidden_size)
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(batch, tokens, width)``, as it came in."""
        query, key, value = split_heads(self.query_key_value(states), self._heads).chunk(3, dim=-1)
        attended: Tensor = self.dense(join_heads(functional.scaled_dot_product_attention(query, key, value)))
        return attended


class VisionPerceptron(nn.Module):
    """Two layers with CLIP's approximation of the GELU between them."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.fc2 = nn.Linear(shape.intermediate_size, shape.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(batch, tokens, width)``, as it came in."""
        inner = self.fc1(states)
        outer: Tensor = self.fc2(inner * torch.sigmoid(_QUICK_GELU * inner))
        return outer


class VisionBlock(nn.Module):
    """Attention and perceptron, each after a normalisation and beside a residual."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.self_attn = VisionAttention(shape)
        self.input_layernorm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)
        self.mlp = VisionPerceptron(shape)
        self.post_attention_layernorm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(batch, tokens, width)``, as it came in."""
        states = states + self.self_attn(self.input_layernorm(states))
        result: Tensor = states + self.mlp(self.post_attention_layernorm(states))
        return result


class VisionModel(nn.Module):
    """The vision transformer: pictures ``(batch, 3, side, side)`` to tokens ``(batch, 1 + patches, width)``."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(shape)
        self.encoder = nn.ModuleDict(
            {"layers": nn.ModuleList(VisionBlock(shape) for _ in range(shape.num_hidden_layers))}
        )
        self.post_layernorm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the tokens of normalised pictures."""
        states = self.embeddings(pictures)
        for block in self.encoder["layers"].children():
            states = block(states)
        normalised: Tensor = self.post_layernorm(states)
        return normalised


class QueryAttention(nn.Module):
    """Attention of the queries to themselves and to the patches; both know their place.

    The tables of places are sines and cosines, and a part of the checkpoint.
    """

    q_pos_embed: Tensor
    k_pos_embed: Tensor

    def __init__(self, shape: AbstractorShape, tokens: int) -> None:
        super().__init__()
        width = shape.hidden_size
        self._heads = shape.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.register_buffer("q_pos_embed", torch.zeros(shape.num_learnable_queries, width))
        self.register_buffer("k_pos_embed", torch.zeros(tokens, width))

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """Return what each query ``(batch, queries, width)`` takes from ``seen``, ``(batch, tokens, width)``."""
        everything = torch.cat([queries, seen], dim=1)
        places = torch.cat([self.q_pos_embed, self.k_pos_embed])
        query = split_heads(self.query(queries + self.q_pos_embed), self._heads)
        key = split_heads(self.key(everything + places), self._heads)
        value = split_heads(self.value(everything), self._heads)
        return join_heads(functional.scaled_dot_product_attention(query, key, value))


class AbstractorPerceptron(nn.Module):
    """A gated perceptron with a normalisation inside."""

    def __init__(self, shape: AbstractorShape) -> None:
        super().__init__()
        self.w1 = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.w2 = nn.Linear(shape.intermediate_size, shape.hidden_size)
        self.w3 = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.ffn_ln = nn.LayerNorm(shape.intermediate_size, shape.layer_norm_eps)

    def forward(self, states: Tensor) -> Tensor:
        """Return ``(batch, queries, width)``, as it came in."""
        inner = functional.silu(self.w1(states)) * self.w3(states)
        outer: Tensor = self.w2(self.ffn_ln(inner))
        return outer


class AbstractorOutput(nn.Module):
    """What follows the attention of a block: projection and perceptron, each beside a residual."""

    def __init__(self, shape: AbstractorShape) -> None:
        super().__init__()
        self.out_proj = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.norm2 = nn.LayerNorm(shape.hidden_size)
        self.mlp = AbstractorPerceptron(shape)

    def forward(self, attended: Tensor, queries: Tensor) -> Tensor:
        """Return the next queries, ``(batch, queries, width)``."""
        queries = queries + self.out_proj(attended)
        result: Tensor = queries + self.mlp(self.norm2(queries))
        return result


class CrossAttention(nn.Module):
    """A block of the abstractor. The residual is the normalised query."""

    def __init__(self, shape: AbstractorShape, tokens: int) -> None:
        super().__init__()
        self.attention = QueryAttention(shape, tokens)
        self.output = AbstractorOutput(shape)
        self.norm1 = nn.LayerNorm(shape.hidden_size)
        self.normk = nn.LayerNorm(shape.hidden_size)

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """Return the next queries, ``(batch, queries, width)``."""
        queries = self.norm1(queries)
        result: Tensor = self.output(self.attention(queries, self.normk(seen)), queries)
        return result


class VisualAbstractor(nn.Module):
    """Tokens of the vision transformer to ``(batch, queries + 1, language width)``; the last marks a picture's end.

    Args:
        shape: sizes.
        tokens: of the vision transformer per picture.
        language_width: of what it makes.
    """

    def __init__(self, shape: AbstractorShape, tokens: int, language_width: int) -> None:
        super().__init__()
        blocks = [
            nn.ModuleDict({"crossattention": CrossAttention(shape, tokens)}) for _ in range(shape.num_hidden_layers)
        ]
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(blocks)})
        self.visual_fc = nn.Linear(shape.hidden_size, language_width)
        self.query_embeds = nn.Parameter(torch.zeros(1, shape.num_learnable_queries, shape.hidden_size))
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, language_width))

    def forward(self, seen: Tensor) -> Tensor:
        """Return the visual tokens of ``seen``, ``(batch, tokens, width)``."""
        queries = self.query_embeds.expand(len(seen), -1, -1)
        for block in self.encoder["layers"].children():
            queries = block.get_submodule("crossattention")(queries, seen)
        end = self.vit_eos.expand(len(seen), -1, -1)
        return torch.cat([self.visual_fc(queries), end], dim=1)
