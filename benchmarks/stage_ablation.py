"""The paper's ablation with the compact student: single teacher, ensemble, simulators, confidence loss, stages 2 and 3.

Usage: python benchmarks/stage_ablation.py --run runs/compact [--data DIR] [--manifest tuning|final] [--cache DIR]
       [--no-teachers] [--steps N] [--later-steps N] [--seeds N] [--threads N] [--mine-clips N] [--rows NAME ...]
       [--small]

The run folder is one that `w2svqa run configs/compact.yaml` has finished: clips, crop cache and labels are used again.
Every row is the row above and one thing more:

    (I)    pairs of real clips, labelled by the single teacher that is closest to VMAF
    (II)   pairs of real clips, labelled by the ensemble
    (III)  and pairs of distorted versions: severities, VMAF, and ours beside them (w2svqa.stages.pair)
    (IV)   and the confidence loss
    (V)    and stage 2: gMAD and misclassified pairs, labelled by the student of (IV), which is trained on
    (V-a)  stage 2 with as many random pairs instead of hard ones
    (V-b)  as many steps more on the pairs of (IV): what training longer gives
    (VI)   and stage 3, after (V)

Rows are small trainings (the network and batches of benchmarks/ablation.py) and to be compared with each other only.
Motion is judged by (I) and (II) too, though no pair of theirs shows it. Items come from benchmarks/ladder.py; finished
trainings are kept in RUN/stage-ablation, and a killed call goes on. --small is a dozen steps of two rows: its figures
mean nothing. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from ablation import FIGURES, MODEL, UNITS, Material, common_options, held_out, print_table, read
from w2svqa.core.config import config_hash, to_mapping
from w2svqa.core.errors import W2SVQAError
from w2svqa.core.executor import ProcessExecutor
from w2svqa.core.files import atomic_write, sha256_file
from w2svqa.core.rows import PairRow, ScoreRow, VersionRow
from w2svqa.core.store import read_artifact
from w2svqa.pipeline import RunConfig
from w2svqa.preference.judge import AnchoredJudge
from w2svqa.preference.scale import Scale
from w2svqa.stages.export import export
from w2svqa.stages.label import Judged, judge_teachers
from w2svqa.stages.ladder import measure
from w2svqa.stages.ladder_manifest import check_unseen
from w2svqa.stages.next_pairs import NextPairsConfig, Said, listen, mine_pairs, pair_rows
from w2svqa.stages.pair import make_pairs
from w2svqa.stages.train import train
from w2svqa.stages.training_tokens import ClipVersions, by_clip, encode_clip
from w2svqa.students.bundle import CARD, WEIGHTS, load_bundle
from w2svqa.teachers.calibration import PseudoLabel, pseudo_labels

ROWS = ("(I)", "(II)", "(III)", "(IV)", "(V)", "(V-a)", "(V-b)", "(VI)")
ROLES: Mapping[str, str] = {
    "(I)": "single teacher",
    "(II)": "ensemble",
    "(III)": "+ simulators",
    "(IV)": "+ confidence loss",
    "(V)": "+ stage 2, hard pairs",
    "(V-a)": "  stage 2, random pairs",
    "(V-b)": "  as many steps more, same pairs",
    "(VI)": "+ stage 3, hard pairs",
}
BEFORE: Mapping[str, str] = {"(V)": "(IV)", "(V-a)": "(IV)", "(V-b)": "(IV)", "(VI)": "(V)"}
"""Rows that go on from another one's student."""
ABOVE: Mapping[str, str] = {"(II)": "(I)", "(III)": "(II)", "(IV)": "(III)", **BEFORE}
"""The row that each is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all rows share.

    Attributes:
        material: of the run and the manifest.
        judged: what the weak teachers say.
        single: labels by the single best teacher.
        options: of the command line.
    """

    material: Material
    judged: Judged
    single: Mapping[str, PseudoLabel]
    options: argparse.Namespace

    def folder(self, row: str, seed: int) -> Path:
        """Return where a row's training is kept; other settings have another place."""
        o = self.options
        settings = config_hash([to_mapping(self.material.config.pair), o.steps, o.later_steps, o.mine_clips])[:8]
        name = row.strip("()").lower()
        return self.material.folder / "stage-ablation" / f"{settings}-{seed}" / name


