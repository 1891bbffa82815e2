"""Fine-tuning on precomputed features of KoNViD-1k, beside a support vector regression on the same features and splits.

Usage: python benchmarks/finetune_features.py [--data DIR] [--output DIR] [--sets NAME,...] [--seeds N] [--workers N]
       [--small]

1200 videos, 80 % to learn from and 20 % to test, drawn anew for each of ten seeds; every video is a content of its own.
The student chooses its training on inner folds of the 80 %; the regression (RBF kernel, features standardised alike)
chooses C and gamma there too. Measured are SRCC, KRCC, PLCC and RMSE after the four-parameter fit, mean and standard
deviation over the seeds, and the difference of SRCC seed by seed. Published for the regression on VIDEVAL features:
SRCC about 0.79 (Tu et al. 2021).

--sets: feature sets beside each other, videval unless given; "all" takes all six. --output keeps finished seeds.
--small takes two seeds. The regression needs scikit-learn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.svm import SVR

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.statistics import spearman
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_statistics import Drawing, measure_agreement
from w2svqa.stages.finetune_data import content_folds
from w2svqa.stages.finetune_features import (
    FeaturesTuned,
    FeatureTuneConfig,
    RatedFeatures,
    finetune_features,
    read_features,
)
from w2svqa.stages.ratings import read_ratings
from w2svqa.students.features import FeatureScale

Floats = NDArray[np.float64]

SETS: Final = ("videval", "brisque", "niqe", "sts_brisque", "sts_gm-log", "sts_paq2piq")
COSTS: Final = (1.0, 3.0, 10.0, 30.0)
WIDTHS: Final = (0.1, 0.3, 1.0, 3.0)
"""Of the kernel, as multiples of 1 / (4 F)."""

MEASURES: Final = ("srcc", "krcc", "plcc", "rmse")


def main() -> None:
    """Read, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--output", type=Path, help="keep finished seeds here")
    parser.add_argument("--sets", default="videval", help="feature sets, or all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="two seeds, fewer networks")
    options = parser.parse_args()
    folder = Path(options.data or "") / "features" / "konvid1k"
    if not options.data or not folder.is_dir():
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    torch.set_num_threads(1)
    if options.small:
        print("small run: two seeds, one network; these figures say little")
    sets = SETS if options.sets == "all" else tuple(options.sets.split(","))
    config = FeatureTuneConfig(seeds=2 if options.small else options.seeds, members=1 if options.small else 5)
    try:
        ratings = read_ratings(folder / "metadata.csv", Benchmark(name="konvid-1k"))
        rated = read_features([folder / f"{name}.csv" for name in sets], ratings)
        tuned = finetune_features(rated, config, options.output, workers=options.workers, progress=tell)
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(
        tuned, [regression(rated, seed.test, number, config) for number, seed in enumerate(tuned.seeds)], sets, options
    )


def tell(done: int, total: int, text: str) -> None:
    """Say how far it is."""
    print(f"{text}: {done} of {total}", file=sys.stderr, flush=True)


def regression(
    rated: RatedFeatures, test: Sequence[int], number: int, config: FeatureTuneConfig
) -> Mapping[str, float]:
    """Return the figures of the support vector regression on the test part of a seed."""
    learned = np.setdiff1d(np.arange(len(rated.rows)), test)
    features, ratings = rated.features[learned], rated.values[learned]
    contents = [rated.contents[place] for place in learned.tolist()]
    folds = content_folds(contents, config.inner, config.seed + number, "feature inner")
    found: dict[tuple[float, float], float] = {}
    for cost in COSTS:
        for width in WIDTHS:
            orders = []
            for fold in range(config.inner):
                own, others = folds == fold, folds != fold
                said = predict(features[others], ratings[others], features[own], cost, width)
                orders.append(spearman(said, ratings[own]))
            found[cost, width] = float(np.mean(orders))
    cost, width = max(found, key=lambda each: found[each])
    said = predict(features, ratings, rated.features[list(test)], cost, width)
    contents = [rated.contents[place] for place in test]
    told = measure_agreement(said, rated.values[list(test)], contents, Drawing(resamples=0))
    return {measure: told.figures[measure].value for measure in MEASURES}


def predict(features: Floats, ratings: Floats, others: Floats, cost: float, width: float) -> Floats:
    """Return what a regression learned from rated videos says of others."""
    scale = FeatureScale.of(features)
    model = SVR(C=cost, epsilon=0.1, gamma=width / (4 * features.shape[1]))
    said: Floats = model.fit(scale.standardise(features), ratings).predict(scale.standardise(others))
    return said


def show(
    tuned: FeaturesTuned, beside: Sequence[Mapping[str, float]], sets: Sequence[str], options: argparse.Namespace
) -> None:
    """Print the table, then JSON."""
    rated = tuned.rated
    print(
        f"KoNViD-1k, {len(rated.rows)} videos, {len(rated.columns)} features ({', '.join(sets)}); {len(beside)} seeds, "
        "80/20; mean (standard deviation)"
    )
    rows: dict[str, dict[str, float | int]] = {}
    for name, found in (("student", [dict(seed.figures) for seed in tuned.seeds]), ("SVR", [dict(e) for e in beside])):
        rows[name] = {"n": len(found)}
        cells = []
        for measure in MEASURES:
            values = [each[measure] for each in found]
            mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
            rows[name] |= {measure: round(mean, 4), f"{measure}_sd": round(deviation, 4)}
            cells.append(f"{measure.upper()} {mean:.3f} ({deviation:.3f})")
        print(f"{name:8} {'  '.join(cells)}")
    gains = [seed.figures["srcc"] - each["srcc"] for seed, each in zip(tuned.seeds, beside, strict=True)]
    gain, deviation = float(np.mean(gains)), float(np.std(gains, ddof=1))
    above = sum(each > 0 for each in gains)
    print(
        f"SRCC of the student minus that of the SVR: {gain:+.3f} ({deviation:.3f}), above it in {above} of {len(gains)}"
    )
    chosen = [seed.candidate for seed in tuned.seeds]
    print(f"candidates chosen: {chosen}; the student of all ratings: {tuned.candidate}")
    facts = {"rows": rows, "gain_srcc": round(gain, 4), "gain_srcc_sd": round(deviation, 4), "sets": list(sets)}
    print(json.dumps(facts | {"videos": len(rated.rows), "small": options.small}))


if __name__ == "__main__":
    main()
