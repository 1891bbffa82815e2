"""What each ingredient of the compact student gives: the same small training without it, on contents it never saw.

Usage: python benchmarks/ablation.py --run runs/compact-3 [--data DIR] [--manifest tuning|final] [--cache DIR]
       [--steps N] [--seeds N] [--threads N] [--arms NAME ...] [--small]

The run folder is one that `w2svqa run configs/compact.yaml` has finished: its clips, crop cache and labels are used
again, pairs are drawn anew for each arm. Every arm is trained with each seed, with a smaller network, one detail crop a
look and few steps, so its figures lie below those of the shipped student and are to be compared with each other only.
A step of an arm without some kind of pair holds that many groups less, and what the teachers say is calibrated on all
clips in every arm.

benchmarks/ladder.py makes the items first. Trainings are kept in RUN/ablation, apart for each configuration; killed, it
goes on where it stopped, and calls with some --arms each and one thread may run side by side before one prints all.
Faster with OPENBLAS_NUM_THREADS=1. --small is a dozen steps of two arms, whose figures mean nothing. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from ladder import MANIFESTS, TEACHERS, number
from w2svqa.core.config import config_hash, from_mapping, to_mapping
from w2svqa.core.errors import ConfigError, InputError, W2SVQAError
from w2svqa.core.files import atomic_write
from w2svqa.core.rows import ClipRow, PairRow, ScoreRow, VersionRow
from w2svqa.core.store import read_artifact
from w2svqa.pipeline import RunConfig
from w2svqa.stages.export import export
from w2svqa.stages.label import judge_teachers
from w2svqa.stages.ladder import measure
from w2svqa.stages.ladder_items import LadderItems, load_items
from w2svqa.stages.ladder_manifest import LadderClip, check_unseen, read_clips
from w2svqa.stages.pair import make_pairs
from w2svqa.stages.train import ModelConfig, train
from w2svqa.students.bundle import load_bundle
from w2svqa.teachers.calibration import PseudoLabel

FIGURES = ("within_mean", "within_worst", "pair_accuracy", "vmaf_srcc", "clean_order", "reasons", "timeline")
MODEL = ModelConfig(widths=(16, 32, 48, 64))
UNITS = "Spearman -1 to 1 for within and vmaf_srcc, else shares 0 to 1; [mean, standard deviation over seeds]"
HELD_OUT = 10
"""Held-out clips for anchors and scale: fewer than a real run takes, the same for all arms."""

Change = Callable[[RunConfig], RunConfig]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A training that lacks something.

    Attributes:
        change: of the configuration.
        keeps: which training clips stay.
    """

    change: Change = lambda config: config
    keeps: Callable[[ClipRow], bool] = lambda clip: True  # noqa: ARG005 (the name is the interface)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What all arms share."""

    folder: Path
    config: RunConfig
    clips: Sequence[ClipRow]
    versions: Sequence[VersionRow]
    labels: Mapping[str, PseudoLabel]
    manifest: str
    measured: Sequence[LadderClip]
    items: LadderItems


def without_groups(**groups: int) -> Change:
    """Return a change of the batches."""

    def change(config: RunConfig) -> RunConfig:
        pair = replace(config.pair, vmaf_per_version=0) if "vmaf_groups" in groups else config.pair
        return replace(config, pair=pair, train=replace(config.train, batch=replace(config.train.batch, **groups)))

    return change


def without_motion(config: RunConfig) -> RunConfig:
    """Take the motion branch away."""
    model = config.train.model
    if not isinstance(model, ModelConfig):
        raise ConfigError(f"a {model.kind} student is no arm of this", remedy="name the configuration of a compact one")
    return replace(config, train=replace(config.train, model=replace(model, motion=False)))


def without_confidence(config: RunConfig) -> RunConfig:
    """Train with the cross-entropy alone."""
    return replace(config, train=replace(config.train, confidence=replace(config.train.confidence, form="none")))


