"""Pairs in the JSON form of the method's authors: written, and read with every malformed item listed.

An item holds two names under ``image``, ``frames per sec`` (left out for still images) and a conversation: the question
about the two videos and one answer with the level word. What we add under further keys (hashes, uncertainty, source,
stage) is read again here and passed over by others.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from w2svqa.core.conversion import near_name
from w2svqa.core.errors import InputError, MissingInputError, StrPath
from w2svqa.core.files import sha256_file
from w2svqa.core.inputs import IMAGE_SUFFIXES
from w2svqa.core.levels import LEVELS, opposite
from w2svqa.core.rows import PoolPairRow, VideoRow

QUESTION: Final = (
    "Now you will receive two videos. The first video:\n <image><image>. The second video:\n <image><image>. Please "
    "watch these videos carefully, and then answer the following question: Comparing with the first video, how do you "
    "assess the quality of the second video?"
)
"""The question about a pair, word for word as the authors' students were trained on it."""

IMPORTED: Final = "import"
"""Source of pairs whose file does not say who labelled them."""

_ANSWER: Final = "The quality of the second video is {level} to the first video."
_LEVEL: Final = re.compile(r"the quality of the second video is (\S+?)[\s.]", re.IGNORECASE)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# a string, which is kept, or a comma before a closing bracket, which their example has and JSON forbids
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')


class ItemProblem(NamedTuple):
    """An item that cannot be used: its place in the list, from 0, and why."""

    item: int
    problem: str


@dataclass(frozen=True, slots=True)
class ImportedPairs:
    """What was read.

    Attributes:
        pairs: of the usable items, in their order.
        videos: that they name, in order of appearance.
        problems: of the others.
        duplicates: items that only repeat an earlier one, either way round.
    """

    pairs: list[PoolPairRow] = field(default_factory=list)
    videos: list[VideoRow] = field(default_factory=list)
    problems: list[ItemProblem] = field(default_factory=list)
    duplicates: int = 0


class _ItemError(Exception):
    """Why an item cannot be used."""


def item_of(pair: PoolPairRow, first: str, second: str, hashes: tuple[str, str]) -> dict[str, object]:
    """Return a pair as an item of the authors' list.

    Args:
        pair: the pair.
        first: relative name of its first video.
        second: relative name of its second video.
        hashes: SHA-256 of both, hex; empty text where it is not known.

    Source: the layout of the authors' training list (their ``example.json``).
    """
    stills = all(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in (first, second))
    item: dict[str, object] = {"image": [first, second]}
    if not stills:
        item["frames per sec"] = 1
    item["conversations"] = [
        {"from": "human", "value": QUESTION},
        {"from": "gpt", "value": _ANSWER.format(level=LEVELS[pair.level])},
    ]
    item |= {"sha256": list(hashes)} if all(hashes) else {}
    return item | {"source": pair.source, "uncertainty": pair.uncertainty, "stage": pair.stage}


def read_pairs_json(path: StrPath, *, videos: StrPath | None = None) -> ImportedPairs:
    """Read a list of pairs in the authors' form.

    A video is known by its SHA-256: from the item, or of the file where ``videos`` says where files are. Otherwise its
    id comes from its name, and its ``sha256`` stays empty.

    Args:
        path: the JSON file; a comma before a closing bracket is passed over.
        videos: the folder that names are relative to; if given, files without a hash in the list are read.

    Raises:
        InputError: it cannot be read or is no JSON list.
    """
    reader = _Reader(None if videos is None else Path(videos))
    for number, item in enumerate(_items(path)):
        try:
            reader.take(number, item)
        except _ItemError as error:
            reader.problems.append(ItemProblem(number, str(error)))
    return ImportedPairs(reader.pairs, list(reader.videos.values()), reader.problems, reader.duplicates)


def _items(path: StrPath) -> Iterable[object]:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MissingInputError(f"cannot be read: {error.strerror}", path=path, remedy="check the path") from None
    except UnicodeDecodeError:
        raise InputError("is no text in UTF-8", path=path, remedy="name the list of pairs") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = json.loads(_TRAILING_COMMA.sub(lambda match: match[1] or "", text))
        except (ValueError, RecursionError) as error:
            raise InputError(f"is no valid JSON: {error}", path=path, remedy="correct it, or export it again") from None
    if not isinstance(found, list):
        raise InputError("holds no list of pairs", path=path, remedy="its outermost brackets must be [ ]")
    return found


