"""Reference values of NIQE, BRISQUE and CPBD on two known pictures, from implementations that are not ours.

The pictures are parts of scikit-image's ``camera`` (CC0) and ``astronaut`` (NASA, public domain). Features and NIQE
come from pyiqa's ports of the authors' MATLAB releases, the regression from LIBSVM itself, CPBD from python-cpbd. The
parameters are those that ``tests/teachers/teacher_fixtures.py`` makes up, so that no trained file is needed.

Needs scikit-image, libsvm-official, torch, opencv and scipy; ``--pyiqa`` and ``--cpbd`` name the folders in which the
packages ``pyiqa`` and ``cpbd`` lie, unpacked. Run it from the root of the repository, with ``src`` on the path.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


def main() -> None:
    """Write the file that ``--output`` names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pyiqa", required=True, type=Path)
    parser.add_argument("--cpbd", required=True, type=Path)
    parser.add_argument("--output", default="tests/teachers/goldens/picture_statistics.npz", type=Path)
    options = parser.parse_args()
    sys.path.append("tests/teachers")
    pictures = _pictures()
    niqe, brisque = _pyiqa(options.pyiqa)
    cpbd = _cpbd(options.cpbd)
    values: dict[str, Any] = {}
    for name, picture in pictures.items():
        features = _brisque_features(brisque, picture)
        values |= {
            f"{name}.picture": picture,
            f"{name}.niqe_score": _niqe(niqe, picture),
            f"{name}.niqe_features": _niqe_features(niqe, picture),
            f"{name}.brisque_features": features,
            f"{name}.brisque_score": _regression(features),
            f"{name}.cpbd": float(cpbd.compute(picture)),
        }
    options.output.parent.mkdir(exist_ok=True)
    np.savez_compressed(options.output, **values)
    for key, value in values.items():
        print(key, value if np.ndim(value) == 0 else np.shape(value))


def _pictures() -> dict[str, Grey]:
    data, cv2 = import_module("skimage.data"), import_module("cv2")
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    return {"camera": data.camera()[60:260, 130:430], "astronaut": astronaut[20:225, 120:330]}


def _pyiqa(folder: Path) -> tuple[ModuleType, ModuleType]:
    """Load two files of pyiqa without the rest of it, which needs a hundred packages."""
    for name, path in {"pyiqa": "", "pyiqa.archs": "archs", "pyiqa.utils": "utils"}.items():
        package = ModuleType(name)
        package.__path__ = [str(folder / "pyiqa" / path)]
        sys.modules[name] = package
    stubs: dict[str, dict[str, Any]] = {
        "pyiqa.utils.registry": {"ARCH_REGISTRY": _Register()},
        "pyiqa.utils.download_util": {"load_file_from_url": None, "DEFAULT_CACHE_DIR": ""},
        "pyiqa.archs.arch_util": {"get_url_from_name": str, "load_file_from_url": None},
    }
    for name, content in stubs.items():
        module = ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
    return import_module("pyiqa.archs.niqe_arch"), import_module("pyiqa.archs.brisque_arch")


class _Register:
    """Keeps nothing."""

    def register(self, *_: object, **__: object) -> Any:  # noqa: ANN401 (a decorator of anything)
        """Return a decorator that leaves a class as it is."""
        return lambda kind: kind


def _tensor(picture: Grey) -> Any:  # noqa: ANN401 (a tensor)
    return import_module("torch").from_numpy(picture.astype(np.float64))[None, None]


def _niqe(module: ModuleType, picture: Grey) -> float:
    torch = import_module("torch")
    mean, covariance = torch.zeros(1, 36, dtype=torch.float64), torch.eye(36, dtype=torch.float64)
    return float(module.niqe(_tensor(picture), mean, covariance))


def _niqe_features(module: ModuleType, picture: Grey) -> NDArray[np.float64]:
    found = []
    original = module.compute_feature

    def recorded(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 (passed on)
        found.append(original(*arguments, **named))
        return found[-1]

    vars(module)["compute_feature"] = recorded
    try:
        _niqe(module, picture)
    finally:
        vars(module)["compute_feature"] = original
    features = np.concatenate([each.numpy().reshape(-1, 18) for each in found], axis=1)
    # there patches go down first, here across
    down, across = (size // 96 for size in picture.shape)
    return features.reshape(across, down, 36).swapaxes(0, 1).reshape(-1, 36)


def _brisque_features(module: ModuleType, picture: Grey) -> NDArray[np.float64]:
    whole = _tensor(picture)
    half = module.imresize(whole, scale=0.5, antialiasing=True)
    return np.concatenate([module.natural_scene_statistics(each)[0].numpy() for each in (whole, half)])


def _regression(features: NDArray[np.float64]) -> float:
    from teacher_fixtures import write_brisque

    svm = import_module("libsvm.svmutil")
    numbers = np.arange(1, 37)
    scaled = -1 + 2 * (features + 0.5 * numbers) / (1.5 * numbers)
    with tempfile.TemporaryDirectory() as folder:
        model = svm.svm_load_model(str(write_brisque(Path(folder)) / "allmodel"))
        [value], _, _ = svm.svm_predict([0], [dict(enumerate(scaled.tolist(), 1))], model, "-q")
    return float(value)


def _cpbd(folder: Path) -> ModuleType:
    vars(import_module("scipy.ndimage"))["imread"] = None  # it is gone from SciPy; only its command line needs it
    sys.path.append(str(folder))
    return import_module("cpbd.compute")


if __name__ == "__main__":
    main()
