"""Write the golden files of MinimalisticVQA VII and IX with the official code.

Run in an environment with torch, torchvision, pytorchvideo, timm and OpenCV, with the folder of
sunwei925/MinimalisticVQA:

    python benchmarks/goldens/make_minimalistic.py --official DIR --output tests/teachers/goldens/minimalistic.npz

Weights come from hashes of their keys, inputs from seeds (``tests/teachers``), so no checkpoint is needed. What is
kept: keys and shapes as digests, samples of activations, of prepared pictures and clips, and whole scores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "teachers"))

import minimalistic_inputs as given
from filled import filled_state

# torchvision registers these operators itself, unless it was built for another PyTorch.
_OPERATORS = tuple(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms"))

Golden = dict[str, NDArray[Any]]
Script = Any
"""The official script as a module."""
Network = Any
"""An official network, whose parts are known by name alone."""


def main() -> None:
    """Write the file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--official", type=Path, required=True, help="folder of the official code")
    options.add_argument("--output", type=Path, required=True)
    chosen = options.parse_args()
    models, script, builder = _official(chosen.official)
    torch.set_grad_enabled(False)
    seven, nine, motion = _fill(models.Model_VII()), _fill(models.Model_IX()), _fill(builder(), given.MOTION_WEIGHTS)
    golden = _shapes({"vii": seven, "ix": nine, "slowfast": motion})
    golden |= _pictures(seven)
    golden |= _clips(motion)
    golden |= _preparation(script)
    golden |= _judged(nine)
    golden |= _scores(script, nine, motion)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(chosen.output, allow_pickle=False, **golden)
    for name in ("vii_outputs", "ix_outputs", "ix_scores"):
        print(f"{name}: {golden[name]}, standard deviation {golden[name].std():.3f}")
    print(f"{chosen.output}: {len(golden)} arrays, {chosen.output.stat().st_size} bytes")


def _official(folder: Path) -> tuple[ModuleType, Script, Callable[[], nn.Module]]:
    """Return the official models, the official script, and what builds PyTorchVideo's SlowFast R50."""
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # PyTorch's
    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator.partition("(")[0]):
            library.define(operator)
    sys.path.insert(0, str(folder))
    architectures: Any = import_module("torchvision.models")
    builder = architectures.swin_b
    architectures.swin_b = lambda **_: builder()  # the pictures it was trained on do not matter here
    builders = import_module("pytorchvideo.models.hub")
    return import_module("models.VQAModels"), import_module("test_video"), builders.slowfast_r50


def _fill(network: nn.Module, scale: float = given.WEIGHTS) -> Network:
    own = network.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if value.is_floating_point()}
    state = {key: torch.from_numpy(value) for key, value in filled_state(shapes, scale=scale).items()}
    network.load_state_dict(own | state)
    return network.eval()


def _shapes(networks: dict[str, nn.Module]) -> Golden:
    golden: Golden = {}
    for name, network in networks.items():
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        golden[f"{name}_digest"] = np.array(given.digest_of(shapes))
        golden[f"{name}_keys"] = np.array(len(shapes))
    return golden


def _watched(layers: dict[str, nn.Module], run: Callable[[], Tensor]) -> tuple[Golden, Tensor]:
    """Return samples of what the layers put out during a run, and its result."""
    kept: Golden = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: object, output: Tensor | list[Tensor]) -> None:
            for number, part in enumerate(output if isinstance(output, list) else [output]):
                kept[f"{name}_{number}"] = given.sampled(part.numpy())

        return keep

    hooks = [layer.register_forward_hook(keeper(name)) for name, layer in layers.items()]
    result = run()
    for hook in hooks:
        hook.remove()
    return kept, result


def _pictures(network: Network) -> Golden:
    swin = network.feature_extraction
    layers = {f"vii_layer{number}": layer for number, layer in enumerate(swin.features)} | {"vii_features": swin}
    batch = torch.from_numpy(given.pictures(4, 136, 200))
    kept, outputs = _watched(layers, lambda: network(batch[:, None]))
    return kept | {"vii_outputs": outputs.numpy()}


