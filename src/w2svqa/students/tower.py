"""The middle student: any vision tower of Hugging Face, motion features, and the comparator of the compact student.

```
key frame of a second (side, side, 3) uint8
  -> the tower's tokens after some of its layers     (layers, tokens, width)
  -> their mean and deviation over the picture       (layers * 2 * width) -> token
motion feature of the second (256), frozen                                +  token = token of the second

tokens of the first and of the second video, each averaged over time
  -> one quality each, and how near the two are -> five logits
```

It fits a consumer GPU: a SigLIP base tower has 93 million weights. Early layers tell noise, blur and coding, late ones
what is shown; so tokens are taken from both.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError, MissingInputError
from w2svqa.core.extras import require
from w2svqa.core.hub import fetch_snapshot, hub_name
from w2svqa.students.compact import CompactConfig, Comparator

if TYPE_CHECKING:
    from transformers import PretrainedConfig

RANDOM_TINY: Final = "random-tiny"
"""Name of a tower of random weights that is made on the spot, for tests and trials."""

_TINY: Final = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_HUB_FILES: Final = ("*.json", "*.safetensors")
_SOME_SIDE: Final = 224  # of a picture for towers that take any
_HALF: Final = 0.5  # mean and deviation of pixels where the checkpoint says nothing: SigLIP's


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerConfig:
    """What the student sees and the size of its head; the tower's own size is the checkpoint's.

    Attributes:
        checkpoint: a folder in the format of Hugging Face or the name of a model on its hub, whole models with a text
            part among them; or :data:`RANDOM_TINY`.
        layers: after which layers tokens are taken, as shares of the depth, above 0 to 1.
        token: length of the token of a second.
        hidden: width of the comparator.
        motion: length of a motion feature; 0 for a student that sees key frames alone.
    """

    checkpoint: str
    layers: tuple[float, ...] = (0.5, 1.0)
    token: int = 128
    hidden: int = 64
    motion: int = 256

    def __post_init__(self) -> None:
        """Reject numbers that cannot be.

        Raises:
            ValueError: no layers, a share beyond 0-1, or a size below 1.
        """
        if not self.layers or not all(0 < share <= 1 for share in self.layers):
            raise ValueError(f"layers {self.layers} must be shares of the depth, above 0 to 1, at least one")
        if self.token < 1 or self.hidden < 1 or self.motion < 0:
            raise ValueError(f"token {self.token} and hidden {self.hidden} must be 1 or more, motion {self.motion} 0")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tower:
    """A vision tower and how it wants its pixels.

    Attributes:
        network: maps ``pixel_values`` ``(N, 3, side, side)`` to hidden states of every layer.
        facts: its configuration, plain values, by which the same network can be made without its weights.
        side: height and width in pixels; ``None`` where any will do.
        mean: of pixels 0-1, per channel.
        deviation: of pixels 0-1, per channel.
    """

    network: nn.Module
    facts: Mapping[str, Any]
    side: int | None
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def load_tower(checkpoint: str, *, seed: int = 0) -> Tower:
    """Load a tower with its weights.

    Args:
        checkpoint: see :class:`TowerConfig`.
        seed: draws the weights of :data:`RANDOM_TINY`.

    Raises:
        ConfigError: there is no such checkpoint, or it is no vision model.
        MissingExtraError: transformers is not installed.
    """
    require("transformers", extra="llm")
    from transformers import AutoModel, SiglipVisionConfig

    if checkpoint == RANDOM_TINY:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: nn.Module = AutoModel.from_config(SiglipVisionConfig(**_TINY))
        return _tower(network, {})
    folder = _folder(checkpoint)
    try:
        # of a model of pictures and text the part that sees
        whole = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        network = getattr(whole, "vision_model", whole)
        return _tower(network, _pixels(folder))
    except (OSError, ValueError) as error:
        raise _useless(checkpoint, str(error)) from None


def _folder(checkpoint: str) -> Path:
    """The folder of a checkpoint, fetched where it is on the hub and not in the cache."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    name = hub_name(checkpoint)
    if name is None:
        raise _useless(checkpoint, "there is no such folder")
    try:
        return fetch_snapshot(name, _HUB_FILES, address=checkpoint)
    except MissingInputError as error:
        raise _useless(checkpoint, error.problem) from None


