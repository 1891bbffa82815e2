"""CNNIQA: a small convolutional network on locally normalised patches of luma.

Source: L. Kang, P. Ye, Y. Li, D. Doermann, "Convolutional Neural Networks for No-Reference Image Quality Assessment",
CVPR 2014 (doi 10.1109/CVPR.2014.224), section 3.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.core.extras import require
from w2svqa.teachers.frames import FrameTeacher, Grey
from w2svqa.teachers.parameters import check_array, damaged, read_parameters, version_of

FILE = "CNNIQA-LIVE.pt"
PATCH = 32
"""Height and width of a patch in pixels."""
KERNEL = 7
KERNELS = 50
HIDDEN = 800
ARITHMETIC = 1

# Local normalisation (eq. 1 of the paper, P = Q = 3, C = 1): 3x3 windows. The paper does not name the scale of luma;
# the published parameters want 0-1, which makes of it nearly a high-pass. On 0-255 they put strong blur beside none.
_WINDOW = 3
_STABILISER = 1.0
_PATCHES_AT_ONCE = 16  # 2 MiB of windows and of responses: they stay in the cache

_UNREADABLE = (RuntimeError, ValueError, TypeError, KeyError, EOFError, OSError, AttributeError, pickle.UnpicklingError)


@dataclass(frozen=True, slots=True)
class Network:
    """The parameters, float32; names as in the published file with ``_`` for ``.``.

    Attributes:
        conv1_weight: ``(50, 49)``: each row is a 7x7 kernel from top left.
        conv1_bias: ``(50,)``.
        fc1_weight: ``(800, 100)``: the maxima of the 50 responses, then their minima.
        fc1_bias: ``(800,)``.
        fc2_weight: ``(800, 800)``.
        fc2_bias: ``(800,)``.
        fc3_weight: ``(1, 800)``.
        fc3_bias: ``(1,)``.
    """

    conv1_weight: NDArray[np.float32]
    conv1_bias: NDArray[np.float32]
    fc1_weight: NDArray[np.float32]
    fc1_bias: NDArray[np.float32]
    fc2_weight: NDArray[np.float32]
    fc2_bias: NDArray[np.float32]
    fc3_weight: NDArray[np.float32]
    fc3_bias: NDArray[np.float32]

    def predict(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one value per normalised patch, float32 ``(patches, 32, 32)`` -> ``(patches,)``."""
        starts = range(0, len(patches), _PATCHES_AT_ONCE)
        pooled = np.concatenate([self._extremes(patches[start : start + _PATCHES_AT_ONCE]) for start in starts])
        hidden = np.maximum(pooled @ self.fc1_weight.T + self.fc1_bias, 0)
        hidden = np.maximum(hidden @ self.fc2_weight.T + self.fc2_bias, 0)
        values: NDArray[np.float32] = (hidden @ self.fc3_weight.T + self.fc3_bias)[:, 0]
        return values

    def _extremes(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maxima and minima of the 50 responses over each patch, ``(patches, 100)``."""
        side = PATCH - KERNEL + 1
        # Row k: what tap k of a kernel meets at every place of every patch. So one product makes all responses.
        windows = np.lib.stride_tricks.sliding_window_view(patches, (side, side), axis=(1, 2))
        taps = windows.transpose(1, 2, 0, 3, 4).reshape(KERNEL * KERNEL, -1)
        responses = (self.conv1_weight @ taps).reshape(KERNELS, len(patches), side * side)
        most, least = responses.max(axis=2), responses.min(axis=2)
        return np.concatenate([most.T + self.conv1_bias, least.T + self.conv1_bias], axis=1)


_SHAPES = {
    "conv1.weight": (KERNELS, 1, KERNEL, KERNEL),
    "conv1.bias": (KERNELS,),
    "fc1.weight": (HIDDEN, 2 * KERNELS),
    "fc1.bias": (HIDDEN,),
    "fc2.weight": (HIDDEN, HIDDEN),
    "fc2.bias": (HIDDEN,),
    "fc3.weight": (1, HIDDEN),
    "fc3.bias": (1,),
}


class Cnniqa(FrameTeacher):
    """CNNIQA of the key frames: about 0 to 100, the DMOS of LIVE that it was trained on; lower is better.

    The score of a picture is the mean over its whole 32x32 patches that do not overlap.

    Args:
        network: the trained parameters.
        version: changes with them and with the arithmetic.
    """

    name = "cnniqa"
    higher_is_better = False
    least_size = PATCH
    files = (FILE,)
    modules = (("cv2", "train"), ("torch", "train"))

    def __init__(self, network: Network, version: str) -> None:
        super().__init__(version)
        self._network = network

    @classmethod
    def load(cls, folder: StrPath) -> Cnniqa:
        """Return CNNIQA with the state dict of ``CNNIQA-LIVE.pt`` in ``folder`` (or of that file itself).

        Raises:
            MissingInputError: the file is not there.
            InputError: it is damaged, or holds another network.
            MissingExtraError: PyTorch, which reads the file, is not installed.
        """
        contents = read_parameters(folder, [FILE])
        return cls(_read_network(contents[FILE], folder), version_of(ARITHMETIC, contents))

    def _judge(self, grey: Grey) -> float:
        if grey.min() == grey.max():
            return float("nan")
        return float(self._network.predict(normalised_patches(grey)).mean(dtype=np.float64))


def normalised_patches(grey: Grey) -> NDArray[np.float32]:
    """Return the whole 32x32 patches of a picture, each normalised by itself, its border mirrored.

    Args:
        grey: uint8 ``(height, width)``, at least 32x32.

    Returns:
        float32 ``(patches, 32, 32)``, within -1 to 1, in rows from top left.

    Source: CVPR 2014, eq. 1, on luma 0-1.
    """
    rows, columns = (size // PATCH for size in grey.shape)
    cropped = grey[: rows * PATCH, : columns * PATCH].astype(np.float32) / np.float32(255)
    patches = cropped.reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH)
    mean = _box(patches)
    variance = np.maximum(_box(patches * patches) - mean * mean, 0)
    normalised: NDArray[np.float32] = patches - mean
    normalised /= np.sqrt(variance) + _STABILISER
    return normalised


def _box(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the 3x3 window around each pixel; outside lies the outermost pixel again."""
    total = patches
    for axis in (1, 2):
        outside = [(0, 0)] * 3
        outside[axis] = (1, 1)
        padded = np.pad(total, outside, mode="edge").swapaxes(0, axis)
        total = (padded[:-2] + padded[1:-1] + padded[2:]).swapaxes(0, axis)
    result: NDArray[np.float32] = total / np.float32(_WINDOW * _WINDOW)
    return result


def _read_network(content: bytes, path: StrPath) -> Network:
    torch = require("torch", extra="train")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise damaged(path, f"is no state dict that can be loaded safely: {type(error).__name__}") from None
    if not isinstance(state, Mapping):
        raise damaged(path, "holds no state dict")
    if set(state) != set(_SHAPES):
        others = sorted(set(state) - set(_SHAPES), key=str)
        wrong = {"missing": [key for key in _SHAPES if key not in state], "not known": others}
        listed = (f"{len(keys)} keys {what}: {', '.join(map(str, keys))}" for what, keys in wrong.items() if keys)
        raise damaged(path, f"is no checkpoint of this network: {'; '.join(listed)}")
    arrays = {}
    for name, shape in _SHAPES.items():
        if not isinstance(state[name], torch.Tensor):
            raise damaged(path, f"{name} is no array of numbers")
        arrays[name] = np.asarray(state[name], np.float64)
        check_array(name, arrays[name], shape, path)
    arrays["conv1.weight"] = arrays["conv1.weight"].reshape(KERNELS, -1)
    values = {name.replace(".", "_"): array.astype(np.float32) for name, array in arrays.items()}
    return Network(**{field.name: values[field.name] for field in fields(Network)})