def _clips(network: Network) -> Golden:
    small = torch.from_numpy(given.clips(4, 64))
    golden: Golden = {}
    for name, batch in (("small", small), ("full", torch.from_numpy(given.clips(1, 224)))):
        slow = batch.index_select(2, torch.linspace(0, 31, 8).long())
        after = [slow, batch]
        for number, block in enumerate(network.blocks[:5]):
            after = block(after)
            golden |= {f"slowfast_{name}_{number}_{way}": given.sampled(after[way].numpy()) for way in (0, 1)}
    pools, average = network.blocks[5].pool, network.blocks[6].output_pool
    for way, name in enumerate(("slow", "fast")):
        golden[f"slowfast_{name}"] = average(pools[way](after[way])).numpy().ravel()
    return golden


def _judged(network: Network) -> Golden:
    batch, motion = (torch.from_numpy(values) for values in (given.pictures(4, 136, 200), given.motion_features(4)))
    return {"ix_outputs": network(batch[:, None], motion[:, None]).numpy()}


class _Capture:
    """Stands in for OpenCV's reader: gives the frames of a made-up video."""

    def __init__(self, case: given.ClipCase, cv2: ModuleType) -> None:
        self._frames = iter(case.frames())
        self._facts = {
            cv2.CAP_PROP_FRAME_COUNT: float(case.count),
            cv2.CAP_PROP_FPS: case.fps,
            cv2.CAP_PROP_FRAME_HEIGHT: float(case.height),
            cv2.CAP_PROP_FRAME_WIDTH: float(case.width),
        }

    def isOpened(self) -> bool:  # noqa: N802 - the name of the reader that it stands for
        return True

    def get(self, fact: int) -> float:
        return self._facts[fact]

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        frame = next(self._frames, None)
        return frame is not None, None if frame is None else np.ascontiguousarray(frame[..., ::-1])

    def release(self) -> None:
        pass


def _prepared(script: Script, case: given.ClipCase) -> tuple[Tensor, list[Tensor]]:
    """Return key frames and clips as the official script hands them to the networks."""
    real = script.cv2
    names = ("CAP_PROP_FRAME_COUNT", "CAP_PROP_FPS", "CAP_PROP_FRAME_HEIGHT", "CAP_PROP_FRAME_WIDTH")
    facts = {name: getattr(real, name) for name in (*names, "resize", "cvtColor", "COLOR_BGR2RGB")}
    script.cv2 = SimpleNamespace(**facts, VideoCapture=lambda _: _Capture(case, real))
    try:
        return script.video_processing_spatial("", 384, 384, 8), script.video_processing_motion("", 8, 1, "mid", 224)
    finally:
        script.cv2 = real


def _preparation(script: Script) -> Golden:
    golden: Golden = {}
    for name, case in given.PREPARED.items():
        keys, clips = _prepared(script, case)
        golden[f"prepared_{name}_keys"] = np.stack([given.sampled(key.numpy()) for key in keys])
        golden[f"prepared_{name}_clips"] = np.stack([given.sampled(clip.numpy()) for clip in clips])
    return golden


def _scores(script: Script, network: Network, motion: Network) -> Golden:
    scores = []
    for case in given.SCORED:
        keys, clips = _prepared(script, case)
        features = []
        for clip in clips:
            maps = script.pack_pathway_output(clip[None].permute(0, 2, 1, 3, 4), "cpu")
            for block in motion.blocks[:5]:
                maps = block(maps)
            features.append(motion.blocks[6].output_pool(motion.blocks[5].pool[1](maps[1])).reshape(1, -1))
        scores.append(float(network(keys[None], torch.cat(features)[None])))
    return {"ix_scores": np.array(scores)}


if __name__ == "__main__":
    main()
