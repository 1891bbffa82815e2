"""The compact student as a family: crops, ONNX, no part of it that could stay as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from w2svqa.core.protocols import Student
from w2svqa.core.records import Tokens
from w2svqa.core.rows import PairRow, VersionRow
from w2svqa.stages.batches import Batch, BatchConfig, Batches
from w2svqa.stages.families import Drawn, Family, Shipped
from w2svqa.stages.kept_seconds import FramesConfig
from w2svqa.stages.train_model import ModelConfig, build
from w2svqa.stages.train_processes import Precision, Processes
from w2svqa.stages.train_step import Answers, StudentStep, ask_compact
from w2svqa.students.bundle import WEIGHTS
from w2svqa.students.compact import CompactModel
from w2svqa.students.looks import load_looks
from w2svqa.students.onnx_export import check_parity, export_onnx
from w2svqa.students.runtime import CompactStudent


class CompactFamily(Family[Batch]):
    """The compact student.

    Args:
        config: its size.
    """

    is_light = True
    sees_seconds = False

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    def build(self, kinds: Sequence[str], *, seed: int, precision: Precision) -> CompactModel:
        """Return a new model; its weights are float32 in every precision."""
        del precision
        return build(self._config, kinds, seed=seed)

    def batches(
        self,
        versions: Sequence[VersionRow],
        pairs: Sequence[PairRow],
        folder: Path,
        *,
        kinds: Sequence[str],
        config: BatchConfig,
        seed: int,
        share: tuple[int, int],
    ) -> Drawn[Batch]:
        """Return batches from the crop cache."""
        return Batches(versions, pairs, folder, kinds=kinds, config=config, seed=seed, share=share)

    def step(self, model: nn.Module, processes: Processes) -> nn.Module:
        """Return the model as one call."""
        return StudentStep(_compact(model), processes)

    def ask(self, module: nn.Module, batch: Batch, processes: Processes) -> Answers:
        """Let it look at a batch."""
        return ask_compact(module, batch, processes)

    def rates(self, model: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """Return all weights, at the whole rate."""
        return [(list(model.parameters()), 1.0)]

    def ship(self, model: nn.Module, folder: Path, *, name: str, seed: int, frames: FramesConfig | None) -> Shipped:
        """Export the networks to ONNX.

        Raises:
            BundleError: ONNX and PyTorch differ.
        """
        del seed, frames
        compact = _compact(model)
        config = compact.config
        export_onnx(compact, folder)
        student = CompactStudent(folder, name=name, kinds=config.kinds, motion=config.motion)
        facts = {
            "student": "compact",
            "kinds": list(config.kinds),
            "motion": config.motion,
            "model": asdict(config),
            "onnx_difference": check_parity(compact, student),
        }
        return Shipped(student=student, facts=facts)

    def weights(self, folder: Path) -> Mapping[str, Tensor]:
        """Return all weights."""
        found: Mapping[str, Tensor] = load_file(folder / WEIGHTS)
        return found

    def encoder(self, student: Student, folder: Path) -> Callable[[VersionRow], Tokens]:
        """Return what encodes the looks of held-out versions."""
        if not isinstance(student, CompactStudent):
            raise TypeError(f"a {type(student).__name__} does not look at crops")
        return lambda row: student.encode_looks(load_looks(folder / row.views)[row.row])


def _compact(model: nn.Module) -> CompactModel:
    if not isinstance(model, CompactModel):
        raise TypeError(f"a {type(model).__name__} is no compact model")
    return model
