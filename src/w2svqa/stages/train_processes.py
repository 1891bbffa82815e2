"""The processes of a training, through Accelerate: one, several, or several that share the weights out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError
from w2svqa.core.extras import require
from w2svqa.stages.train_weights import frozen_names

Precision = Literal["fp32", "bf16", "fp16"]

_TYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_DEEPSPEED: Final = "deepspeed-"
_ZERO3: Final = 3
_SHARDING: Final = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


class Processes:
    """What the processes of a training have in common, and how each of them makes a step.

    How many there are and whether DDP, FSDP or DeepSpeed joins them is the launcher's business: Accelerate reads it
    from the environment. Without an accelerator (CUDA or XPU) they are joined by gloo on CPUs.

    Weights are float32 everywhere and autocast chooses the precision of what is computed: Accelerate is told of float16
    alone, whose gradients it must scale.

    Attributes:
        index: of this process, 0 for the main one.
        count: of processes.
        device: of this process.
        sharding: ``"FSDP"`` or ``"DeepSpeed"`` where the weights are shared out; empty where each process has all.

    Args:
        precision: of the convolutions.

    Raises:
        ConfigError: float16 on a CPU or with shared-out weights, weights to be shared out on CPUs, or gradients to be
            accumulated.
        MissingExtraError: Accelerate is not installed.
    """

    def __init__(self, precision: Precision) -> None:
        require("accelerate", extra="train")
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        has_gpu = torch.cuda.is_available() or torch.xpu.is_available()
        on_cpu = not has_gpu or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
        self.sharding = next((name for key, name in _SHARDING.items() if os.environ.get(key) == "true"), "")
        _check(precision, self.sharding, on_cpu=on_cpu)
        self._precision: Precision = precision
        # the state is the process's, and the last training in it may have had another precision
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(cpu=on_cpu, mixed_precision="fp16" if precision == "fp16" else "no")
        if self.accelerator.gradient_accumulation_steps != 1:
            raise ConfigError(
                "gradients are not accumulated: a step is one batch",
                remedy="set gradient_accumulation_steps to 1 in Accelerate's configuration, or lower train.batch",
            )
        self.index: int = self.accelerator.process_index
        self.count: int = self.accelerator.num_processes
        self.device: torch.device = self.accelerator.device

    def own_weights(self) -> None:
        """Let this process make whole models of transformers by itself; they are shared out when all is prepared.

        Accelerate tells transformers of ZeRO-3, which would then share models out while it makes them, also where
        ``zero3_init_flag`` is false: not all of them can be filled with weights that way.
        """
        plugin = self.accelerator.deepspeed_plugin if self.sharding == "DeepSpeed" else None
        if plugin is not None:
            plugin.dschf = None  # what transformers has is a weak reference

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.index == 0

    def autocast(self, *, enabled: bool = True) -> AbstractContextManager[object]:
        """Compute in the precision of the configuration, or in float32."""
        kind = _TYPES[self._precision]
        return torch.autocast(self.device.type, kind, enabled=enabled and kind is not torch.float32)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over all processes; without a gradient."""
        found: Tensor = self.accelerator.reduce(values.detach(), reduction="sum")
        return found

    def largest(self, number: int) -> int:
        """Return the largest ``number`` of all processes."""
        return int(self.gather(torch.tensor([number], device=self.device)).max())

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows ``(n, ...)`` of all processes, which may have different numbers of them."""
        if self.count == 1:
            return rows
        numbers: list[int] = self.accelerator.gather(torch.tensor([len(rows)], device=self.device)).tolist()
        padded = self.accelerator.gather(self.accelerator.pad_across_processes(rows.contiguous(), dim=0))
        return torch.cat([part[:number] for part, number in zip(padded.chunk(self.count), numbers, strict=True)])

    def prepare(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, *, clip_norm: float
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return the module and its optimiser as this kind of processes needs them."""
        plugin = self.accelerator.deepspeed_plugin if self.sharding == "DeepSpeed" else None
        if plugin is not None:  # which steps and clips by itself, and wants to know a number that means nothing here
            plugin.deepspeed_config |= {"train_micro_batch_size_per_gpu": 1, "gradient_clipping": clip_norm}
        prepared: tuple[nn.Module, torch.optim.Optimizer] = self.accelerator.prepare(module, optimiser)
        return prepared

    def backward(self, loss: Tensor, module: nn.Module, clip_norm: float) -> float | None:
        """Compute the gradients of the sum of all processes' losses, clip them and return their length before.

        ``None`` where DeepSpeed does not tell, and where float16 gradients overflowed, which skips the step.
        """
        # gradients are averaged over processes, while the loss is a sum over them
        self.accelerator.backward(loss * self.count)
        # listed only now: between the passes FSDP has whole weights in the place of its shares
        length = self.accelerator.clip_grad_norm_(list(module.parameters()), clip_norm)
        if length is None or (self._precision == "fp16" and not bool(torch.isfinite(torch.as_tensor(length)))):
            return None
        return float(length)

    def weights(self, module: nn.Module) -> dict[str, Tensor]:
        """Return what training changes of a prepared module, in every process: all weights but frozen ones."""
        frozen = frozen_names(module)
        if frozen and self.sharding == "FSDP":
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

            options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
            state = dict(get_model_state_dict(module, options=options))
        elif frozen and self._is_zero3(module):
            gather: Any = module._zero3_consolidated_16bit_state_dict
            state = gather(exclude_frozen_parameters=True)
        else:
            state = self.accelerator.get_state_dict(module)
        if self.sharding:  # only the main process has them
            from accelerate.utils import broadcast_object_list

            [state] = broadcast_object_list([_without(state, frozen)])
        return {name: value.detach().cpu() for name, value in _without(state, frozen).items()}

    def _is_zero3(self, module: nn.Module) -> bool:
        stage: Any = getattr(module, "zero_optimization_stage", None)
        return self.sharding == "DeepSpeed" and stage is not None and stage() == _ZERO3

    def state(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, folder: Path, done: int
    ) -> dict[str, dict[str, Any] | None]:
        """Return what a checkpoint needs besides the weights; all processes must call this.

        DeepSpeed keeps this to itself: it writes files of its own beside the checkpoint.
        """
        if self.sharding == "DeepSpeed":
            self.accelerator.save_state(str(folder / f"{_DEEPSPEED}{done}"), exclude_frozen_parameters=True)
            if self.is_main:
                _remove_old(folder)
            return {"optimiser": None, "scaler": None}
        if self.sharding == "FSDP":
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            state = dict(get_optimizer_state_dict(module, _inner(optimiser), options=options))
            return {"optimiser": state, "scaler": None}
        scaler = self.accelerator.scaler
        return {"optimiser": optimiser.state_dict(), "scaler": scaler and scaler.state_dict()}

    def load_state(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, saved: Mapping[str, Any], folder: Path
    ) -> None:
        """Give what was prepared the state of a checkpoint."""
        if self.sharding == "DeepSpeed":
            self.accelerator.load_state(str(folder / f"{_DEEPSPEED}{saved['step']}"), load_module_strict=False)
        elif self.sharding == "FSDP":
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

            options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
            set_optimizer_state_dict(module, _inner(optimiser), saved["optimiser"], options=options)
        else:
            optimiser.load_state_dict(saved["optimiser"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(saved["scaler"])


def _remove_old(folder: Path) -> None:
    """Remove DeepSpeed's files of all but the last two checkpoints."""
    found = sorted(folder.glob(f"{_DEEPSPEED}*"), key=lambda path: int(path.name.removeprefix(_DEEPSPEED)))
    for path in found[:-2]:
        shutil.rmtree(path)


def _without(state: Mapping[str, Any] | None, names: frozenset[str]) -> dict[str, Any]:
    """A state dict less some names, which may carry the prefix of what wraps the module; empty for none."""
    bare = {name.removeprefix("module.") for name in names}
    return {name: value for name, value in (state or {}).items() if name.removeprefix("module.") not in bare}


def _inner(optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimiser that Accelerate has wrapped."""
    inner: torch.optim.Optimizer = getattr(optimiser, "optimizer", optimiser)
    return inner


def _check(precision: Precision, sharding: str, *, on_cpu: bool) -> None:
    if precision == "fp16" and on_cpu:
        raise ConfigError("train.precision fp16 needs a GPU", remedy="take bf16 or fp32")
    if precision == "fp16" and sharding:
        raise ConfigError(f"train.precision fp16 does not go with {sharding}", remedy="take bf16 or fp32")
    if sharding and on_cpu:  # Accelerate would take no notice of it
        raise ConfigError(f"{sharding} needs GPUs", remedy="launch with configs/accelerate/ddp-cpu-2.yaml")
