"""Write what the reference implementation of DOVER computes, for the tests of the port to compare with.

    python benchmarks/goldens/make_dover.py --official DOVER --output tests/teachers/goldens/dover.npz

DOVER is a checkout of https://github.com/VQAssessment/DOVER (models and datasets of commit f1ddc96). The script imports
that code and contains none of it; weights come from hashes of their names, inputs from seeds (tests/teachers/filled.py
and dover_cases.py), so that only outputs are stored. It needs torch, torchvision, timm and einops. decord, scikit-video
and tqdm are imported by the reference but not needed here; stand-ins take their place where they are missing, and
frames are made instead of decoded.

Three things differ from a plain run of the reference: its random draws are replaced by given numbers, no ImageNet
weights are fetched, and torchvision's resizing is told not to put a low-pass before it, as the version that the
reference names (torch 1.13, torchvision 0.14) did by default for tensors.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "teachers"))

import dover_cases as cases

CONFIGURATIONS = {"dover": "dover.yml", "dover-mobile": "dover-mobile.yml"}
MEAN = torch.tensor([123.675, 116.28, 103.53])
DEVIATION = torch.tensor([58.395, 57.12, 57.375])
ABSENT = ("decord", "skvideo", "skvideo.io", "tqdm")
WATCHED = ("downsample_layers", "stages", "patch_embed", "layers")


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of DOVER")
    parser.add_argument("--output", type=Path, required=True, help="the .npz to write")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    models, datasets = official_modules(arguments.official)
    values: dict[str, np.ndarray[Any, Any]] = {}
    settings = {name: yaml.safe_load((arguments.official / file).read_text()) for name, file in CONFIGURATIONS.items()}
    samples = settings["dover"]["data"]["val-l1080p"]["args"]["sample_types"]
    for video in range(len(cases.VIDEOS)):
        values |= record_views(datasets, samples, video)
    for name, setting in settings.items():
        with mock.patch.object(torch.hub, "load_state_dict_from_url", return_value={"model": {}}):
            model = models.DOVER(**setting["model"]["args"]).eval()
        values |= record_keys(name, model)
        fill(model)
        values |= record_activations(name, model)
        values |= record_full(name, model, datasets, samples)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.output, allow_pickle=False, **values)
    print(f"{arguments.output}: {len(values)} arrays, {arguments.output.stat().st_size} bytes")


def official_modules(official: Path) -> tuple[types.ModuleType, types.ModuleType]:
    """Import the models and the datasets of the reference."""
    for name in ABSENT:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = mock.MagicMock()
    for old, new in (("timm.models.layers", "timm.layers"), ("timm.models.registry", "timm.models")):
        sys.modules[old] = importlib.import_module(new)
    sys.path.insert(0, str(official))
    return importlib.import_module("dover.models"), importlib.import_module("dover.datasets")


def record_keys(name: str, model: torch.nn.Module) -> dict[str, Any]:
    """Return the digest of all keys and shapes."""
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return {f"{name}/keys": np.array(cases.digest_of(shapes)), f"{name}/count": np.array(len(shapes))}


def fill(model: torch.nn.Module) -> None:
    """Give all parameters their values; buffers, which are tables of indices, keep theirs."""
    shapes = {key: tuple(value.shape) for key, value in model.named_parameters()}
    state = {key: torch.from_numpy(value) for key, value in cases.state_of(shapes)}
    model.load_state_dict(state, strict=False)


def record_activations(name: str, model: torch.nn.Module) -> dict[str, Any]:
    """Return the mean quality of each clip and, for the first clip, samples of what the parts of the backbones give."""
    values: dict[str, Any] = {}
    for view in cases.VIEWS:
        backbone, head = getattr(model, f"{view}_backbone"), getattr(model, f"{view}_head")
        means = []
        for number in range(cases.CLIPS):
            clip = torch.from_numpy(cases.clip(number, cases.CLIP_SHAPES[name, view]))[None]
            with torch.no_grad(), watched(backbone) as seen:
                quality = head(backbone(clip))
            means.append(float(quality.mean()))
            if number == 0:
                values |= {f"{name}/{view}/{part}": cases.sample_of(value) for part, value in seen.items()}
                values[f"{name}/{view}/quality"] = cases.sample_of(quality.numpy())
        values[f"{name}/{view}/means"] = np.array(means)
        print(name, view, means, "deviation", np.std(means))
    return values


@contextmanager
def watched(backbone: torch.nn.Module) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Keep what the children of a backbone put out, channels first."""
    seen: dict[str, np.ndarray[Any, Any]] = {}

    def keep(part: str) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            seen[part] = output[0].numpy().copy()

        return hook

    parts = [(name, module) for name, module in backbone.named_modules() if name.partition(".")[0] in WATCHED]
    parts = [(name, module) for name, module in parts if name == "patch_embed" or name.count(".") == 1]
    hooks = [module.register_forward_hook(keep(name)) for name, module in parts]
    hooks.append(backbone.register_forward_hook(keep("features")))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def record_views(datasets: types.ModuleType, samples: dict[str, Any], video: int) -> dict[str, Any]:
    """Return the frame numbers of both views and samples of their pictures."""
    values: dict[str, Any] = {}
    for view, (numbers, pictures) in official_views(datasets, samples, video).items():
        values[f"view/{video}/{view}/numbers"] = numbers
        values[f"view/{video}/{view}/pictures"] = cases.sample_of(pictures.numpy(), 4000)
        values[f"view/{video}/{view}/sum"] = np.array(pictures.double().sum())
    return values