def main() -> None:
    """Train, measure and print every row."""
    options = parse()
    if not options.data:
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    try:
        work = prepare(options)
        found = {row: [run(work, row, seed) for seed in range(options.seeds)] for row in options.rows}
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(found, options)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = common_options(__doc__, steps=300)
    parser.add_argument("--later-steps", type=int, default=100, help="of each stage after the first")
    parser.add_argument("--mine-clips", type=int, default=60, help="clips whose versions are looked through for errors")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME")
    parser.add_argument("--small", action="store_true", help="a dozen steps of two rows")
    options = parser.parse_args()
    if options.small:
        print("small run: a dozen steps of two rows on tuning; these figures mean nothing")
        options.steps, options.later_steps, options.seeds, options.manifest = 12, 6, 1, "tuning"
        options.rows, options.mine_clips = ["(IV)", "(V)"], 2
    return options


def prepare(options: argparse.Namespace) -> Work:
    """Read the run, and label its clips by the best single teacher."""
    material = read(options)
    config = material.config
    scores = read_artifact(options.run / "labels", ScoreRow, kind="labels").rows
    judged = judge_teachers(scores, material.versions, config.label, kinds=config.distort.kinds, seed=config.seed)
    best = max(judged.calibration.fits, key=lambda fit: fit.spearman)
    print(f"single teacher: {best}", flush=True)
    place = [fit.teacher for fit in judged.calibration.fits].index(best.teacher)
    alone = replace(judged.calibration, fits=(best,), covariance=((judged.calibration.covariance[place][place],),))
    return Work(material=material, judged=judged, single=pseudo_labels(scores, alone), options=options)


def run(work: Work, row: str, seed: int) -> dict[str, float]:
    """Train one row with one seed and return its figures."""
    done = work.folder(row, seed) / f"{work.material.manifest}.json"
    if not done.exists():
        bundle = load_bundle(student_of(work, row, seed))
        check_unseen(bundle.card, work.material.measured)
        found = measure(bundle, work.material.items)
        with atomic_write(done) as file:
            file.write(json.dumps({each: found.figures[each].value for each in FIGURES}).encode())
    figures: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
    print(
        f"{row} {ROLES[row].strip()}, seed {seed}: " + ", ".join(f"{k} {figures[k]:.3f}" for k in FIGURES), flush=True
    )
    return figures


def student_of(work: Work, row: str, seed: int) -> Path:
    """Return the bundle of a row, made if it is not there, and those of the rows it goes on from."""
    folder = work.folder(row, seed)
    if not (folder / "bundle" / CARD).exists():
        before = student_of(work, BEFORE[row], seed) if row in BEFORE else None
        config = config_of(work, row)
        pairs = pairs_of(work, row, seed)
        made = train(
            work.material.versions,
            pairs,
            config.train,
            folder / "train",
            crops_folder=work.material.folder / "versions",
            kinds=config.distort.kinds,
            seed=seed,
            initial=None if before is None else load_file(before / WEIGHTS),
            progress=lambda *_: None,
        )
        kept = held_out(work.material.versions)
        export(
            made,
            work.material.clips,
            [each for each in work.material.versions if each.clip_id in kept],
            config.export,
            folder / "bundle",
            views_folder=work.material.folder / "versions",
            name=f"row {row}",
            seed=seed,
            facts={"pairs": len(pairs)},
            progress=lambda *_: None,
        )
    return folder / "bundle"


