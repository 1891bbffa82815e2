"""Fine-tuning the compact student on stills that people have rated: before and after on contents it did not see.

Usage: python benchmarks/finetune_compact.py --rated DIR [--work DIR] [--output DIR] [--objectives NAME,...]
       [--draws N] [--workers N] [--small]

DIR holds `mos_ci.csv` (image_name, mos, std) and `images/NAME.png`: the lab test of "Quality Assessment of Higher
Resolution Images and Videos with Remote Testing" (Goering, Rao Ramachandra Rao, Raake, QUEX 2023), in the repository
Telecommunication-Telemedia-Assessment/image_quality_test, folder test_1, commit 5ff6617. 371 pictures of 39 sources,
coded by H.265 at several sizes and shown at full height, rated 1 to 5. They are no part of the development data and
nothing of them ships. Pictures that are missing are left out and told.

For each objective the whole of `w2svqa finetune` runs on all pictures: cross-validation in five folds by source, inner
folds choose, ladders of held-out sources. Then, as a user may begin, on 50 pictures of 20 sources drawn at random,
three times, with all pictures of the other sources as a separate test of the student that comes out, kept or not.
--work keeps what was decoded and each finished fold. --output keeps the last bundle. --small takes one draw, two
folds and two kinds of distortion. Without --rated (or W2SVQA_RATED) the script says so and exits 2. --data is accepted
and ignored. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.random import generator
from w2svqa.report.finetune_text import lines
from w2svqa.stages.benchmarks import Benchmark
from w2svqa.stages.evaluation_models import RatedSet, rated_set
from w2svqa.stages.finetune import AFTER, BEFORE, FinetuneConfig, Finetuned, finetune
from w2svqa.stages.finetune_bundle import agreement_figures, ladder_entry
from w2svqa.stages.finetune_folds import FoldConfig
from w2svqa.stages.finetune_train import Objective, TuneConfig
from w2svqa.stages.ratings import read_ratings

BEGINNING = 50
SOURCES = 20
CONTENT = "(.+?)_crf_"
"""The source in a picture's name."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rated", default=os.environ.get("W2SVQA_RATED"), help="folder of the rated stills")
    parser.add_argument("--data", help="accepted and ignored")
    parser.add_argument("--work", type=Path, help="keep what was decoded, and finished folds")
    parser.add_argument("--output", type=Path, help="keep the last bundle")
    parser.add_argument("--objectives", default="pairs,scores")
    parser.add_argument("--draws", type=int, default=3, help="of 50 pictures; 0 for none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="one draw, two folds, two kinds of distortion")
    options = parser.parse_args()
    if not options.rated or not (Path(options.rated) / "mos_ci.csv").is_file():
        print("this needs rated stills: give --rated DIR or set W2SVQA_RATED", file=sys.stderr)
        raise SystemExit(2)
    torch.set_num_threads(1)
    if options.small:
        print("small run: one draw, two folds; these figures say little")
        options.objectives, options.draws = "scores", 1
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_all(options, Path(scratch))
        except W2SVQAError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None


def run_all(options: argparse.Namespace, scratch: Path) -> None:
    """Fine-tune for every objective on all pictures and on draws of them, print each, then JSON."""
    whole = read_rated(Path(options.rated), scratch)
    rows: dict[str, dict[str, Any]] = {}
    for objective in options.objectives.split(","):
        if objective not in get_args(Objective):
            raise SystemExit(f"{objective}: of {', '.join(get_args(Objective))}")
        sets: list[tuple[str, RatedSet, RatedSet | None]] = []
        if not options.small:
            sets.append(("all pictures", whole, None))
        sets += [(f"{BEGINNING} pictures, draw {draw}", *drawn(whole, draw)) for draw in range(options.draws)]
        for title, rated, test in sets:
            found = finetune(
                rated,
                options.output or scratch / "student",
                settings(objective, options),
                test=test,
                work=options.work or scratch / "work",
                progress=tell,
            )
            print(f"\n{objective}, {title}: {len(found.rated.videos)} of {len(set(found.rated.contents))} sources")
            print("\n".join(lines(found)))
            print("kept" if found.bundle else f"not kept: {'; '.join(found.refused)}", flush=True)
            rows[f"{objective}, {title}"] = row_of(found)
    print(json.dumps({"rows": rows, "small": options.small}))


def read_rated(folder: Path, scratch: Path) -> RatedSet:
    """Bring the table to the columns that ratings have, and join it with the pictures."""
    table = scratch / "stills.csv"
    with (folder / "mos_ci.csv").open(encoding="utf-8", newline="") as source, table.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(("name", "mos", "deviation"))
        writer.writerows((f"{row['image_name']}.png", row["mos"], row["std"]) for row in csv.DictReader(source))
    return rated_set(read_ratings(table, Benchmark(name="stills", content=CONTENT)), folder / "images")


def drawn(whole: RatedSet, draw: int) -> tuple[RatedSet, RatedSet]:
    """Return 50 pictures of 20 sources, and all pictures of the other sources."""
    there = [row for row in whole.ratings.rows if row.name in whole.files]
    random = generator(draw, "pictures")
    names = sorted({row.content for row in there})
    sources = {names[place] for place in random.permutation(len(names))[:SOURCES].tolist()}
    inside = [row for row in there if row.content in sources]
    taken = sorted(random.permutation(len(inside))[:BEGINNING].tolist())
    parts = [inside[place] for place in taken], [row for row in there if row.content not in sources]
    learned, test = (replace(whole, ratings=replace(whole.ratings, rows=tuple(part)), notes=()) for part in parts)
    return learned, test


def settings(objective: Objective, options: argparse.Namespace) -> FinetuneConfig:
    """Return the configuration of a run."""
    folds = FoldConfig(tune=TuneConfig(objective=objective))
    config = FinetuneConfig(folds=folds, ends=(1.0, 5.0), workers=options.workers, name="compact-stills")
    if options.small:
        small = TuneConfig(objective=objective, steps=60, candidates=TuneConfig().candidates[:1])
        folds = FoldConfig(tune=small, folds=2, inner=2)
        return replace(config, folds=folds, ladder_contents=6, kinds=("blur", "noise"))
    return config


def tell(stage: str, done: int, total: int, text: str) -> None:
    """Say now and then how far it is."""
    if stage == "folds" or done % 20 == 0 or done == total:
        print(f"{stage}: {done} of {total} {Path(text).name[:40]}", file=sys.stderr, flush=True)


def row_of(found: Finetuned) -> dict[str, Any]:
    """Return the figures of a run for the last line."""
    figures = agreement_figures(found.evaluation.figures, found.evaluation.differences, BEFORE, AFTER)
    test = found.test
    measured = None if test is None else agreement_figures(test.figures, test.differences, BEFORE, AFTER)
    return {
        **figures,
        "test": measured,
        "ladder": ladder_entry(found.ladder),
        "interval_coverage": round(found.interval.coverage.share, 4),
        "same_reason": round(found.same_reason, 4),
        "kept": found.bundle is not None,
        "chosen": [fold.choice.candidate for fold in found.folds],
        "n": len(found.rated.videos),
    }


if __name__ == "__main__":
    main()
