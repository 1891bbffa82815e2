"""Accelerate's own classes read every configuration that is shipped for its launcher."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType
from repository import ROOT

from w2svqa.students.llava.checkpoint import RANDOM_TINY, load_llava
from w2svqa.students.llava.config import LlavaConfig

CONFIGS = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))


def read(path: Path) -> ClusterConfig:
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_it(path: Path) -> None:
    config = read(path)  # an unknown key is an error of its own
    assert config.num_processes == 2
    assert config.mixed_precision == "no"  # the run's train.precision says it
    arguments = vars(launch_command_parser().parse_args(["program.py"]))
    for name, value in config.fsdp_config.items():
        assert name in arguments, value
    for name in config.deepspeed_config:
        assert name in arguments
    assert path.read_text(encoding="utf-8").startswith("#")


def test_they_are_the_kinds_that_their_names_say() -> None:
    found = {path.stem: read(path) for path in CONFIGS}
    assert set(found) == {"ddp-cpu-2", "fsdp", "fsdp-llava", "zero2", "zero3"}
    for name in ("fsdp", "fsdp-llava"):
        assert found[name].distributed_type == DistributedType.FSDP
        assert found[name].fsdp_config["fsdp_version"] == 2
    for stage in (2, 3):
        assert found[f"zero{stage}"].distributed_type == DistributedType.DEEPSPEED
        assert found[f"zero{stage}"].deepspeed_config["zero_stage"] == stage
        assert found[f"zero{stage}"].deepspeed_config["gradient_accumulation_steps"] == 1
    # Accelerate's launcher starts several processes for this kind alone, see the file
    assert found["ddp-cpu-2"].distributed_type == DistributedType.MULTI_GPU
    assert found["ddp-cpu-2"].use_cpu


def test_the_strong_student_has_the_layers_that_are_shared_out_one_by_one() -> None:
    config = read(ROOT / "configs" / "accelerate" / "fsdp-llava.yaml").fsdp_config
    model = load_llava(RANDOM_TINY, LlavaConfig(frame_side=28))
    names = {type(module).__name__ for module in model.modules()}
    assert set(config["fsdp_transformer_layer_cls_to_wrap"].split(",")) <= names