def official_views(
    datasets: types.ModuleType, samples: dict[str, Any], video: int
) -> dict[str, tuple[Any, torch.Tensor]]:
    """Return frame numbers, and pictures ``(3, frames, 224, 224)`` in 0-255, of both views."""
    length = cases.VIDEOS[video][0]
    views = {}
    for view, options in samples.items():
        draws = cases.Draws(view, video)
        spread = "t_frag" in options
        sampler = datasets.UnifiedFrameSampler(
            options["clip_len"] // options["t_frag"] if spread else options["clip_len"],
            options["t_frag"] if spread else options["num_clips"],
            options["frame_interval"],
            options["num_clips"] if spread else 1,
        )
        with mock.patch("numpy.random.randint", given_starts(draws)):
            numbers = sampler(length).astype(np.int64)
        frames = torch.stack([torch.from_numpy(cases.frame(video, number)) for number in numbers.tolist()])
        plain = functools.partial(datasets.dover_datasets.torchvision.transforms.Resize, antialias=False)
        with (
            mock.patch("torch.randint", given_places(draws, cases.VIDEOS[video][1:])),
            mock.patch.object(datasets.dover_datasets.torchvision.transforms, "Resize", plain),
        ):
            views[view] = numbers, datasets.dover_datasets.get_single_view(frames.permute(3, 0, 1, 2), view, **options)
    return views


def given_starts(draws: cases.Draws) -> Callable[..., np.ndarray[Any, Any]]:
    """Return a stand-in for ``numpy.random.randint``."""

    def starts(low: int, high: int, size: int) -> np.ndarray[Any, Any]:
        if size != len(draws.starts):
            raise ValueError(f"{size} starts are drawn, {len(draws.starts)} were expected")
        return low + np.floor(draws.starts * (high - low))

    return starts


def given_places(draws: cases.Draws, size: tuple[int, ...]) -> Callable[..., torch.Tensor]:
    """Return a stand-in for ``torch.randint``, which is asked once for each side that leaves something to draw."""
    open_sides = iter([side for side in (0, 1) if size[side] // 7 > 32])

    def places(high: int, _shape: tuple[int, ...]) -> torch.Tensor:
        shares = draws.shares[..., next(open_sides)]
        return torch.from_numpy(np.floor(np.moveaxis(shares, 0, -1) * high).astype(np.int64))

    return places


def record_full(
    name: str, model: torch.nn.Module, datasets: types.ModuleType, samples: dict[str, Any]
) -> dict[str, Any]:
    """Return the raw score of each view of one video, from its frames on."""
    views = official_views(datasets, samples, cases.FULL_VIDEO)
    values = {}
    for view, (_, pictures) in views.items():
        clips = ((pictures.permute(1, 2, 3, 0) - MEAN) / DEVIATION).permute(3, 0, 1, 2)
        clips = clips.reshape(3, samples[view]["num_clips"], -1, *clips.shape[2:]).transpose(0, 1)
        values[f"full/{name}/{view}"] = np.array(
            np.mean([model({view: clip[None]})[0].mean().item() for clip in clips])
        )
        model.eval()  # the reference leaves itself in training mode
        print("full", name, view, values[f"full/{name}/{view}"])
    return values


if __name__ == "__main__":
    main()