def in_first_half(clip: ClipRow) -> bool:
    """Return whether the clip's source is in the half that stays, by a hash of its name."""
    return blake2b(clip.source.encode(), digest_size=1).digest()[0] < 128


ARMS: Mapping[str, Arm] = {
    "full": Arm(),
    "without VMAF pairs": Arm(change=without_groups(vmaf_groups=0)),
    "without real-clip pairs": Arm(change=without_groups(teacher_groups=0)),
    "without photos": Arm(keeps=lambda clip: not clip.is_still),
    "without motion branch": Arm(change=without_motion),
    "without confidence loss": Arm(change=without_confidence),
    "half the sources": Arm(keeps=in_first_half),
}


def main() -> None:
    """Train, measure and print every arm."""
    options = parse()
    if not options.data:
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    try:
        material = read(options)
        found = {
            name: [run(material, name, seed, options.steps) for seed in range(options.seeds)] for name in options.arms
        }
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(found, options)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = common_options(__doc__, steps=400)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="NAME")
    parser.add_argument("--small", action="store_true", help="a dozen steps of two arms")
    options = parser.parse_args()
    if options.small:
        print("small run: a dozen steps of two arms on tuning; these figures mean nothing")
        options.steps, options.seeds, options.arms, options.manifest = 12, 1, list(ARMS)[:2], "tuning"
    return options


