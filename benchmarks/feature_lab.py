"""Weak-to-strong learning on precomputed features, measured on real ratings: the loop without the videos.

Usage: python benchmarks/feature_lab.py [--data DIR] [--output DIR] [--seeds N] [--workers N] [--threads N]
       [--small | --choose]

Teachers are support vector regressions, each on one feature set of 400 rated videos of KoNViD-1k. The student sees all
feature sets of 1100 unlabeled videos, 500 of KoNViD-1k and half of YouTube-UGC, and no rating: calibration, ensemble,
pair levels, loss, mining, anchors and MAP are those of the real system. Tests: 300 other videos of KoNViD-1k
(in-domain) and the other half of YouTube-UGC (OOD). feature_lab_splits.json has the split. Misclassified pairs do not
apply: nothing here is distorted.

Settings were chosen on the 400 alone: --choose takes a fifth of them in the test's place, five times, and prints what
each change gives. The rows "known domain first" came later, when OOD figures had been seen: there the first stage
learns from the 500 alone, and videos of YouTube-UGC come in from stage 2 on, labelled by the student.

Intervals are paired, 95 %, by a bootstrap over seeds and videos together. --output keeps each finished seed; called
again, the benchmark goes on where it stopped. --small is one seed of fewer students: under a minute, and its figures
say little. Teachers need scikit-learn. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from _feature_arms import CHAIN, CHANGES, CONTROLS, KNOWN_FIRST, SETTINGS, Bench, changed, prepare, run_seed, stages
from _feature_data import FOLDS, SPLITS, TEACHERS, Material, Truth, held_out_fold, read_material
from _feature_stages import say_together, scores_of, together_of
from _feature_tables import Draws, Figures, against, correlate, plain, print_table, signed
from w2svqa.core.errors import StoreError, W2SVQAError
from w2svqa.core.files import sha256_file
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.core.statistics import spearman
from w2svqa.core.store import fingerprint

VERSION: Final = "3"
"""Raised when what a seed keeps changes."""

TARGET: Final = {"ood": 0.03, "in": -0.005}
"""How far the ensemble's student is to lie above the best single teacher."""


def main() -> None:
    """Read, train what is missing, print."""
    options = parse()
    if not options.data or not (Path(options.data) / "features").is_dir():
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    torch.set_num_threads(options.threads)
    try:
        material, truth = read_material(Path(options.data))
        if options.choose:
            choose(material, truth, options)
            return
        bench = prepare(material, truth, threads=options.threads, small=options.small)
        show(bench, run_seeds(bench, options), options)
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--output", type=Path, help="keep each finished seed here, and go on from what is there")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1, help="seeds side by side")
    parser.add_argument("--threads", type=int, default=1, help="of a training")
    parser.add_argument("--resamples", type=int, default=500, help="of the bootstrap")
    parser.add_argument("--choose", action="store_true", help="compare settings on the labelled videos alone")
    parser.add_argument("--small", action="store_true", help="one seed, fewer students and resamples; under a minute")
    options = parser.parse_args()
    if options.small:
        print("small run: one seed, no changes of settings; these figures say little")
        options.seeds, options.resamples = 1, 100
    return options