class _Reader:
    """Takes items one by one and remembers what it has seen."""

    def __init__(self, folder: Path | None) -> None:
        self.pairs: list[PoolPairRow] = []
        self.videos: dict[str, VideoRow] = {}
        self.problems: list[ItemProblem] = []
        self.duplicates = 0
        self._folder = folder
        self._levels: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, number: int, item: object) -> None:
        """Add an item.

        Raises:
            _ItemError: it cannot be used.
        """
        if not isinstance(item, dict):
            raise _ItemError("is no record")
        names, level, hashes = _names(item), _level(item), _hashes(item)
        facts = {"source": _source(item), "uncertainty": _uncertainty(item), "stage": _stage(item)}
        rows = [self._video(name, known) for name, known in zip(names, hashes, strict=True)]
        first, second = (row.clip_id for row in rows)
        if first == second:
            raise _ItemError(f"compares {names[0]!r} with itself")
        before = self._levels.setdefault((first, second), (level, number))
        if before != (level, number):
            if before[0] != level:
                raise _ItemError(f"says {LEVELS[level]!r}, but item {before[1]} says {LEVELS[before[0]]!r}")
            self.duplicates += 1
            return
        self._levels[second, first] = (opposite(level), number)
        self.videos.update({row.clip_id: self.videos.get(row.clip_id, row) for row in rows})
        self.pairs.append(PoolPairRow(first=first, second=second, level=level, **facts))  # type: ignore[arg-type]  # each fact is checked where it is read

    def _video(self, name: str, known: str) -> VideoRow:
        path = name if self._folder is None else str(self._folder / name)
        digest = known
        if not digest and self._folder is not None:
            try:
                digest = sha256_file(path)
            except (OSError, ValueError) as error:
                raise _ItemError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        clip_id = (digest or hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest())[:16]
        return VideoRow(clip_id=clip_id, path=path, name=name, sha256=digest)


def _names(item: Mapping[object, object]) -> tuple[str, str]:
    match item.get("image"):
        case [str(first), str(second)] if first and second:
            return first, second
        case None:
            raise _ItemError("has no 'image'")
        case list(found):
            raise _ItemError(f"'image' holds {len(found)} entries, not two names")
        case _:
            raise _ItemError("'image' is no list of two names")


def _level(item: Mapping[object, object]) -> int:
    turns = item.get("conversations")
    for turn in turns if isinstance(turns, list) else []:
        if not isinstance(turn, dict) or turn.get("from") != "gpt":
            continue
        answer = turn.get("value")
        found = _LEVEL.search(f"{answer} ") if isinstance(answer, str) else None
        if found is None:
            raise _ItemError(f"the answer names no level: {json.dumps(answer)[:80]}")
        word = found[1].lower()
        if word not in LEVELS:
            near = near_name(word, list(LEVELS))
            raise _ItemError(f"unknown level {word!r}" + (f", did you mean {near!r}?" if near else ""))
        return LEVELS.index(word)
    raise _ItemError("has no answer: no turn of 'conversations' is from 'gpt'")


def _hashes(item: Mapping[object, object]) -> tuple[str, str]:
    match item.get("sha256"):
        case None:
            return "", ""
        case [str(first), str(second)] if _SHA256.fullmatch(first) and _SHA256.fullmatch(second):
            return first, second
        case _:
            raise _ItemError("'sha256' is no list of two hashes of 64 hex digits")


def _source(item: Mapping[object, object]) -> str:
    source = item.get("source", IMPORTED)
    if not isinstance(source, str) or not source:
        raise _ItemError(f"'source' is no text: {json.dumps(source)[:40]}")
    return source


def _uncertainty(item: Mapping[object, object]) -> float:
    value = item.get("uncertainty", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _ItemError(f"'uncertainty' is no number of 0 or more: {json.dumps(value)[:40]}")
    return float(value)


def _stage(item: Mapping[object, object]) -> int:
    value = item.get("stage", 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1 << 31:
        raise _ItemError(f"'stage' is no whole number from 1: {json.dumps(value)[:40]}")
    return value
