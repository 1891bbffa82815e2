"""Published models' real scores as teachers: each alone, calibrated without labels and together, and levels of pairs.

Usage: python benchmarks/predictions_table.py [--small] [--data DIR]

Reads predictions/ of the development data: models' scores and mean opinion scores (MOS) on KoNViD-1k, YouTube-UGC and
CVD2014. A model is a column with final scores; branches (DOVER's two views), attributes (MaxVQA's) and scores before a
last step are none. Opinion scores are used to measure, never to calibrate. --small takes fewer bootstrap resamples and
pairs, and ends within a minute. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.evaluation_rows import DifferenceRow
from w2svqa.core.levels import LEVELS
from w2svqa.core.random import generator
from w2svqa.core.rows import PseudoLabelRow, TeacherScoreRow, VideoRow
from w2svqa.core.statistics import spearman
from w2svqa.stages.evaluation_compare import differences
from w2svqa.stages.evaluation_draws import percentiles
from w2svqa.stages.evaluation_models import ModelScores
from w2svqa.stages.evaluation_statistics import Agreement, Drawing, measure_agreement
from w2svqa.stages.pool_labels import PoolLabelConfig, make_labels
from w2svqa.stages.pool_pairs import PoolPairConfig, make_pool_pairs

SETS: Final = {"KoNViD-1k": "kv1k", "YouTube-UGC": "ytugc", "CVD2014": "cvd2014"}
LARGE: Final = ("KoNViD-1k", "YouTube-UGC")
MODELS: Final = {
    "dover": ("dover_fused", "dover_official"),
    "maxvqa": ("maxvqa_high_quality",),
    "relaxvqa": ("relaxvqa",),
    "rvs": None,
}
"""Columns with final scores in each file; of RAPIQUE/VSFA every variant."""

NO_TEACHERS: Final = ("dover_official",)
"""Left out where teachers speak together: another form of a model that is there."""

DOVER: Final = {"KoNViD-1k": (0.881, 0.883, 1200), "YouTube-UGC": (0.775, 0.791, 1147), "CVD2014": (0.826, 0.827, 234)}
"""Published SRCC, PLCC and N of DOVER, fused."""

PAIR_OF_TEACHERS: Final = ("dover_fused", "maxvqa_high_quality")
MARGIN: Final = 0.005
STRENGTHS: Final = {"similar": (2,), "worse/better": (1, 3), "inferior/superior": (0, 4)}
SEED: Final = 4

SIGNIFICANT: Final = 0.05

Row = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A data set: opinion score by video, and by model its scores.

    Attributes:
        mos: opinion scores.
        every: all models.
        models: those that speak together; of RAPIQUE/VSFA the best variant, chosen by its MOS, which flatters it.
    """

    mos: Mapping[str, float]
    every: Mapping[str, Mapping[str, float]]
    models: Mapping[str, Mapping[str, float]]


def main() -> None:
    """Read, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--small", action="store_true", help="fewer resamples and pairs; ends within a minute")
    options = parser.parse_args()
    if not options.data or not (Path(options.data) / "predictions").is_dir():
        problem = f"{options.data}/predictions does not exist: " if options.data else ""
        print(f"{problem}this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    resamples, pairs = (200, 5_000) if options.small else (1000, 50_000)
    if options.small:
        print("small run: fewer resamples and pairs than the full benchmark")
    try:
        data = {name: read_set(Path(options.data) / "predictions", suffix) for name, suffix in SETS.items()}
        rows, compared = [], []
        for name, scored in data.items():
            found, pairwise = set_rows(name, scored, resamples)
            rows += found
            compared += pairwise
        levels = [row for name, scored in data.items() for row in level_rows(name, scored, pairs, resamples)]
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(rows)
    show_differences(rows, compared)
    show_levels(levels)
    missed = verdict(rows, levels)
    units = {
        "srcc, krcc, plcc, accuracy": "share or correlation",
        "rmse": "points of the set's scale",
        "interval": "95 %, bootstrap over videos",
        "p_holm": "two-sided, all pairs of models of a set",
    }
    every = [asdict(row) for row in compared]
    found_all = {"rows": rows, "differences": every, "levels": levels, "missed": missed}
    print(json.dumps(found_all | {"units": units, "small": options.small}))


def read_set(folder: Path, suffix: str) -> Scored:
    """Read all files of one data set and join them by the name of the video; DOVER's videos are the set."""
    mos: dict[str, float] = {}
    every: dict[str, dict[str, float]] = {}
    models: dict[str, dict[str, float]] = {}
    for model, columns in MODELS.items():
        path = folder / f"{model}_{suffix}.csv"
        if not path.exists():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        if not mos:
            mos = {key(line["name"]): float(line["mos"]) for line in lines}
        chosen = columns or tuple(name for name in lines[0] if name.startswith("pred_"))
        found = {name: column(lines, name, mos) for name in chosen}
        every |= {name.replace("pred_", "rvs_"): scores for name, scores in found.items()}
        if columns is None:
            best = max(found, key=lambda name: spearman(*paired(found[name], mos)))
            found = {best.replace("pred_", "rvs_"): found[best]}
        models |= {name: scores for name, scores in found.items() if name not in NO_TEACHERS}
    return Scored(mos=mos, every=every, models=models)