def run_seeds(bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what each seed found, those of earlier calls among them."""
    inputs = {"splits": sha256_file(SPLITS), "version": VERSION, "small": str(bench.small)}
    with tempfile.TemporaryDirectory() as scratch:
        kept: Kept[int, dict[str, Any]] = Kept(
            path=(options.output or Path(scratch)) / "seeds.jsonl",
            fingerprint=fingerprint("feature lab", SETTINGS, inputs, seed=0),
            key=str,
            name=lambda seed: f"seed {seed}",
            encode=lambda found: found,
            decode=as_record,
        )
        made, failed = map_resumed(
            partial(run_seed, bench),
            list(range(options.seeds)),
            kept,
            workers=options.workers,
            progress=lambda done, total, name: print(f"{name}: {done} of {total}", file=sys.stderr, flush=True),
        )
    if failed:
        raise W2SVQAError("; ".join(f"seed {seed}: {problem}" for seed, problem in failed.items()))
    return [made[str(seed)] for seed in range(options.seeds)]


def as_record(value: object) -> dict[str, Any]:
    """Return a kept seed.

    Raises:
        StoreError: it is none.
    """
    if not isinstance(value, dict):
        raise StoreError("a kept seed is no record", remedy="delete --output")
    return value


def choose(material: Material, truth: Truth, options: argparse.Namespace) -> None:
    """Print what each change of settings gives in cross-validation over the labelled videos."""
    found: dict[str, list[float]] = {}
    for fold in range(1 if options.small else FOLDS):
        inner, ratings = held_out_fold(material, truth, fold)
        bench = prepare(inner, ratings)
        chain = stages(bench.lab(SETTINGS, fold))
        students = chain | {f"{CHANGES[name][0]}: {name}": changed(bench, chain, name, fold) for name in CHANGES}
        scores = {name: scores_of(student, inner.inside) for name, student in students.items()}
        scores |= {f"teacher {name}": values.tolist() for name, values in bench.teachers["inside"].items()}
        for name, values in scores.items():
            found.setdefault(name, []).append(spearman(values, ratings.inside))
    rows = [[name, f"{np.mean(each):.3f}", *(f"{value:.3f}" for value in each)] for name, each in found.items()]
    folds = [f"fold {number}" for number in range(len(rows[0]) - 2)]
    print_table("SRCC on held-out folds of the 400 labelled videos", ["", "mean", *folds], rows)
    print(json.dumps({"rows": {name: round(float(np.mean(each)), 4) for name, each in found.items()}}))


def correlations(bench: Bench, seeds: Sequence[Mapping[str, Any]], resamples: int) -> dict[str, dict[str, Figures]]:
    """Return the figures of every scorer: in-domain, OOD, and OOD within each resolution."""
    truth, lab = bench.truth, bench.lab(SETTINGS, 0)
    draws = {key: Draws.make(key, len(seeds), n, resamples) for key, n in numbers(bench).items() if key != "within"}
    together = say_together(bench.material.pool, lab.teachers["pool"], lab.weights)
    scores: dict[str, dict[str, Any]] = {
        f"teacher {name}": {"in": [lab.teachers["inside"][name]], "ood": [lab.teachers["outside"][name]]}
        for name in TEACHERS
    }
    scores["mean of all teachers"] = {
        "in": [together_of(together, lab.teachers["inside"])],
        "ood": [together_of(together, lab.teachers["outside"])],
    }
    for name in seeds[0]["scores"]:
        scores[name] = {key: [seed["scores"][name][key] for seed in seeds] for key in draws}
    alike = {key: np.zeros(n, dtype=np.int64) for key, n in numbers(bench).items()}
    return {
        name: {
            "in": correlate(np.array(said["in"]), truth.inside, alike["in"], draws["in"]),
            "ood": correlate(np.array(said["ood"]), truth.outside, alike["ood"], draws["ood"]),
            "within": correlate(np.array(said["ood"]), truth.outside, truth.lines, draws["ood"]),
        }
        for name, said in scores.items()
    }


def numbers(bench: Bench) -> dict[str, int]:
    """Return how many videos each column of the tables is measured on."""
    outside = len(bench.truth.outside)
    return {"in": len(bench.truth.inside), "ood": outside, "within": outside}


def show(bench: Bench, seeds: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Print the tables, then JSON."""
    found = correlations(bench, seeds, options.resamples)
    n = numbers(bench)
    print(
        f"{len(seeds)} seeds; {len(bench.material.ratings)} labelled videos for the teachers, "
        f"{len(bench.material.pool.names)} unlabeled ones, {bench.lab(SETTINGS, 0).first_count} pairs; tests: "
        f"{n['in']} videos in-domain, {n['ood']} OOD. SRCC, mean over seeds; differences with paired 95 % intervals\n"
        f"OOD opinion scores rise with resolution, SRCC {spearman(bench.truth.lines, bench.truth.outside):.3f}; the "
        "labelled videos have one only. within: SRCC among OOD videos of one resolution, mean by number of videos"
    )
    show_singles(bench, found, "")
    if not options.small:
        show_singles(bench, found, f": {KNOWN_FIRST}")
    show_stages(bench, found)
    show_labels(seeds)
    best = f"teacher {bench.best}"
    print(
        "\nThe student of all teachers, beside the teacher that is best on the 400 and the one best on that very test"
    )
    for name in [each for each in ("ensemble", f"ensemble: {KNOWN_FIRST}") if each in found]:
        for test, wanted in TARGET.items():
            best_there = max((f"teacher {each}" for each in TEACHERS), key=lambda each: found[each][test].mean)
            for teacher in dict.fromkeys((best, best_there)):
                gain = against(found, name, teacher)[test]
                verdict = "reached" if gain[0] >= wanted else "missed"
                print(f"{name}, {test}, beside {teacher}: {signed(gain)}, wanted {wanted:+.3f}: {verdict}")
    rows = {
        name: plain(each, n, 1 if name.startswith(("teacher ", "mean of")) else len(seeds))
        for name, each in found.items()
    }
    labels = {name: mean_of(seeds, name) for name in seeds[0]["labels"]}
    print(json.dumps({"rows": rows, "labels": labels, "best_teacher": bench.best, "small": options.small}))


def show_singles(bench: Bench, found: Mapping[str, Mapping[str, Figures]], change: str) -> None:
    """Print one student per teacher beside that teacher; ``change`` is how the students' names end."""
    rows = []
    for name in TEACHERS:
        gain = against(found, f"student of {name}{change}", f"teacher {name}")
        teacher, student = found[f"teacher {name}"], found[f"student of {name}{change}"]
        cells = [name, f"{bench.validation[name]:.3f}"]
        for test in gain:
            cells += [f"{teacher[test].mean:.3f}", f"{student[test].mean:.3f}", signed(gain[test])]
        rows.append(cells)
    head = ["teacher", "on the 400", "in", "student", "difference", "OOD", "student", "difference"]
    head += ["within", "student", "difference"]
    print_table(f"One student per teacher, beside that teacher{change}", head, rows)


def show_stages(bench: Bench, found: Mapping[str, Mapping[str, Figures]]) -> None:
    """Print stages and controls beside the best teacher and what they are compared with."""
    best = f"teacher {bench.best}"
    names = [best, "mean of all teachers", *CHAIN, *CONTROLS]
    known = [f"{stage}: {KNOWN_FIRST}" for stage in CHAIN]
    names += [name for name in known if name in found]
    names += [name for name in found if name.startswith("supervised")]
    names += [name for name in found if name.partition(": ")[0] in CHAIN and name not in (*known, *CHAIN)]
    beside = {
        **dict(zip(known, ["single", *known], strict=False)),
        "ensemble": "single",
        "+ confidence": "ensemble",
        "+ stage 2": "+ confidence",
        "+ stage 3": "+ stage 2",
        **dict.fromkeys(CONTROLS, "+ stage 2"),
    }
    rows = []
    for name in names:
        stage, colon, _ = name.partition(": ")
        other = beside.get(name, stage if colon else best)
        cells = [name, other if other != name else ""]
        for test, figures in found[name].items():
            gain = signed(against(found, name, other)[test]) if other != name else ""
            cells += [f"{figures.mean:.3f} ({figures.deviation:.3f})", gain]
        rows.append(cells)
    head = ["", "beside", "in (sd)", "difference", "OOD (sd)", "difference", "within (sd)", "difference"]
    print_table("Stages, controls, and changes of one setting", head, rows)


def show_labels(seeds: Sequence[Mapping[str, Any]]) -> None:
    """Print how good pseudo-labels are on the unlabeled videos."""
    keys = ("srcc_in", "decided_in", "right_in", "srcc_ood", "decided_ood", "right_ood", "agreement")
    rows = []
    for name in seeds[0]["labels"]:
        found = mean_of(seeds, name)
        rows.append([name, *("" if found[key] is None else f"{found[key]:.3f}" for key in keys)])
    print_table("Pseudo-labels of the unlabeled videos against their ratings", ["labeller", *keys], rows)


def mean_of(seeds: Sequence[Mapping[str, Any]], name: str) -> dict[str, float | None]:
    """Return a labeller's figures, mean over seeds; ``None`` where there is none."""
    first = seeds[0]["labels"][name]
    return {
        key: None if value is None else round(float(np.mean([seed["labels"][name][key] for seed in seeds])), 4)
        for key, value in first.items()
    }


if __name__ == "__main__":
    main()