def config_of(work: Work, row: str) -> RunConfig:
    """Return the settings of a row."""
    options, config = work.options, work.material.config
    confidence = config.train.confidence
    if row in ("(I)", "(II)", "(III)"):
        confidence = replace(confidence, form="none")
    batch = replace(config.train.batch, details=1)
    if row in ("(I)", "(II)"):
        alone = dict.fromkeys(("severity", "same", "cross", "peer", "vmaf"), 0)
        # as many groups a step as other rows have
        groups = {f"{origin}_groups": count for origin, count in alone.items()}
        batch = replace(batch, **groups, teacher_groups=12)
    steps = options.later_steps if row in BEFORE else options.steps
    changed = replace(config.train, model=MODEL, batch=batch, steps=steps, confidence=confidence)
    return replace(config, train=changed)


def pairs_of(work: Work, row: str, seed: int) -> list[PairRow]:
    """Return what a row is trained on; later rows add to the pairs of the row that they go on from."""
    labels = work.single if row == "(I)" else work.judged.labels
    first = make_pairs(work.material.versions, work.material.config.pair, split="train", seed=seed, labels=labels)
    if row not in BEFORE or row == "(V-b)":
        return first
    before = pairs_of(work, BEFORE[row], seed)
    config = NextPairsConfig(selection="random" if row == "(V-a)" else "hard")
    said = said_by(work, student_of(work, BEFORE[row], seed))
    mined = mine_pairs(said, first, work.judged.calibrated, work.judged.labels, config, seed=seed)
    return [*before, *pair_rows(mined.rows, 3 if row == "(VI)" else 2)]


def said_by(work: Work, folder: Path) -> Said:
    """Return what a student says of every untouched training clip, and of all versions of some clips."""
    bundle = load_bundle(folder)
    judge = AnchoredJudge(bundle.student, bundle.anchors, Scale.from_dict(bundle.scale_mapping))
    clips = by_clip(work.material.versions)
    chosen = [clip if place < work.options.mine_clips else untouched(clip) for place, clip in enumerate(clips)]
    encode = partial(
        encode_clip,
        bundle=folder,
        digest=sha256_file(folder / CARD),
        crops_folder=work.material.folder / "versions",
        seed=work.material.config.seed,
    )
    tokens: dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]] = {}
    for outcome in ProcessExecutor(work.options.threads).map(encode, chosen, key=lambda clip: clip.clip_id):
        if outcome.error is not None:
            raise outcome.error
        for row in outcome.value or ():
            tokens[row.version_id] = np.array([row.token], dtype=np.float32)
    rows: list[VersionRow] = [row for clip in chosen for row in clip.rows]
    return listen(judge, rows, [tokens[row.version_id] for row in rows])


def untouched(clip: ClipVersions) -> ClipVersions:
    """Return the clip without its distorted versions."""
    return replace(clip, rows=tuple(row for row in clip.rows if row.kind == "none"))


def show(found: Mapping[str, Sequence[Mapping[str, float]]], options: argparse.Namespace) -> None:
    """Print mean and standard deviation over the seeds, what each row adds to the one it goes on from, then JSON."""
    print(
        f"\n{options.steps} steps, {options.later_steps} in each later stage, {options.seeds} seeds, manifest"
        f" {options.manifest}: mean (standard deviation)"
    )
    rows = print_table({named(row): seeds for row, seeds in found.items()})
    added = {named(row): differences(found[row], found[ABOVE[row]]) for row in found if ABOVE.get(row) in found}
    print("\nbeside the row before, seed by seed")
    gains = print_table({f"{name} - {ABOVE[name.split()[0]]}": seeds for name, seeds in added.items()}, sign="+")
    figures = {"rows": rows, "differences": gains, "steps": options.steps, "later_steps": options.later_steps}
    print(json.dumps({**figures, "n": options.seeds, "units": UNITS, "small": options.small}))


def named(row: str) -> str:
    """Return number and role of a row."""
    return f"{row:6} {ROLES[row].strip()}"


def differences(
    seeds: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]]
) -> list[Mapping[str, float]]:
    """Return by how much each seed's figures are above another row's of the same seed."""
    return [{each: one[each] - other[each] for each in FIGURES} for one, other in zip(seeds, others, strict=True)]


if __name__ == "__main__":
    main()
