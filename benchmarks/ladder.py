"""How well a student orders, ranks and explains on contents and codecs it never saw, beside NIQE, BRISQUE and CNNIQA.

Usage: python benchmarks/ladder.py [--data DIR] [--bundle DIR] [--manifest tuning|final] [--cache DIR] [--workers N]
       [--no-teachers] [--against DIR] [--small] [--card]

Rules: docs/evaluation.md. The first run makes the items of the manifest (every clip at every level of every
distortion: about a minute per clip and core) and keeps them in the cache; killed, it goes on where it stopped. --small
takes two clips of the tuning manifest and a few kinds and ends within a minute: its figures mean nothing. --no-teachers
leaves the teachers out, which take most of the time on large clips; its items are kept apart. --against sets another
student beside the first, with paired intervals of the differences. --card writes the headlines, with N and intervals,
into the card of the bundle that --bundle names. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from w2svqa.core.errors import W2SVQAError
from w2svqa.core.executor import Executor, ProcessExecutor, SerialExecutor
from w2svqa.stages.ladder import FLOORS, LEAST_SOURCES, Ladder, look, measure
from w2svqa.stages.ladder_intervals import INTERVAL, RESAMPLES, Figure
from w2svqa.stages.ladder_items import KINDS, LadderConfig, LadderItems, build_items
from w2svqa.stages.ladder_manifest import SEED, LadderClip, check_files, check_unseen, read_clips
from w2svqa.students.bundle import load_bundle, read_card, write_card

MANIFESTS = Path(__file__).parent / "manifests"
TEACHERS = {"niqe": "niqe", "brisque": "brisque-live", "cnniqa": "cnniqa-live"}
HEADLINES = (
    "within_mean",
    "within_worst",
    "within_unseen",
    "pair_accuracy",
    "vmaf_srcc",
    "vmaf_srcc/unseen",
    "clean_order",
    "reasons",
    "reasons_merged",
    "reasons_none",
    "reasons_unseen_codec",
    "reasons_calibration_error",
    "timeline",
    "timeline_primaries",
    "timeline_unclipped",
)
PER_KIND = ("within", "pair_accuracy", "vmaf_srcc", "clean_order", "reasons", "timeline")
SMALL_CLIPS = 2
SMALL_KINDS = ("blur", "noise", "jitter", "h264", "vp9")


def main() -> None:
    """Check, build, measure, print."""
    options = parse()
    if not options.data:
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    begin = time.perf_counter()
    try:
        items = prepare(options, Path(options.data))
        built = time.perf_counter()
        if options.against:
            items = beside(items, options)
        found = measure(load_bundle(options.bundle), items, threads=options.workers)
    except W2SVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    show(found, options.small)
    took = {"build_seconds": round(built - begin, 1), "measure_seconds": round(time.perf_counter() - built, 1)}
    told = {**summary(found), **took, "manifest": options.manifest, "small": options.small}
    if options.card:
        enter(told, Path(options.bundle))
    print(json.dumps(told))


def parse() -> argparse.Namespace:
    """Read the command line."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "w2svqa" / "ladder"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--bundle", help="a student's folder; without it the shipped one")
    parser.add_argument("--manifest", choices=("tuning", "final"), default="final")
    parser.add_argument("--cache", type=Path, default=cache, help="where items are kept")
    parser.add_argument("--workers", type=int, default=1, help="clips at a time")
    parser.add_argument("--no-teachers", action="store_true", help="students alone")
    parser.add_argument("--against", metavar="DIR", help="another student's folder, or the name of a shipped one")
    parser.add_argument("--small", action="store_true", help="a few clips and kinds; ends within a minute")
    parser.add_argument("--card", action="store_true", help="write the headlines into the card of --bundle")
    options = parser.parse_args()
    if options.card and (options.small or not options.bundle):
        parser.error("--card needs --bundle, and a run that is not --small")
    if options.small:  # final is looked at for the table alone
        options.manifest = "tuning"
    return options


def prepare(options: argparse.Namespace, data: Path) -> LadderItems:
    """Check student and files against the manifest; make the items that are missing."""
    clips = read_clips(MANIFESTS / f"{options.manifest}.csv")
    config, folder = LadderConfig(), options.cache / options.manifest
    if options.small:
        print(f"small run: {SMALL_CLIPS} clips of tuning, {', '.join(SMALL_KINDS)}; these figures mean nothing")
        clips = smallest(clips)
        config, folder = LadderConfig(kinds=SMALL_KINDS, vmaf_frames=4), options.cache / "small"
    if options.no_teachers:
        folder = folder.with_name(f"{folder.name}-students")
    check_unseen(load_bundle(options.bundle).card, clips)
    check_files(clips, data / "pool" / "clips")
    executor: Executor = SerialExecutor() if options.workers <= 1 else ProcessExecutor(options.workers)
    return build_items(
        clips,
        folder,
        media=data / "pool" / "clips",
        teachers={} if options.no_teachers else {name: data / "teachers" / place for name, place in TEACHERS.items()},
        config=config,
        executor=executor,
        progress=lambda done, total, name: print(f"made {done}/{total} {name}", file=sys.stderr),
    )