def key(name: str) -> str:
    """Return what the files' spellings of one video have in common."""
    stem = re.sub(r"\.(mp4|avi|mkv)$", "", PurePosixPath(name).name)
    return re.sub(r"_crf_\d+_ss_\d+_t_[\d.]+$", "", stem)


def column(lines: Sequence[Mapping[str, str]], name: str, mos: Mapping[str, float]) -> dict[str, float]:
    """Return one column's scores of videos of the set; empty cells are left out."""
    return {key(line["name"]): float(line[name]) for line in lines if line[name].strip() and key(line["name"]) in mos}


def paired(scores: Mapping[str, float], mos: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Return scores and opinion scores of the videos that have both, sorted by name."""
    names = sorted(set(scores) & set(mos))
    return np.array([scores[name] for name in names]), np.array([mos[name] for name in names])


def set_rows(name: str, scored: Scored, resamples: int) -> tuple[list[Row], list[DifferenceRow]]:
    """Return the table's rows of one data set, and the differences of every two.

    Rows are each model, those of two teachers together, and of all together.
    """
    models = dict(scored.every)
    members: dict[str, list[str]] = {}
    for title, teachers in (
        ("calibrated mean of 2", PAIR_OF_TEACHERS),
        ("calibrated mean of all", tuple(scored.models)),
    ):
        if len(teachers) > 2 or title.endswith("2"):
            models[title] = {row.clip_id: row.mean for row in together(scored, teachers)}
            members[title] = list(teachers)
    videos = sorted(scored.mos)
    ratings = [scored.mos[video] for video in videos]
    drawing = Drawing(resamples=resamples, seed=SEED, label=name)
    said = [
        ModelScores(
            model=model,
            higher_is_better=True,
            values=np.array([scores.get(video, math.nan) for video in videos]),
            messages=(None,) * len(videos),
            version="",
        )
        for model, scores in models.items()
    ]
    agreements = {each.model: measure_agreement(each.values, ratings, videos, drawing) for each in said}
    rows = [figures(name, model, agreement) for model, agreement in agreements.items()]
    rows = [row | ({"teachers": members[str(row["model"])]} if row["model"] in members else {}) for row in rows]
    return rows, differences(name, said, agreements, ratings, videos, drawing)


def together(scored: Scored, models: Sequence[str], *, variance: str = "spread") -> list[PseudoLabelRow]:
    """Return the labels of some models together, without opinion scores."""
    videos = [VideoRow(clip_id=clip, path=clip, name=clip, sha256="") for clip in sorted(scored.mos)]
    scores = [
        TeacherScoreRow(clip_id=clip, teacher=model, version="", value=value)
        for model in models
        for clip, value in scored.models[model].items()
    ]
    config = PoolLabelConfig(variance="floored" if variance == "floored" else "spread")
    return make_labels(scores, videos, higher_is_better=dict.fromkeys(models, True), config=config).rows


def figures(name: str, model: str, agreement: Agreement) -> Row:
    """Return the figures of one model, with intervals and N."""
    row: Row = {"set": name, "model": model, "n": agreement.videos}
    for measure in ("srcc", "krcc", "plcc", "rmse", "plcc_raw"):
        estimate = agreement.figures[measure]
        row[measure] = round(estimate.value, 4)
        row[f"{measure}_interval"] = [round(estimate.low, 4), round(estimate.high, 4)]
    return row


def interval(draws: Sequence[float]) -> list[float]:
    """Return the 95 % interval of bootstrap draws."""
    return [round(end, 4) for end in percentiles(np.asarray(draws))]


def level_rows(name: str, scored: Scored, count: int, resamples: int) -> list[dict[str, object]]:
    """Return how often the order of a pair's label is that of the opinion scores, by the label's strength."""
    rows: list[dict[str, object]] = []
    cases: list[tuple[str, tuple[str, ...], str]] = [("2", PAIR_OF_TEACHERS, "spread")]
    cases += [("2", PAIR_OF_TEACHERS, "floored")]
    if len(scored.models) > len(PAIR_OF_TEACHERS):
        cases += [("all", tuple(scored.models), "spread"), ("all", tuple(scored.models), "floored")]
    for teachers, models, variance in cases:
        labels = together(scored, models, variance=variance)
        rows += strengths(
            labels, scored.mos, count, resamples, {"set": name, "teachers": teachers, "variance": variance}
        )
    return rows


def strengths(
    labels: Sequence[PseudoLabelRow], mos: Mapping[str, float], count: int, resamples: int, facts: dict[str, str]
) -> list[dict[str, object]]:
    """Draw pairs and compare them with the opinion scores; pairs of equal opinion scores are left out."""
    means = {row.clip_id: row.mean for row in labels}
    place = {clip: index for index, clip in enumerate(means)}
    pairs = make_pool_pairs(labels, [], PoolPairConfig(count=count, seed=SEED)).rows
    told = [pair for pair in pairs if mos[pair.first] != mos[pair.second]]
    first = np.array([place[pair.first] for pair in told])
    second = np.array([place[pair.second] for pair in told])
    level = np.array([pair.level for pair in told])
    # of similar pairs the sign of the difference is taken: what is left to know
    said = np.sign([means[pair.second] - means[pair.first] for pair in told])
    right = said == np.sign([mos[pair.second] - mos[pair.first] for pair in told])
    times = video_draws(len(place), resamples, "/".join(facts.values()))
    rows: list[dict[str, object]] = []
    for strength, members in STRENGTHS.items():
        chosen = np.isin(level, members)
        draws = [
            float(np.average(right[chosen], weights=w)) for w in pair_weights(times, first[chosen], second[chosen])
        ]
        rows.append(
            {
                **facts,
                "strength": strength,
                "n": int(chosen.sum()),
                "share": round(float(chosen.mean()), 4),
                "accuracy": round(float(right[chosen].mean()), 4) if chosen.any() else None,
                "accuracy_interval": interval(draws) if draws else None,
            }
        )
    return rows


def video_draws(videos: int, resamples: int, label: str) -> NDArray[np.int64]:
    """Return how often each video is drawn, int64 ``(resamples, videos)``."""
    random = generator(SEED, "level draws", label)
    return np.stack([np.bincount(random.integers(videos, size=videos), minlength=videos) for _ in range(resamples)])


def pair_weights(times: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> list[Floats]:
    """Return how often each pair counts in each resample: pairs of one video are not independent of each other."""
    weights = [(each[first] * each[second]).astype(np.float64) for each in times]
    return [each for each in weights if each.sum() > 0]


def show(rows: Sequence[Row]) -> None:
    """Print the models."""
    print("Agreement with MOS [95 % interval: bootstrap over videos]; PLCC and RMSE after the four-parameter logistic")
    print(f"{'set':13}{'model':32}{'N':>6}  {'SRCC':22}{'KRCC':22}{'PLCC':22}{'RMSE':22}{'PLCC raw':>9}")
    for row in rows:
        cells = (f"{row[name]:.3f} {ends(row[f'{name}_interval'])}" for name in ("srcc", "krcc", "plcc", "rmse"))
        print(f"{row['set']:13}{row['model']:32}{row['n']:>6}  " + "".join(f"{c:22}" for c in cells), end="")
        print(f"{row['plcc_raw']:>9.3f}")


def show_differences(rows: Sequence[Row], compared: Sequence[DifferenceRow]) -> None:
    """Print, per set, the model with the highest SRCC beside each other one, on the videos of both."""
    print(
        "\nHighest SRCC of a set minus the others', on the videos of both; p: paired bootstrap and Meng's test, raised"
        " by Holm's rule over all pairs of models of the set"
    )
    print(f"{'set':13}{'highest':24}{'other':32}{'N':>6}  {'difference':26}{'p (Holm)':>9}{'Meng':>9}")
    for name in SETS:
        of_set = [row for row in rows if row["set"] == name]
        best = str(max(of_set, key=lambda row: float(str(row["srcc"])))["model"])
        for row in compared:
            if row.benchmark != name or row.measure != "srcc" or best not in (row.first, row.second):
                continue
            turned = 1 if row.first == best else -1
            low, high = sorted(turned * (end or 0.0) for end in (row.low, row.high))
            other = row.second if turned > 0 else row.first
            told = f"{turned * row.value:.3f} {ends([low, high])}"
            print(f"{name:13}{best:24}{other:32}{row.n:>6}  {told:26}{row.p_holm:>9.4f}{row.p_meng_holm:>9.4f}")
    for name in SETS:
        found = [row for row in compared if row.benchmark == name and row.measure == "srcc"]
        apart = sum(row.p_holm is not None and row.p_holm < SIGNIFICANT for row in found)
        print(f"{name}: {apart} of {len(found)} pairs of models differ in SRCC (p < {SIGNIFICANT}, Holm)")


def show_levels(levels: Sequence[Row]) -> None:
    """Print the order of pairs."""
    print(
        f"\nOrder of pairs against MOS, by the label's strength ({', '.join(LEVELS)}); similar: sign of the difference"
    )
    print(f"{'set':13}{'teachers':10}{'variance':10}{'strength':20}{'pairs':>7}{'share':>8}  accuracy")
    for row in levels:
        accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.3f} {ends(row['accuracy_interval'])}"
        print(f"{row['set']:13}{row['teachers']:10}{row['variance']:10}{row['strength']:20}", end="")
        print(f"{row['n']:>7}{row['share']:>8.1%}  {accuracy}")


def ends(found: object) -> str:
    """Return an interval as text."""
    return f"[{found[0]:.3f}, {found[1]:.3f}]" if isinstance(found, list) else ""


def verdict(rows: Sequence[Mapping[str, object]], levels: Sequence[Mapping[str, object]]) -> list[str]:
    """Print what was to be reached and return what was not."""
    found = {(row["set"], row["model"]): row for row in rows}
    checks: list[tuple[str, bool]] = []
    for name, published in DOVER.items():
        row = found[name, "dover_fused"]
        here = (float(str(row["srcc"])), float(str(row["plcc_raw"])), float(str(row["n"])))
        same = all(math.isclose(one, other, abs_tol=6e-4) for one, other in zip(here, published, strict=True))
        checks.append((f"{name}: DOVER {here[0]:.3f}/{here[1]:.3f} N {here[2]:.0f}, published {published}", same))
    for name in LARGE:
        best = max(float(str(found[name, model]["srcc"])) for model in PAIR_OF_TEACHERS)
        mean = float(str(found[name, "calibrated mean of 2"]["srcc"]))
        checks.append((f"{name}: mean of two {mean:.3f}, best single {best:.3f}", mean >= best - MARGIN))
    checks += [(f"{title}: accuracy rises with strength", rising) for title, rising in risings(levels)]
    print()
    for text, reached in checks:
        print(f"{'ok    ' if reached else 'MISSED'} {text}")
    return [text for text, reached in checks if not reached]


def risings(levels: Sequence[Mapping[str, object]]) -> list[tuple[str, bool]]:
    """Return, per set, teachers and variance, whether accuracy rises from similar to superior."""
    groups: dict[str, list[float]] = {}
    for row in levels:
        title = f"{row['set']}, {row['teachers']} teachers, variance {row['variance']}"
        groups.setdefault(title, []).append(math.nan if row["accuracy"] is None else float(str(row["accuracy"])))
    rises: Callable[[list[float]], bool] = lambda values: values[0] < values[1] < values[2]  # noqa: E731 - one line
    return [(title, rises(values)) for title, values in groups.items()]


if __name__ == "__main__":
    main()
