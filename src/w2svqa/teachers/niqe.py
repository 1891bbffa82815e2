"""NIQE: how far the natural scene statistics of a picture lie from those of pristine pictures.

Source: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal
Processing Letters 20(3), 2013 (doi 10.1109/LSP.2012.2227726).
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.core.extras import require
from w2svqa.teachers.frames import FrameTeacher, Grey
from w2svqa.teachers.parameters import check_array, damaged, read_parameters, version_of
from w2svqa.teachers.scene_statistics import (
    NEIGHBOURS,
    Asymmetric,
    Picture,
    fit_asymmetric,
    half_size,
    moments,
    mscn,
    neighbour_products,
)

FILE = "niqe_image_params.mat"
PATCH = 96
"""Height and width of a patch at full size, in pixels (SPL 2013, section II-B)."""
FEATURES = 36
ARITHMETIC = 1

# What SciPy raises for files that are no MATLAB 5 files, or damaged ones.
_UNREADABLE = (ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class PristineModel:
    """The multivariate Gaussian of patches of pristine pictures.

    Attributes:
        mean: float64 ``(36,)``.
        covariance: float64 ``(36, 36)``, symmetric.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class Niqe(FrameTeacher):
    """NIQE of the key frames: a distance, 0 to about 20 in practice; lower is better.

    The picture is cropped to whole patches of 96x96 pixels. Patches without texture (black bars, a blown-out sky) are
    left out. The selection of sharp patches belongs to the fitting of the pristine model and is not done here.

    Args:
        model: of pristine pictures.
        version: changes with the model and the arithmetic.
    """

    name = "niqe"
    higher_is_better = False
    range = (0.0, math.inf)
    least_size = PATCH
    files = (FILE,)

    def __init__(self, model: PristineModel, version: str) -> None:
        super().__init__(version)
        self._model = model

    @classmethod
    def load(cls, folder: StrPath) -> Niqe:
        """Return NIQE with the pristine model of ``niqe_image_params.mat`` in ``folder`` (or of that file itself).

        Raises:
            MissingInputError: the file is not there.
            InputError: it is damaged, or holds something else.
            MissingExtraError: SciPy is not installed.
        """
        contents = read_parameters(folder, [FILE])
        return cls(_read_model(contents[FILE], folder), version_of(ARITHMETIC, contents))

    def _judge(self, grey: Grey) -> float:
        return niqe_distance(patch_features(grey), self._model)


def patch_features(grey: Grey) -> NDArray[np.float64]:
    """Return 36 features per whole 96x96 patch, 18 at full and 18 at half size, in rows from top left.

    Args:
        grey: uint8 ``(height, width)``, at least 96x96.

    Returns:
        float64 ``(patches, 36)``; NaN where a patch is flat.

    Source: SPL 2013, section II-A and II-C.
    """
    height, width = (size // PATCH * PATCH for size in grey.shape)
    cropped = grey[:height, :width]
    scales = ((cropped, PATCH), (half_size(cropped), PATCH // 2))
    return np.concatenate([_features(_patches(mscn(each, "replicate"), size)) for each, size in scales], axis=1)


def _patches(coefficients: Picture, size: int) -> Picture:
    rows, columns = coefficients.shape[0] // size, coefficients.shape[1] // size
    grid = coefficients.reshape(rows, size, columns, size).swapaxes(1, 2)
    return grid.reshape(rows * columns, size, size)


def _features(patches: Picture) -> NDArray[np.float64]:
    own = _fit(patches)
    columns = [own.shape, (own.left + own.right) / 2 * own.width_ratio]
    for shift in NEIGHBOURS:
        fit = _fit(neighbour_products(patches, shift))
        columns += [fit.shape, fit.mean, fit.left * fit.width_ratio, fit.right * fit.width_ratio]
    return np.stack(columns, axis=1)


def _fit(patches: Picture) -> Asymmetric:
    return fit_asymmetric(moments(patches.reshape(len(patches), -1)))


def niqe_distance(features: NDArray[np.float64], model: PristineModel) -> float:
    """Return the distance between the Gaussian of these patches and the pristine one; NaN without a textured patch.

    Args:
        features: float64 ``(patches, 36)``; rows that are not finite are left out (the release leaves out single NaN
            cells of the mean, which comes to the same but for patches that are flat at one scale only).
        model: of pristine pictures.

    Source: SPL 2013, eq. 10; the covariance of a single patch is taken as zero, as in the release.
    """
    textured = features[np.isfinite(features).all(axis=1)]
    if not len(textured):
        return math.nan
    covariance = np.cov(textured, rowvar=False) if len(textured) > 1 else np.zeros_like(model.covariance)
    difference = model.mean - textured.mean(axis=0)
    inverse = np.linalg.pinv((model.covariance + covariance) / 2)
    return float(np.sqrt(max(0.0, difference @ inverse @ difference)))


def _read_model(content: bytes, path: StrPath) -> PristineModel:
    matlab = require("scipy.io", extra="train")
    try:
        tables = matlab.loadmat(io.BytesIO(content))
        mean = np.asarray(tables["pop_mu"], np.float64)
        covariance = np.asarray(tables["pop_cov"], np.float64)
    except (*_UNREADABLE, matlab.matlab.MatReadError) as error:
        raise damaged(
            path, f"is no MATLAB file with pop_mu and pop_cov: {str(error) or type(error).__name__}"
        ) from None
    check_array("pop_mu", mean.reshape(-1), (FEATURES,), path)
    check_array("pop_cov", covariance, (FEATURES, FEATURES), path)
    return PristineModel(mean.reshape(-1), covariance)