def beside(items: LadderItems, options: argparse.Namespace) -> LadderItems:
    """Return the items with what another student says of them, as if it were one more teacher."""
    other = load_bundle(options.against)
    check_unseen(other.card, read_clips(MANIFESTS / f"{options.manifest}.csv"))
    known = tuple(str(kind) for kind in other.card.get("kinds", ()))
    raw = look(other, items, known, threads=options.workers).raw
    return replace(items, scores={**items.scores, other.student.name: raw})


def smallest(clips: tuple[LadderClip, ...]) -> tuple[LadderClip, ...]:
    """Return the primaries with the fewest pixels, of different sources."""
    by_source = {clip.source: clip for clip in sorted(clips, key=_pixels, reverse=True) if clip.primary}
    return tuple(sorted(by_source.values(), key=_pixels)[:SMALL_CLIPS])


def _pixels(clip: LadderClip) -> tuple[int, str]:
    return clip.width * clip.height, clip.name


def show(found: Ladder, small: bool) -> None:
    """Print the tables."""
    print(f"{found.student}: " + ", ".join(f"{count} {name}" for name, count in found.counts.items()))
    print(f"intervals: {INTERVAL:.0%}, {RESAMPLES} resamples of sources, seed {SEED}")
    for name, problem in found.problems:
        print(f"left out: {name}: {problem}")
    teachers = found.teachers
    print(
        f"\n{'':28}{found.student:>26}{'target':>8}{'n':>7}{'sources':>9}" + "".join(f"{name:>26}" for name in teachers)
    )
    for name in HEADLINES:
        figure = found.figures[name]
        target = f"{found.targets[name]:.2f}" if name in found.targets else ""
        cells = "".join(f"{shown(figures.get(name)):>26}" for figures in teachers.values())
        print(f"{name:28}{shown(figure):>26}{target:>8}{figure.n:>7}{len(figure.sources):>9}{cells}")
    print("\nper distortion: student (n)" + "".join(f" | {name}" for name in teachers))
    print(f"{'':12}" + "".join(f"{name:>32}" for name in PER_KIND))
    for kind in KINDS:
        print(f"{kind:12}" + "".join(f"{row_of(found, f'{name}/{kind}'):>32}" for name in PER_KIND))
    if not small:
        show_verdict(found)


def show_verdict(found: Ladder) -> None:
    """Print what is missed, and where a teacher is better."""
    print("\ntargets missed: " + (", ".join(found.missed) or "none"))
    floors = ", ".join(f"{name} {least}" for name, least in FLOORS.items())
    print(f"below the floor of a single distortion ({floors}):")
    for figure in found.below_floor:
        print(f"  {figure.name:28}{shown(figure)}")
    print("where a teacher is better (student, teacher, difference with interval, n):")
    for each in found.lost:
        few = f"too few sources: {each.sources}"
        chance = "may be chance" if each.sources >= LEAST_SOURCES else few
        sure = "significant" if each.significant else chance
        gap = f"{each.value:+.3f} [{each.low:+.3f}, {each.high:+.3f}]"
        print(f"  {each.name:28}{each.teacher:9}{each.student:7.3f}{each.other:7.3f}  {gap}  n={each.n}  {sure}")


def shown(figure: Figure | None) -> str:
    """Return a figure with its interval."""
    if figure is None or not figure.n:
        return "-"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def row_of(found: Ladder, name: str) -> str:
    """Return the student's figure and the teachers'."""
    figure = found.figures.get(name)
    if figure is None or not figure.n:
        return "-"
    others = [figures.get(name) for figures in found.teachers.values()]
    cells = "".join(f"|{each.value:.2f}" for each in others if each is not None and each.n)
    return f"{figure.value:.3f} ({figure.n}){cells}"


def summary(found: Ladder) -> dict[str, object]:
    """Return the figures as JSON can hold them."""
    return {
        **{name: number(found.figures[name].value) for name in HEADLINES},
        "intervals": {name: [number(found.figures[name].low), number(found.figures[name].high)] for name in HEADLINES},
        "n": {name: found.figures[name].n for name in HEADLINES},
        "per_kind": values({name: figure for name, figure in found.figures.items() if name.partition("/")[2] in KINDS}),
        "teachers": {name: values(figures) for name, figures in found.teachers.items()},
        "differences": {
            teacher: {
                each.name: [number(each.value), number(each.low), number(each.high)]
                for each in found.differences
                if each.teacher == teacher
            }
            for teacher in found.teachers
        },
        "lost": [f"{each.name} to {each.teacher}" for each in found.lost if each.significant],
        "missed": list(found.missed),
        "problems": [f"{name}: {problem}" for name, problem in found.problems],
        "sources": {name: len(found.figures[name].sources) for name in HEADLINES},
        "counts": dict(found.counts),
        "student": found.student,
        "units": {"within, vmaf_srcc": "Spearman, -1 to 1", "others": "share, 0 to 1"},
    }


def enter(told: Mapping[str, Any], bundle: Path) -> None:
    """Write the headlines of a finished run into a bundle's card, in place of an older entry."""
    rows = {
        name: {"value": told[name], "interval": told["intervals"][name], "n": told["n"][name]} for name in HEADLINES
    }
    card = read_card(bundle)
    figures = {**card["figures"], "ladder": {"manifest": told["manifest"], **rows}}
    write_card(bundle, {**card, "figures": figures})


def values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """Return the bare numbers."""
    return {name: number(figure.value) for name, figure in figures.items() if figure.n}


def number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return round(value, 4) if math.isfinite(value) else None


if __name__ == "__main__":
    main()