def make_tower(facts: Mapping[str, Any], mean: Sequence[float], deviation: Sequence[float]) -> Tower:
    """Make the network of a tower whose weights are to be loaded from elsewhere; those it has are random.

    Args:
        facts: as :attr:`Tower.facts`.
        mean: see :class:`Tower`.
        deviation: see :class:`Tower`.

    Raises:
        ConfigError: transformers knows no such network.
        MissingExtraError: transformers is not installed.
    """
    require("transformers", extra="llm")
    from transformers import CONFIG_MAPPING, AutoModel

    kind = str(facts.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise _useless(kind, "transformers knows no model of this type")
    with torch.random.fork_rng(devices=[]):
        network = AutoModel.from_config(CONFIG_MAPPING[kind].from_dict(copy.deepcopy(dict(facts))))
    return _tower(network, {"image_mean": list(mean), "image_std": list(deviation)})


def _useless(checkpoint: str, problem: str) -> ConfigError:
    return ConfigError(
        f"{checkpoint!r} cannot be used as a vision tower: {problem.splitlines()[0]}",
        remedy="name a folder or a hub id of a vision model, such as a SigLIP base, or random-tiny",
    )


def _pixels(folder: Path) -> Mapping[str, Any]:
    """What the checkpoint says of its pixels; nothing where it says nothing."""
    path = folder / "preprocessor_config.json"
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _tower(network: nn.Module, pixels: Mapping[str, Any]) -> Tower:
    config: PretrainedConfig = network.config
    side = getattr(config, "image_size", None)
    if not hasattr(config, "num_hidden_layers") or not hasattr(config, "patch_size"):
        raise ValueError(f"{type(network).__name__} is no transformer that sees")
    mean, deviation = (tuple(pixels.get(key) or (_HALF,) * 3) for key in ("image_mean", "image_std"))
    facts = {key: value for key, value in config.to_dict().items() if key != "_name_or_path"}
    return Tower(
        network=network,
        facts=facts,
        side=side if isinstance(side, int) else None,
        mean=mean,
        deviation=deviation,
    )


class TowerHead(nn.Module):
    """What is learned from scratch: from the tower's statistics and the motion feature to a token, and comparisons."""

    def __init__(self, config: TowerConfig, width: int) -> None:
        super().__init__()
        seen = 2 * width * len(config.layers)
        self.spatial = nn.Sequential(nn.LayerNorm(seen), nn.Linear(seen, config.token))
        # no bias: a still, whose motion feature is zero, has none in its token either
        self.motion = nn.Linear(config.motion, config.token, bias=False) if config.motion else None
        self.comparator = Comparator(CompactConfig(token=config.token, hidden=config.hidden))

    def forward(self, statistics: Tensor, motion: Tensor) -> Tensor:
        """Map float32 ``(N, 2 * width * layers)`` and ``(N, motion)`` to float32 tokens ``(N, token)``."""
        tokens: Tensor = self.spatial(statistics)
        return tokens if self.motion is None else tokens + self.motion(motion)


class TowerModel(nn.Module):
    """The middle student.

    Args:
        config: its size.
        tower: what sees.
    """

    antisymmetric = True

    def __init__(self, config: TowerConfig, tower: Tower) -> None:
        super().__init__()
        self.config = config
        self.facts, self.side = tower.facts, tower.side
        self.mean, self.deviation = tower.mean, tower.deviation
        self.tower = tower.network
        depth = int(tower.facts["num_hidden_layers"])
        self.layers = tuple(max(1, round(share * depth)) for share in config.layers)
        self.head = TowerHead(config, int(tower.facts["hidden_size"]))
        for name, values in (("pixel_mean", tower.mean), ("pixel_deviation", tower.deviation)):
            self.register_buffer(name, 255 * torch.tensor(values).reshape(1, -1, 1, 1), persistent=False)
        self._used: frozenset[str] | None = None

    def parts(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the weights of the parts that can be trained at rates of their own.

        Of the tower those are left out that no token depends on, such as a pooling head's: they would wait for a
        gradient forever.
        """
        self._used = self._used or self._find_used()
        used = [weight for name, weight in self.tower.named_parameters() if name in self._used]
        return {"tower": used, "head": list(self.head.parameters())}

    def second_tokens(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Map seconds to tokens.

        Args:
            frames: uint8 ``(S, side, side, 3)``, RGB.
            motion: float32 ``(S, motion)``; zeros for stills.

        Returns:
            float32 ``(S, token)``.

        Raises:
            ConfigError: the tower is made for pictures of another size.
        """
        if self.side is not None and frames.shape[1] != self.side:
            raise ConfigError(
                f"key frames are {frames.shape[1]} pixels high, and the tower {self.config.checkpoint} is made for"
                f" {self.side}",
                remedy=f"set distort.frames.side to {self.side}",
            )
        pixels = (frames.permute(0, 3, 1, 2).float() - self.get_buffer("pixel_mean")) / self.get_buffer(
            "pixel_deviation"
        )
        states = self._states(pixels)
        with torch.autocast(frames.device.type, enabled=False):
            found = torch.cat([_moments(state.float()) for state in states], dim=1)
            tokens: Tensor = self.head(found, motion.float())
        return tokens

    def compare(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """Map the tokens of two videos per pair, each ``(S, token)``, to float32 logits ``(P, 5)``."""
        one, other = (torch.stack([tokens.float().mean(dim=0) for tokens in side]) for side in (first, second))
        with torch.autocast(one.device.type, enabled=False):
            logits: Tensor = self.head.comparator(one, other)
        return logits

    def _states(self, pixels: Tensor) -> list[Tensor]:
        """The tokens after each of the chosen layers, ``(S, places, width)``; those after the last are normalised."""
        said = self.tower(pixel_values=pixels, output_hidden_states=True)
        last = len(said.hidden_states) - 1
        return [said.last_hidden_state if layer == last else said.hidden_states[layer] for layer in self.layers]

    def _find_used(self) -> frozenset[str]:
        """Names of the tower's weights that a token depends on, found by trying."""
        names, weights = zip(*self.tower.named_parameters(), strict=True)
        before = [weight.requires_grad for weight in weights]
        self.tower.requires_grad_(True)
        side = self.side or _SOME_SIDE
        picture = torch.zeros(1, 3, side, side, device=weights[0].device)
        total = torch.stack([state.float().square().sum() for state in self._states(picture)]).sum()
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
        for weight, was in zip(weights, before, strict=True):
            weight.requires_grad_(was)
        return frozenset(name for name, gradient in zip(names, gradients, strict=True) if gradient is not None)


def _moments(tokens: Tensor) -> Tensor:
    """Mean and deviation over the places of a picture: ``(N, places, width)`` to ``(N, 2 * width)``."""
    return torch.cat([tokens.mean(dim=1), (tokens.var(dim=1, unbiased=False) + 1e-6).sqrt()], dim=1)
