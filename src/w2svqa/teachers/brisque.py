"""BRISQUE: natural scene statistics of the whole picture, and a support vector regression from them to ratings.

Source: A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP
21(12), 2012 (doi 10.1109/TIP.2012.2214050), and the text format of LIBSVM for the trained model.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import StrPath
from w2svqa.teachers.frames import FrameTeacher, Grey
from w2svqa.teachers.parameters import check_array, damaged, read_parameters, version_of
from w2svqa.teachers.scene_statistics import (
    NEIGHBOURS,
    Moments,
    Picture,
    fit_asymmetric,
    fit_symmetric,
    half_size,
    moments,
    mscn,
    neighbour_products,
    pooled,
)

MODEL_FILE = "allmodel"
RANGES_FILE = "ranges.csv"
FEATURES = 36
ARITHMETIC = 1


@dataclass(frozen=True, slots=True)
class SupportVectorRegression:
    """A trained epsilon-SVR with the kernel exp(-gamma |x - y|^2).

    Attributes:
        gamma: width of the kernel, above 0.
        rho: what is subtracted from the sum.
        coefficients: float64 ``(vectors,)``.
        vectors: float64 ``(vectors, 36)``.
    """

    gamma: float
    rho: float
    coefficients: NDArray[np.float64]
    vectors: NDArray[np.float64]

    def predict(self, features: NDArray[np.float64]) -> float:
        """Return the value of the decision function at scaled features, float64 ``(36,)``."""
        distances = np.square(self.vectors - features).sum(axis=1)
        return float(self.coefficients @ np.exp(-self.gamma * distances) - self.rho)


@dataclass(frozen=True, slots=True)
class FeatureRanges:
    """Least and greatest value of each feature in training: they become -1 and 1.

    Attributes:
        low: float64 ``(36,)``.
        high: float64 ``(36,)``, above ``low``.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features on the scale of the training, linear; beyond -1 to 1 where they exceed its range."""
        return (features - self.low) / (self.high - self.low) * 2 - 1


class Brisque(FrameTeacher):
    """BRISQUE of the key frames: about 0 to 100, the scale of the ratings it was trained on; lower is better.

    Args:
        regression: from scaled features to ratings.
        ranges: for the scaling.
        version: changes with both and with the arithmetic.
    """

    name = "brisque"
    higher_is_better = False
    files = (MODEL_FILE, RANGES_FILE)
    needs_all_files = True
    least_size = 32  # below that the border makes up most of the half-size picture

    def __init__(self, regression: SupportVectorRegression, ranges: FeatureRanges, version: str) -> None:
        super().__init__(version)
        self._regression = regression
        self._ranges = ranges

    @classmethod
    def load(cls, folder: StrPath) -> Brisque:
        """Return BRISQUE with the regression of ``allmodel`` and the scaling of ``ranges.csv`` in ``folder``.

        Raises:
            MissingInputError: one of them is not there.
            InputError: one of them is damaged, or holds something else.
        """
        contents = read_parameters(folder, [MODEL_FILE, RANGES_FILE])
        regression = read_regression(contents[MODEL_FILE], Path(folder, MODEL_FILE))
        ranges = _read_ranges(contents[RANGES_FILE], Path(folder, RANGES_FILE))
        return cls(regression, ranges, version_of(ARITHMETIC, contents))

    def _judge(self, grey: Grey) -> float:
        features = picture_features(grey)
        return self._regression.predict(self._ranges.scaled(features))


def picture_features(grey: Grey) -> NDArray[np.float64]:
    """Return the 36 features of a picture, 18 at full and 18 at half size; NaN where it is flat.

    Args:
        grey: uint8 ``(height, width)``.

    Source: TIP 2012, table I.
    """
    return np.concatenate([_features(mscn(each, "zero")) for each in (grey, half_size(grey))])


def _features(coefficients: Picture) -> NDArray[np.float64]:
    shape, variance = fit_symmetric(_moments(coefficients))
    values = [shape, variance]
    for shift in NEIGHBOURS:
        fit = fit_asymmetric(_moments(neighbour_products(coefficients, shift)))
        values += [fit.shape, fit.mean, fit.left**2, fit.right**2]
    return np.concatenate(values)


def _moments(coefficients: Picture) -> Moments:
    # Row by row in float32, their sums in float64: one sum over a whole picture would lose digits.
    return pooled(moments(coefficients))


def read_regression(content: bytes, path: StrPath) -> SupportVectorRegression:
    """Return the regression that a LIBSVM model file describes.

    The head is one ``key value`` per line down to ``SV``; then a support vector per line, ``coefficient index:value
    ...``, indices from 1, those left out being 0.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        InputError: it is another kind of model, or damaged.
    """
    try:
        lines = content.decode("ascii").splitlines()
        start = lines.index("SV")
        head = {key: value for key, _, value in (line.partition(" ") for line in lines[:start])}
        _check_kind(head, path)
        rows = [line for line in lines[start + 1 :] if line.strip()]
        if len(rows) != int(head["total_sv"]):
            raise damaged(path, f"holds {len(rows)} support vectors instead of {head['total_sv']}")
        gamma, rho = float(head["gamma"]), float(head["rho"])
        coefficients, vectors = _read_vectors(rows)
    except KeyError as error:
        raise damaged(path, f"has no line {error.args[0]!r}") from None
    except (ValueError, IndexError) as error:
        raise damaged(path, f"is no model of LIBSVM: {error}") from None
    check_array("the regression", np.concatenate([[gamma, rho], coefficients]), (len(rows) + 2,), path)
    check_array("the support vectors", vectors, (len(rows), FEATURES), path)
    return SupportVectorRegression(gamma, rho, coefficients, vectors)


def _check_kind(head: dict[str, str], path: StrPath) -> None:
    kind = f"{head['svm_type']} with kernel {head['kernel_type']}"
    if kind != "epsilon_svr with kernel rbf":
        raise damaged(path, f"is a model of kind {kind} instead of epsilon_svr with kernel rbf")


def _read_vectors(rows: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    coefficients = np.empty(len(rows))
    vectors = np.zeros((len(rows), FEATURES))
    for number, row in enumerate(rows):
        coefficient, *cells = row.split()
        coefficients[number] = float(coefficient)
        for cell in cells:
            index, _, value = cell.partition(":")
            if not 1 <= int(index) <= FEATURES:
                raise ValueError(f"index {index} of support vector {number + 1} is not 1 to {FEATURES}")
            vectors[number, int(index) - 1] = float(value)
    return coefficients, vectors


def _read_ranges(content: bytes, path: StrPath) -> FeatureRanges:
    """Read the columns feature (1 to 36, in order), low and high."""
    try:
        rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
        order = [int(row["feature"]) for row in rows]
        low, high = (np.array([float(row[column]) for row in rows]) for column in ("low", "high"))
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(path, f"is no table of feature, low, high: {error}") from None
    if order != list(range(1, FEATURES + 1)):
        raise damaged(path, f"does not list the features 1 to {FEATURES} in order")
    check_array("low", low, (FEATURES,), path)
    check_array("high", high, (FEATURES,), path)
    if not (high > low).all():
        raise damaged(path, f"feature {int(np.argmin(high > low)) + 1} has a high that is not above its low")
    return FeatureRanges(low, high)