def common_options(doc: str | None, *, steps: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every ablation on a run and the ladder's items."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "w2svqa" / "ladder"
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--manifest", choices=("tuning", "final"), default="final")
    parser.add_argument("--cache", type=Path, default=cache, help="where benchmarks/ladder.py keeps its items")
    parser.add_argument("--no-teachers", action="store_true", help="with the items of ladder.py --no-teachers")
    parser.add_argument("--steps", type=int, default=steps, help="of what is trained anew")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of a training")
    return parser


def read(options: argparse.Namespace) -> Material:
    """Read what the run and the ladder have made."""
    config = read_config(options.run / "run.json")
    config = replace(config, train=replace(config.train, threads=options.threads))
    versions = read_artifact(options.run / "versions", VersionRow, kind="versions").rows
    scores = read_artifact(options.run / "labels", ScoreRow, kind="labels").rows
    judged = judge_teachers(scores, versions, config.label, kinds=config.distort.kinds, seed=config.seed)
    data = Path(options.data)
    clips = read_clips(MANIFESTS / f"{options.manifest}.csv")
    alone = bool(options.no_teachers)
    teachers = {} if alone else {name: data / "teachers" / place for name, place in TEACHERS.items()}
    items = options.cache / f"{options.manifest}{'-students' if alone else ''}"
    return Material(
        folder=options.run,
        config=config,
        clips=read_artifact(options.run / "clips", ClipRow, kind="clips").rows,
        versions=versions,
        labels=judged.labels,
        manifest=options.manifest,
        measured=clips,
        items=load_items(items, clips, teachers),
    )


def read_config(path: Path) -> RunConfig:
    """Return the configuration of a run."""
    try:
        return from_mapping(RunConfig, json.loads(path.read_text(encoding="utf-8")), where=path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", path=path, remedy="give --run a finished run") from None


def run(material: Material, name: str, seed: int, steps: int) -> dict[str, float]:
    """Train one arm with one seed, export it and return its figures."""
    versions, pairs, config = training_of(material, ARMS[name], seed, steps)
    # a run that was made anew has other pairs: its trainings are others, too; how many threads did it is all the same
    anywhere = replace(config, train=replace(config.train, threads=None))
    made_of = config_hash([to_mapping(anywhere), *map(to_mapping, pairs)])[:8]
    folder = material.folder / "ablation" / f"{name.replace(' ', '-')}-{seed}-{steps}-{made_of}"
    done = folder / f"{material.manifest}.json"
    if not done.exists():
        bundle = load_bundle(bundle_of(material, versions, pairs, config, folder, seed))
        check_unseen(bundle.card, material.measured)
        found = measure(bundle, material.items)
        with atomic_write(done) as file:
            file.write(json.dumps({each: found.figures[each].value for each in FIGURES}).encode())
    figures: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
    print(f"{name}, seed {seed}: " + ", ".join(f"{each} {figures[each]:.3f}" for each in FIGURES), flush=True)
    return figures


def training_of(
    material: Material, arm: Arm, seed: int, steps: int
) -> tuple[list[VersionRow], list[PairRow], RunConfig]:
    """Return what one arm is trained on, and how."""
    batch = replace(material.config.train.batch, details=1)
    budget = replace(material.config.train, model=MODEL, batch=batch, steps=steps)
    config = arm.change(replace(material.config, train=budget))
    dropped = {clip.clip_id for clip in material.clips if clip.split == "train" and not arm.keeps(clip)}
    versions = [row for row in material.versions if row.clip_id not in dropped]
    return versions, make_pairs(versions, config.pair, split="train", seed=seed, labels=material.labels), config


def bundle_of(
    material: Material,
    versions: Sequence[VersionRow],
    pairs: Sequence[PairRow],
    config: RunConfig,
    folder: Path,
    seed: int,
) -> Path:
    """Train and export one arm."""
    folder.mkdir(parents=True, exist_ok=True)
    model = train(
        versions,
        pairs,
        config.train,
        folder,
        crops_folder=material.folder / "versions",
        kinds=config.distort.kinds,
        seed=seed,
        progress=lambda *_: None,
    )
    kept = held_out(versions)
    export(
        model,
        material.clips,
        [row for row in versions if row.clip_id in kept],
        config.export,
        folder / "bundle",
        views_folder=material.folder / "versions",
        name="arm",
        seed=seed,
        facts={},
        progress=lambda *_: None,
    )
    return folder / "bundle"


def held_out(versions: Sequence[VersionRow]) -> set[str]:
    """Return some moving clips of either held-out split, primaries first."""
    chosen: set[str] = set()
    for split in ("anchor", "calibration"):
        rows = [row for row in versions if row.split == split and row.kind == "none" and not row.is_still]
        rows.sort(key=lambda row: (not row.primary, row.clip_id))
        chosen |= {row.clip_id for row in rows[:HELD_OUT]}
    return chosen


def show(found: Mapping[str, Sequence[Mapping[str, float]]], options: argparse.Namespace) -> None:
    """Print mean and standard deviation over the seeds, then JSON."""
    print(f"\n{options.steps} steps, {options.seeds} seeds, manifest {options.manifest}: mean (standard deviation)")
    print(json.dumps({"rows": print_table(found), "steps": options.steps, "n": options.seeds, "units": UNITS}))


def print_table(found: Mapping[str, Sequence[Mapping[str, float]]], *, sign: str = "") -> dict[str, object]:
    """Print one line per row, mean and standard deviation over its seeds, and return them; ``sign="+"`` shows signs."""
    width = max(26, *(len(name) + 2 for name in found))
    print(" " * width + "".join(f"{each:>18}" for each in FIGURES))
    rows: dict[str, object] = {}
    for name, seeds in found.items():
        table = np.array([[figures[each] for each in FIGURES] for figures in seeds])
        spreads = table.std(axis=0, ddof=1) if len(table) > 1 else np.full(len(FIGURES), np.nan)  # one has none
        pairs = list(zip(table.mean(axis=0).tolist(), spreads.tolist(), strict=True))
        cells = (f"{mean:{sign}.3f}" + (f" ({spread:.3f})" if spread == spread else "") for mean, spread in pairs)
        print(f"{name:{width}}" + "".join(f"{cell:>18}" for cell in cells))
        rows[name] = {each: [number(value) for value in pair] for each, pair in zip(FIGURES, pairs, strict=True)}
    return rows


if __name__ == "__main__":
    main()
