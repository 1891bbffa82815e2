"""The strong student as a family: which parts of LLaVA-OneVision are trained, and how they reach a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError
from w2svqa.core.extras import require
from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.networks.activations import compute_again
from w2svqa.networks.checkpoints import read_tensors
from w2svqa.stages.families import Floats, Shipped
from w2svqa.stages.family_seconds import Compare, SecondFamily, SecondStep, encoded
from w2svqa.stages.kept_seconds import FramesConfig, load_slowfast
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_strong import LlavaTraining, shares
from w2svqa.stages.train_weights import changing
from w2svqa.students.llava.bundle import DOWN, UP, Base, Changed, write_llava_bundle
from w2svqa.students.llava.checkpoint import MOTION, PROJECTOR, identify, load_llava
from w2svqa.students.llava.device import device_of, precision_of
from w2svqa.students.llava.lora import ADAPTER, add_lora
from w2svqa.students.llava.model import LlavaModel, filled_up
from w2svqa.students.llava.options import LlavaOptions
from w2svqa.students.llava.runtime import LlavaStudent
from w2svqa.students.seconds import Seconds

_BACKBONE, _MOTION = "backbone.", "motion_projector."
_DOWN, _UP = ".lora_A.default.weight", ".lora_B.default.weight"  # peft's names of what a bundle calls DOWN and UP


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedLlava(Shipped):
    """A strong student and what its bundle is made of."""

    student: LlavaStudent
    base: Base
    changed: Changed
    motion: Any


class LlavaFamily(SecondFamily):
    """The strong student.

    Args:
        config: its checkpoint, and what is trained.
    """

    def __init__(self, config: LlavaTraining) -> None:
        self._config = config

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of the learning rate of each part."""
        return shares(self._config.rates)

    def check(self) -> None:
        """Find or fetch the checkpoint."""
        for package in ("transformers", *(("peft",) if self._config.lora else ())):
            require(package, extra="llm")
        identify(self._config.checkpoint)

    def build(self, kinds: Sequence[str], *, seed: int, precision: Precision) -> LlavaModel:
        """Return the checkpoint's model; frozen weights are in brain floats if that is the precision.

        Raises:
            InputError: the checkpoint is missing or damaged.
            ConfigError: nothing would be trained, or the language model has no layer that LoRA shall go to.
        """
        del kinds
        require("transformers", extra="llm")
        config = self._config
        kept = torch.bfloat16 if precision == "bf16" else torch.float32
        model = load_llava(config.checkpoint, config.network, kind=kept, new_projector=True, seed=seed)
        if config.lora is not None:
            add_lora(model, config.lora, seed=seed)
        self.thaw(model)
        if config.gradient_checkpointing:
            compute_again(model.backbone)
        return model

    def parts(self, model: nn.Module) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the weights of each part."""
        whole = _llava(model)
        inner: Any = whole.backbone.model
        tower = getattr(inner.vision_tower, "vision_model", inner.vision_tower)
        language = dict(inner.language_model.named_parameters())
        return {
            # its last normalisation and its pooling head are not asked
            "vision_tower": [*tower.embeddings.parameters(), *tower.encoder.parameters()],
            "projector": list(inner.multi_modal_projector.parameters()),
            "motion_projector": list(whole.motion_projector.parameters()),
            "language_model": [weight for name, weight in language.items() if ADAPTER not in name],
            "lora": [weight for name, weight in language.items() if ADAPTER in name],
        }

    def step(self, model: nn.Module, processes: Processes) -> nn.Module:
        """Return the model as one call."""
        whole = _llava(model)
        return SecondStep(whole, whole, comparing(whole), processes)

    def ship(
        self, model: nn.Module, folder: Path, *, name: str, seed: int, frames: FramesConfig | None
    ) -> ShippedLlava:
        """Put the model where scoring would, in the precision that scoring takes there."""
        del folder  # written when all is known
        if frames is None:
            raise ConfigError("a strong student needs distort.frames", remedy="say where SlowFast's weights are")
        whole = _llava(model)
        changed = self._changed(whole)
        _merge(whole)
        options = LlavaOptions()
        device = device_of(options)
        student = LlavaStudent(
            whole.to(device, precision_of(options, device)),
            load_slowfast(frames.slowfast, frames.span),
            name=name,
            options=options,
        )
        checkpoint = self._config.checkpoint
        base = Base(checkpoint=checkpoint, identity=identify(checkpoint, seed=seed), seed=seed)
        return ShippedLlava(
            student=student, facts={}, base=base, changed=changed, motion=load_slowfast(frames.slowfast, frames.span)
        )

    def finish(
        self,
        shipped: Shipped,
        folder: Path,
        *,
        anchors: tuple[Tokens, ...],
        preferences: Floats,
        card: Mapping[str, object],
    ) -> None:
        """Write the bundle."""
        if not isinstance(shipped, ShippedLlava):
            raise TypeError(f"{shipped} is no strong student")
        scale = card["scale"]
        write_llava_bundle(
            folder,
            name=str(card["name"]),
            model=shipped.student.model,
            motion=shipped.motion,
            base=shipped.base,
            changed=shipped.changed,
            anchors=anchors,
            preferences=preferences,
            scale=scale if isinstance(scale, dict) else {},
            facts=card,
        )

    def weights(self, folder: Path) -> Mapping[str, Tensor]:
        """Return the weights of a bundle for training on."""
        found: dict[str, Tensor] = {}
        for path in sorted(folder.glob("weights*.safetensors")):
            for name, value in read_tensors(path).items():
                found[_BACKBONE + _of_peft(name)] = value
        if self._config.rates.motion_projector:
            for name, value in read_tensors(folder / MOTION).items():
                if name.startswith(PROJECTOR):
                    found[_MOTION + name.removeprefix(PROJECTOR)] = value
        return found

    def tokens(self, student: Student, seconds: Seconds) -> Tokens:
        """Return what the student makes of seconds."""
        if not isinstance(student, LlavaStudent):
            raise TypeError(f"a {type(student).__name__} is no strong student")
        return encoded(student.model, seconds, student.model.device)

    def _changed(self, model: LlavaModel) -> Changed:
        """What a bundle holds of a trained model, copied; the motion projector has a file of its own."""
        state = {
            name.removeprefix(_BACKBONE): value.detach().cpu().clone()
            for name, value in changing(model).items()
            if name.startswith(_BACKBONE)
        }
        downs = [name for name in state if name.endswith(_DOWN)]
        updates = {
            f"{name.removesuffix(_DOWN)}.weight": (state[name], state[name.removesuffix(_DOWN) + _UP]) for name in downs
        }
        lora = self._config.lora
        return Changed(
            weights={name: value for name, value in state.items() if ADAPTER not in name},
            updates=updates,
            scale=lora.alpha / lora.rank if lora else 1.0,
        )


def comparing(model: LlavaModel) -> Compare:
    """Return what asks the language model about pairs: all of them at once, shorter ones filled up."""

    def compare(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        rows = [model.pair_embeds(one, other) for one, other in zip(first, second, strict=True)]
        return model.level_logits(*filled_up(rows))

    return compare


def _merge(model: LlavaModel) -> None:
    """Add low-rank additions to the weights they are beside, as scoring does."""
    for module in list(model.modules()):
        merge: Any = getattr(module, "merge", None)
        if merge is not None and hasattr(module, "lora_A"):
            merge()


def _of_peft(name: str) -> str:
    """The name of a low-rank addition in a model that has it, for the one in a bundle."""
    for end, peft in ((DOWN, _DOWN), (UP, _UP)):
        if name.endswith(f".weight{end}"):
            return name.removesuffix(f".weight{end}") + peft
    return name


def _llava(model: nn.Module) -> LlavaModel:
    if not isinstance(model, LlavaModel):
        raise TypeError(f"a {type(model).__name__} is no strong student")
    return model
