"""Write what the reference implementation of FAST-VQA computes, for the tests of the port to compare with.

    python benchmarks/goldens/make_fast_vqa.py --official FAST-VQA --output tests/teachers/goldens/fast_vqa.npz

FAST-VQA is a checkout of https://github.com/VQAssessment/FAST-VQA-and-FasterVQA. The script imports that code and
contains none of it; weights come from hashes of their names, inputs from seeds (tests/teachers/filled.py,
dover_cases.py and fast_vqa_cases.py), so that only outputs are stored. It needs torch, torchvision, timm and einops.
What else the reference imports is not needed here: stand-ins take its place where it is missing, and frames are made
instead of decoded. Its random draws are replaced by given numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "teachers"))

import dover_cases as shared
import fast_vqa_cases as cases

ABSENT = ("decord", "skvideo", "skvideo.io", "tqdm", "cv2", "clip")
WATCHED = re.compile(r"patch_embed|layers\.\d|layers\.[02]\.blocks\.1|norm")
INDEX = "relative_position_index"
Values = dict[str, NDArray[Any]]
Shares = NDArray[np.float64]


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of FAST-VQA-and-FasterVQA")
    parser.add_argument("--output", type=Path, required=True, help="the .npz to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(arguments.official))
    models, datasets, script = official_modules()
    models_by_name = {name: model_of(models, arguments.official, file) for name, file in cases.MODELS.items()}
    values: Values = {}
    for name, model in models_by_name.items():
        values |= record_keys(name, model)
    values |= record_frames(datasets) | record_fragments(datasets) | record_small(datasets) | record_scores(script)
    for name in cases.FORWARDS:
        values |= record_forward(name, models_by_name)
    values |= record_full(models_by_name["faster-vqa"], datasets)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.output, allow_pickle=False, **values)
    print(f"{arguments.output}: {len(values)} arrays, {arguments.output.stat().st_size} bytes")


def official_modules() -> tuple[ModuleType, ModuleType, ModuleType]:
    """Import the models, the samplers and the script for one video of the reference."""
    for name in ABSENT:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = mock.MagicMock()
    for old, new in (("timm.models.layers", "timm.layers"), ("timm.models.registry", "timm.models")):
        sys.modules[old] = importlib.import_module(new)
    names = ("fastvqa.models", "fastvqa.datasets.fusion_datasets", "vqa")
    models, datasets, script = (importlib.import_module(name) for name in names)
    return models, datasets, script


def model_of(models: ModuleType, official: Path, file: str) -> torch.nn.Module:
    """Return a network with its parameters filled; buffers, which are tables of indices, keep theirs."""
    arguments = yaml.safe_load((official / "options" / "fast" / file).read_text())["model"]["args"]
    with contextlib.redirect_stdout(io.StringIO()):
        model: torch.nn.Module = models.DiViDeAddEvaluator(**arguments).eval()
    shapes = {key: tuple(value.shape) for key, value in model.named_parameters()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in shared.state_of(shapes)}, strict=False)
    for module in model.modules():
        if hasattr(module, "use_checkpoint"):
            vars(module)["use_checkpoint"] = False  # saves memory in training, and changes no number
    return model


def record_keys(name: str, model: torch.nn.Module) -> Values:
    """Return the digest of all keys and shapes but the index tables, and how many there are of both."""
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    kept = {key: shape for key, shape in shapes.items() if not key.endswith(INDEX)}
    counts = np.array([len(kept), len(shapes) - len(kept)])
    return {f"{name}/keys": np.array(shared.digest_of(kept)), f"{name}/counts": counts}


def record_frames(datasets: ModuleType) -> Values:
    """Return the frame numbers for videos of all lengths."""
    values: Values = {}
    for count in cases.COUNTS:
        for name, (length, clips) in cases.CLIP_KINDS.items():
            values[f"frames/{name}/{count}"] = datasets.SampleFrames(length, cases.INTERVAL, clips)(count)
        sampler = datasets.FragmentSampleFrames(cases.RUN_LENGTH, cases.RUNS, cases.INTERVAL)
        with mock.patch("numpy.random.randint", given_starts(cases.starts(count))):
            values[f"frames/faster-vqa/{count}"] = sampler(count)
    return {name: numbers.astype(np.int16) for name, numbers in values.items()}


def record_fragments(datasets: ModuleType) -> Values:
    """Return samples of the spliced pictures of all videos, before and after normalisation."""
    values: Values = {}
    for number, (length, height, width, cells, aligned) in enumerate(cases.VIDEOS):
        numbers, shares = range(length), cases.shares(length // aligned, cells)
        pictures = spliced(datasets, numbers, (height, width), cells, aligned, shares)
        values[f"fragments/{number}/pictures"] = shared.sample_of(pictures.numpy(), 4000).astype(np.uint8)
        values[f"fragments/{number}/sum"] = np.array(pictures.double().sum())
        values[f"fragments/{number}/normalised"] = shared.sample_of(normalised(pictures).contiguous().numpy(), 500)
    return values


def record_small(datasets: ModuleType) -> Values:
    """Return samples of the spliced pictures of frames that are enlarged, as the reference cuts them."""
    values: Values = {}
    for height, width in cases.SMALL:
        shares = np.zeros((1, 7, 7, 2))
        picture = spliced(datasets, range(1), (height, width), 7, 1, shares)
        values[f"small/{height}x{width}"] = shared.sample_of(picture.numpy(), 4000).astype(np.uint8)
    return values


def record_scores(script: ModuleType) -> Values:
    """Return the rescaled scores of all three models."""
    names = {"fast-vqa": "FAST-VQA", "fast-vqa-m": "FAST-VQA-M", "faster-vqa": "FasterVQA"}
    with contextlib.redirect_stdout(io.StringIO()):
        return {
            f"scores/{name}": np.array([script.sigmoid_rescale(raw, model=there) for raw in cases.RAW])
            for name, there in names.items()
        }


def record_forward(name: str, models: dict[str, torch.nn.Module]) -> Values:
    """Return the mean quality of each clip and, for the first, samples of what the parts of the backbone give."""
    model_name, shape, clips, adaptive = cases.FORWARDS[name]
    model, means = models[model_name], []
    values: Values = {}
    for number in range(clips):
        clip = torch.from_numpy(shared.clip(number, shape))[None]
        with watched(model.get_submodule("fragments_backbone")) as seen, contextlib.redirect_stdout(io.StringIO()):
            quality = model({"fragments": clip}, adaptive_window_size=adaptive)
        model.eval()  # the reference leaves itself in training mode
        means.append(float(quality.mean()))
        if number == 0:
            values |= {f"{name}/{part}": shared.sample_of(value, 250) for part, value in seen.items()}
            values[f"{name}/quality"] = shared.sample_of(quality.numpy(), 250)
    print(name, means, "deviation", np.std(means), flush=True)
    return values | {f"{name}/means": np.array(means)}


@contextlib.contextmanager
def watched(backbone: torch.nn.Module) -> Iterator[Values]:
    """Keep what parts of a backbone put out, as it comes."""
    seen: Values = {}

    def keep(part: str) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            seen[part] = output[0].numpy().copy()

        return hook

    parts = [(part, module) for part, module in backbone.named_modules() if WATCHED.fullmatch(part)]
    hooks = [module.register_forward_hook(keep(part)) for part, module in parts]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def record_full(model: torch.nn.Module, datasets: ModuleType) -> Values:
    """Return the output of FasterVQA for one video, from its frames on."""
    count, height, width = cases.FULL_VIDEO
    sampler = datasets.FragmentSampleFrames(cases.RUN_LENGTH, cases.RUNS, cases.INTERVAL)
    with mock.patch("numpy.random.randint", given_starts(cases.starts(count))):
        numbers = sampler(count)
    pictures = spliced(datasets, numbers.tolist(), (height, width), 7, 8, cases.shares(4, 7))
    with contextlib.redirect_stdout(io.StringIO()):
        output = model({"fragments": normalised(pictures)[None]}).mean()
    print("full", float(output), flush=True)
    return {"full/faster-vqa": np.array(float(output))}


def spliced(
    datasets: ModuleType, numbers: Iterable[int], size: tuple[int, int], cells: int, aligned: int, shares: Shares
) -> torch.Tensor:
    """Return the fragments that the reference cuts, ``(3, frames, height, width)``, 0-255."""
    frames = torch.stack([torch.from_numpy(cases.frame(number, *size)) for number in numbers]).permute(3, 0, 1, 2)
    with mock.patch("torch.randint", given_places(shares, [side for side in (0, 1) if size[side] // cells > 32])):
        pictures: torch.Tensor = datasets.get_spatial_fragments(frames, cells, cells, 32, 32, aligned)
    return pictures


def given_starts(shares: Shares) -> Callable[..., NDArray[Any]]:
    """Return a stand-in for ``numpy.random.randint``."""

    def starts(low: int, high: int, **_: object) -> NDArray[Any]:
        return low + np.floor(shares * (high - low))

    return starts


def given_places(shares: Shares, open_sides: list[int]) -> Callable[..., torch.Tensor]:
    """Return a stand-in for ``torch.randint``, which is asked once for each side that leaves something to draw."""
    sides = iter(open_sides)

    def places(high: int, _shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(np.floor(np.moveaxis(shares[..., next(sides)], 0, -1) * high).astype(np.int64))

    return places


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """Return what the network is given; the constants stand in ``vqa.py``, inside its main block."""
    mean, deviation = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    return ((pictures.permute(1, 2, 3, 0) - mean) / deviation).permute(3, 0, 1, 2)


if __name__ == "__main__":
    main()
