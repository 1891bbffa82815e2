"""What ``feature_lab.py`` works on: feature tables, the fixed split, and weak teachers of one set each."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVR

from w2svqa.core.errors import InputError
from w2svqa.core.random import generator
from w2svqa.core.statistics import spearman
from w2svqa.students.features import FeatureScale

SETS: Final = ("brisque", "niqe", "sts_brisque", "sts_gm-log", "sts_paq2piq", "videval")
"""Feature sets of a video: the student sees all of them."""

TEACHERS: Final = ("brisque", "sts_brisque", "sts_gm-log", "sts_paq2piq", "videval")
"""Sets that a teacher sees, each alone. NIQE is one number, nothing that a regression could make more of."""

FOLDERS: Final = {"KoNViD-1k": "konvid1k", "YouTube-UGC": "ytugc"}
SPLITS: Final = Path(__file__).parent / "feature_lab_splits.json"
FOLDS: Final = 5

_KEYS: Final = frozenset({"name", "mos", "mos_std"})
_GRID: Final = ((0.3, 1.0, 3.0, 10.0), (0.03, 0.1, 0.3))  # C, and gamma times the number of features
_TUBE: Final = 0.1  # epsilon: opinion scores differ by less between two halves of the raters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Videos without ratings.

    Attributes:
        names: of the videos.
        sets: by name of the feature set float64 ``(videos, features)``; not all are finite.
    """

    names: tuple[str, ...]
    sets: Mapping[str, Floats]

    @property
    def features(self) -> Floats:
        """All that the student sees, float64 ``(videos, features)``."""
        return np.hstack([self.sets[name] for name in SETS])

    def take(self, places: Sequence[int] | Ints) -> Part:
        """Return some of the videos."""
        chosen = np.asarray(places, dtype=np.int64)
        return Part(
            names=tuple(self.names[place] for place in chosen.tolist()),
            sets={name: values[chosen] for name, values in self.sets.items()},
        )

    def joined(self, other: Part) -> Part:
        """Return these videos and others behind them."""
        return Part(
            names=self.names + other.names,
            sets={name: np.concatenate([values, other.sets[name]]) for name, values in self.sets.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What training sees. The only ratings in it are those of the 400 labelled videos.

    Attributes:
        labelled: what the teachers learn from.
        ratings: of them, 1-5, higher is better, float64 ``(labelled,)``.
        pool: the unlabeled videos, first those of KoNViD-1k.
        known: how many of the pool are of KoNViD-1k.
        inside: the in-domain test.
        outside: the OOD test.
    """

    labelled: Part
    ratings: Floats
    pool: Part
    known: int
    inside: Part
    outside: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What nothing but measuring may see.

    Attributes:
        pool: ratings of the unlabeled videos, 1-5, higher is better, float64.
        inside: of the in-domain test.
        outside: of the OOD test.
        lines: resolution class of the OOD test's videos, int64, such as 1080. KoNViD-1k has one resolution, so its
            teachers cannot know what it is worth.
    """

    pool: Floats
    inside: Floats
    outside: Floats
    lines: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A support vector regression on one feature set, fitted to the labelled videos.

    Attributes:
        name: of the set.
        scale: of the features.
        model: fitted.
        validation: Spearman's correlation with the ratings of the labelled videos, in cross-validation over them.
    """

    name: str
    scale: FeatureScale
    model: SVR
    validation: float

    def score(self, part: Part) -> Floats:
        """Return predicted ratings, float64 ``(videos,)``, higher is better."""
        scores: Floats = self.model.predict(self.scale.standardise(part.sets[self.name]))
        return scores


def read_material(data: Path) -> tuple[Material, Truth]:
    """Read the features and split them as :data:`SPLITS` says.

    Raises:
        InputError: a file is missing, or the parts are others than those whose hashes are written down.
    """
    rule = json.loads(SPLITS.read_text(encoding="utf-8"))
    parts: dict[str, Part] = {}
    ratings: dict[str, Floats] = {}
    lines: dict[str, Ints] = {}
    for name, folder in FOLDERS.items():
        everything, mos, classes = _read(data / "features" / folder)
        for key, places in split(len(everything.names), rule["parts"][name], rule["seed"], name).items():
            parts[key], ratings[key], lines[key] = everything.take(places), mos[places], classes[places]
    _check_hashes(parts, rule["sha256"])
    material = Material(
        labelled=parts["labelled"],
        ratings=ratings["labelled"],
        pool=parts["pool_in"].joined(parts["pool_ood"]),
        known=len(parts["pool_in"].names),
        inside=parts["test_in"],
        outside=parts["test_ood"],
    )
    pool = np.concatenate([ratings["pool_in"], ratings["pool_ood"]])
    return material, Truth(pool=pool, inside=ratings["test_in"], outside=ratings["test_ood"], lines=lines["test_ood"])


def split(videos: int, counts: Mapping[str, int | None], seed: int, name: str) -> dict[str, Ints]:
    """Return the places of each part, in random order by the seed and the data set's name, none in two parts.

    Args:
        videos: in the data set, sorted by name.
        counts: of each part, in order; ``None`` for half of the videos, or for all that are left.
        seed: of the split.
        name: of the data set.
    """
    order = generator(seed, "feature lab", name).permutation(videos)
    found: dict[str, Ints] = {}
    start = 0
    for number, (key, count) in enumerate(counts.items()):
        last = number == len(counts) - 1
        end = start + (count if count is not None else videos - start if last else videos // 2)
        found[key] = order[start:end]
        start = end
    return found


def names_hash(names: Sequence[str]) -> str:
    """Return the SHA-256 of names in their order, one a line."""
    return sha256("\n".join(names).encode()).hexdigest()


def held_out_fold(material: Material, truth: Truth, fold: int) -> tuple[Material, Truth]:
    """Return the lab without its tests: a fold of the labelled videos takes the in-domain test's place.

    Settings are chosen on this; there is no OOD test, for none of its ratings may be seen.
    """
    order = generator(0, "feature lab", "folds").permutation(len(material.ratings))
    held, kept = np.sort(order[fold::FOLDS]), np.sort(np.setdiff1d(order, order[fold::FOLDS]))
    inner = Material(
        labelled=material.labelled.take(kept),
        ratings=material.ratings[kept],
        pool=material.pool,
        known=material.known,
        inside=material.labelled.take(held),
        outside=material.labelled.take(held),
    )
    ratings = material.ratings[held]
    return inner, Truth(
        pool=np.full_like(truth.pool, math.nan),
        inside=ratings,
        outside=ratings,
        lines=np.zeros(len(held), dtype=np.int64),
    )


def train_teachers(labelled: Part, ratings: Floats, sets: Sequence[str] = TEACHERS) -> list[Teacher]:
    """Fit a teacher to each set; its settings are those that do best in cross-validation over the same videos."""
    folds = generator(0, "feature lab", "teachers").permutation(len(ratings)) % FOLDS
    return [_train_teacher(name, labelled.sets[name], ratings, folds) for name in sets]


def _train_teacher(name: str, features: Floats, ratings: Floats, folds: Ints) -> Teacher:
    found: list[tuple[float, float, float]] = []
    for cost, gamma in product(*_GRID):
        predicted = np.empty_like(ratings)
        for fold in range(FOLDS):
            scale, model = _fit(features[folds != fold], ratings[folds != fold], cost, gamma)
            predicted[folds == fold] = model.predict(scale.standardise(features[folds == fold]))
        found.append((spearman(predicted, ratings), cost, gamma))
    best, cost, gamma = max(found)
    scale, model = _fit(features, ratings, cost, gamma)
    return Teacher(name=name, scale=scale, model=model, validation=best)


def _fit(features: Floats, ratings: Floats, cost: float, gamma: float) -> tuple[FeatureScale, SVR]:
    scale = FeatureScale.of(features)
    model = SVR(C=cost, gamma=gamma / features.shape[1], epsilon=_TUBE).fit(scale.standardise(features), ratings)
    return scale, model


def _read(folder: Path) -> tuple[Part, Floats, Ints]:
    """The videos that are in every table, by name, their ratings and their resolution classes."""
    facts = {row["name"]: row for row in _rows(folder / "metadata.csv")}
    tables = {name: _table(folder / f"{name}.csv") for name in SETS}
    names = tuple(sorted(set(facts).intersection(*tables.values())))
    sets = {name: np.array([table[each] for each in names]) for name, table in tables.items()}
    mos = np.array([float(facts[each]["mos"]) for each in names])
    lines = np.array([int(facts[each].get("resolution") or facts[each]["height"]) for each in names])
    return Part(names=names, sets=sets), mos, lines


def _table(path: Path) -> dict[str, list[float]]:
    rows = _rows(path)
    columns = [column for column in rows[0] if column not in _KEYS]
    return {row["name"]: [float(row[column] or "nan") for column in columns] for row in rows}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, remedy="give --data DIR") from None


def _check_hashes(parts: Mapping[str, Part], wanted: Mapping[str, str]) -> None:
    found = {key: names_hash(part.names) for key, part in parts.items()}
    if differing := sorted(key for key in wanted if found[key] != wanted[key]):
        raise InputError(
            f"the parts {', '.join(differing)} hold other videos than were written down",
            path=SPLITS,
            remedy="use the same feature tables: figures of other splits cannot be compared",
        )
