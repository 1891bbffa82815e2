"""Freeze the manifests: which clips may be trained on, which tune decisions, and which are kept for the final table.

Usage: python benchmarks/make_manifests.py [--data DIR] [--check] [--small]

The files in benchmarks/manifests/ are what counts; this script says how they were made and, with --check, that the
same rules still give them (exit status 1 if not). Rules, in docs/evaluation.md too:

1. training: every clip and photograph whose licence is listed in LICENSES.
2. All other clips are for evaluation. Their sources are the owners of the repositories they come from: two
   repositories of one owner count as one source. An owner who also has training clips may serve tuning, never the
   final table, and only with repositories that training does not have.
3. Owners are shuffled by the seed, those with visually clean clips ("primary") apart from the others, and about a third
   of each goes to tuning, as long as the final manifest keeps FINAL_PRIMARIES primaries.
4. Every primary of an owner is taken, then other clips in turns, one per owner and round and at most MOST_PER_OWNER,
   unlike those taken (category, then resolution), until the manifest has its size.

--small is accepted and changes nothing: the work takes a second. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from w2svqa.core.random import generator
from w2svqa.stages.ladder_intervals import owner_of
from w2svqa.stages.ladder_manifest import COLUMNS

FOLDER = Path(__file__).parent / "manifests"
LICENSES = frozenset(
    {"MIT", "BSD", "ISC", "Zlib", "Apache-2.0", "MPL-2.0", "Unlicense"}
    | {"CC0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-SA-2.5"}
)
SEED = 3
TUNING_SHARE = 1 / 3
FINAL_PRIMARIES = 13
MOST_PER_OWNER = 3
SIZES = {"tuning": 20, "final": 40}

Line = Mapping[str, str]


def owner(line: Line) -> str:
    """Return who owns the repository a clip comes from."""
    return owner_of(line["source_repo"])


def allowed(line: Line) -> bool:
    """Return whether a clip may be trained on."""
    return line["license"] in LICENSES


def split(clips: Sequence[Line], training: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the clips of the tuning and of the final manifest, sorted by name."""
    by_owner: dict[str, list[Line]] = defaultdict(list)
    trained, repositories = {owner(line) for line in training}, {line["source_repo"] for line in training}
    for line in clips:
        if line["source_repo"] not in repositories:
            by_owner[owner(line)].append(line)
    random = generator(SEED, "manifests")
    tuning = _tuning_owners(by_owner, trained, random)
    chosen = {"tuning": tuning, "final": [name for name in by_owner if name not in tuning]}
    return {
        name: sorted(_choose([by_owner[each] for each in sorted(owners)], SIZES[name], random), key=_name)
        for name, owners in chosen.items()
    }


def _tuning_owners(by_owner: Mapping[str, list[Line]], trained: set[str], random: np.random.Generator) -> set[str]:
    found = set(by_owner) & trained
    for with_primaries in (True, False):
        names = sorted(name for name in by_owner if bool(_primaries(by_owner[name])) == with_primaries)
        share = round(TUNING_SHARE * len(names)) - len(found & set(names))
        left = sum(_primaries(by_owner[name]) for name in names if name not in found)
        for index in random.permutation(len(names)).tolist():
            name = names[index]
            if name in found or share <= 0:
                continue
            if not with_primaries or left - _primaries(by_owner[name]) >= FINAL_PRIMARIES:
                found.add(name)
                share -= 1
                left -= _primaries(by_owner[name])
    return found


def _primaries(lines: Iterable[Line]) -> int:
    return sum(line["primary"] == "1" for line in lines)


def _choose(groups: Sequence[list[Line]], size: int, random: np.random.Generator) -> Iterator[Line]:
    """Yield all primaries, then others in rounds."""
    taken = [[line for line in group if line["primary"] == "1"] for group in groups]
    yield from (line for group in taken for line in group)
    count = sum(len(group) for group in taken)
    for rank in range(MOST_PER_OWNER):
        for index in random.permutation(len(groups)).tolist():
            rest = [line for line in groups[index] if line not in taken[index]]
            if not rest or len(taken[index]) > rank or (rank and count >= size):
                continue
            line = min(rest, key=lambda each: (_likeness(each, taken[index]), _name(each)))
            taken[index].append(line)
            count += 1
            yield line


def _likeness(line: Line, taken: Sequence[Line]) -> tuple[int, int]:
    return sum(line["category"] == other["category"] for other in taken), sum(
        (line["width"], line["height"]) == (other["width"], other["height"]) for other in taken
    )


def _name(line: Line) -> str:
    return line.get("clip") or line["file"]


def text_of(lines: Iterable[Line]) -> str:
    """Return a manifest as CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        digest, still = line["sha256"], int("file" in line)
        facts = (line["source_repo"], line["license"], line["primary"], line["width"], line["height"], still)
        writer.writerow((_name(line), digest[:16], digest, *facts))
    return out.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the lines of a CSV file with a header."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Make or check the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("W2SVQA_DATA"), help="folder of the development data")
    parser.add_argument("--check", action="store_true", help="write nothing; compare")
    parser.add_argument("--small", action="store_true", help="accepted; the work is small")
    options = parser.parse_args()
    if not options.data:
        print("this needs the development data: give --data DIR or set W2SVQA_DATA", file=sys.stderr)
        raise SystemExit(2)
    data = Path(options.data)
    clips, photos = read_csv(data / "pool" / "manifest.csv"), read_csv(data / "photos" / "photos.csv")
    training: list[Line] = [line for line in (*clips, *photos) if allowed(line)]
    made = {"training": training, **split([line for line in clips if not allowed(line)], training)}
    equal = True
    print(f"{'manifest':10}{'clips':>7}{'primary':>9}{'stills':>8}{'owners':>8}")
    for name, lines in made.items():
        path = FOLDER / f"{name}.csv"
        text = text_of(lines)
        equal &= path.is_file() and path.read_text(encoding="utf-8") == text
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        stills = sum("file" in line for line in lines)
        print(f"{name:10}{len(lines):>7}{_primaries(lines):>9}{stills:>8}{len({owner(line) for line in lines}):>8}")
    print(json.dumps({**{name: len(lines) for name, lines in made.items()}, "unit": "clips", "equal": equal}))
    if options.check and not equal:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
