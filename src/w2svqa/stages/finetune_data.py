"""Rated videos for fine-tuning: files, contents and folds, so that no video and no content is on both sides of a split.

A content is what the table of ratings says it is (a column, or a pattern of names). Files with the same bytes belong to
one content whatever they are called.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.errors import ConfigError, InputError, MissingInputError, printable
from w2svqa.core.random import generator
from w2svqa.stages.evaluation_models import RatedSet
from w2svqa.stages.pool_videos import ID_DIGITS, FileHashes
from w2svqa.stages.ratings import Ratings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEWEST: Final = 20
"""Videos below which nothing is fine-tuned: a test fold of four orders by chance."""

ENOUGH: Final = 50
"""Videos below which a note says that figures hardly tell anything."""

CONTENTS_PER_FOLD: Final = 2
"""Contents that each fold must have at least."""

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedVideo:
    """A video that people have rated.

    Attributes:
        name: as the table of ratings has it.
        path: the file.
        clip_id: the first 16 hex digits of its SHA-256.
        rating: higher is better, whatever the table's direction.
        deviation: over raters, in units of the rating; NaN if unknown.
        content: what it shows; videos of one content are never divided.
    """

    name: str
    path: str
    clip_id: str
    rating: float
    deviation: float
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedVideos:
    """Rated videos whose files are here.

    Attributes:
        videos: in the order of the table.
        ratings: of these videos alone, their contents joined where files are equal.
        notes: what was left out, and what was joined.
    """

    videos: tuple[RatedVideo, ...]
    ratings: Ratings
    notes: tuple[str, ...]

    @property
    def values(self) -> Floats:
        """Ratings, higher is better, float64 ``(N,)``."""
        return np.array([video.rating for video in self.videos])

    @property
    def contents(self) -> tuple[str, ...]:
        """Of each video."""
        return tuple(video.content for video in self.videos)


def gather(rated: RatedSet, hashes: FileHashes, *, progress: Callable[[int, int, str], None]) -> RatedVideos:
    """Read the content of rated files, and join the contents of those that are the same.

    Args:
        rated: ratings and files, from :func:`w2svqa.stages.evaluation_models.rated_set`.
        hashes: what is known of files.
        progress: called as ``progress(done, total, name)`` after each file that has to be read.

    Raises:
        StoreError: the hashes cannot be kept.
    """
    hashes.read(list(rated.files.values()), progress=progress)
    found: list[RatedVideo] = []
    unread: list[str] = []
    sign = 1 if rated.ratings.benchmark.higher_is_better else -1
    for row in rated.ratings.rows:
        if row.name not in rated.files:
            continue
        path = rated.files[row.name]
        try:
            clip = hashes.of(path).sha256[:ID_DIGITS]
        except MissingInputError as error:
            unread.append(str(error))
            continue
        found.append(
            RatedVideo(
                name=row.name,
                path=path,
                clip_id=clip,
                rating=sign * row.value,
                deviation=row.deviation,
                content=row.content,
            )
        )
    notes = [*rated.notes, *(f"left out: {problem}" for problem in unread)]
    return joined(found, rated.ratings, notes)


def joined(videos: Sequence[RatedVideo], ratings: Ratings, notes: Sequence[str] = ()) -> RatedVideos:
    """Return videos with one content where files are equal, and the ratings of these videos alone.

    Args:
        videos: in the order of the ratings.
        ratings: of these and perhaps others.
        notes: what is known already.
    """
    contents = content_groups([video.content for video in videos], [video.clip_id for video in videos])
    kept = tuple(replace(video, content=content) for video, content in zip(videos, contents, strict=True))
    by_name = {video.name: video for video in kept}
    rows = tuple(replace(row, content=by_name[row.name].content) for row in ratings.rows if row.name in by_name)
    told = list(notes)
    copies = {clip: count for clip, count in Counter(video.clip_id for video in kept).items() if count > 1}
    if copies:
        names = [video.name for video in kept if video.clip_id in copies]
        told.append(
            f"{sum(copies.values())} videos have the same bytes as another, such as {' and '.join(names[:2])}:"
            " they stay in one fold"
        )
    return RatedVideos(videos=kept, ratings=replace(ratings, rows=rows), notes=tuple(told))


def content_groups(contents: Sequence[str], clips: Sequence[str]) -> list[str]:
    """Return a content for each video, the same for all that share a content or a file, directly or through others.

    Args:
        contents: as told.
        clips: content hash of each file.

    Example:
        >>> content_groups(["a", "b", "b", "c"], ["1", "1", "2", "3"])
        ['a', 'a', 'a', 'c']
    """
    parent: dict[str, str] = {content: content for content in contents}

    def top(content: str) -> str:
        while parent[content] != content:
            parent[content] = parent[parent[content]]
            content = parent[content]
        return content

    first: dict[str, str] = {}
    for content, clip in zip(contents, clips, strict=True):
        one, other = sorted((top(content), top(first.setdefault(clip, content))))
        parent[other] = one
    return [top(content) for content in contents]


def content_folds(contents: Sequence[str], folds: int, seed: int, *labels: str | int) -> Ints:
    """Divide contents at random into folds of about as many videos each.

    The largest contents are dealt first, each to the fold with the fewest videos.

    Args:
        contents: of each video, ``(N,)``.
        folds: how many.
        seed: of the order among contents of one size.
        labels: what the folds are for.

    Returns:
        The fold of each video, int64 ``(N,)``, 0 to ``folds - 1``.

    Raises:
        ValueError: fewer contents than folds.

    Example:
        >>> sorted(np.bincount(content_folds(["a", "a", "a", "b", "c", "d"], 2, 0)).tolist())
        [3, 3]
    """
    sizes = Counter(contents)
    if len(sizes) < folds:
        raise ValueError(f"{len(sizes)} contents cannot be divided into {folds} folds")
    names = sorted(sizes)
    order = generator(seed, "content folds", *labels).permutation(len(names)).tolist()
    loads = [0] * folds
    fold_of: dict[str, int] = {}
    for name in sorted((names[place] for place in order), key=lambda each: -sizes[each]):
        fold = loads.index(min(loads))
        fold_of[name] = fold
        loads[fold] += sizes[name]
    return np.array([fold_of[content] for content in contents], np.int64)


def check_enough(rated: RatedVideos, folds: int) -> list[str]:
    """Refuse too few videos or contents to learn from, and return what a reader should know of few.

    Args:
        rated: those whose files could be read.
        folds: of the cross-validation.

    Raises:
        InputError: fewer than :data:`FEWEST` videos, fewer than :data:`CONTENTS_PER_FOLD` contents a fold, or all
            ratings are the same.
    """
    videos, contents = len(rated.videos), len(set(rated.contents))
    name = rated.ratings.benchmark.shown
    if videos < FEWEST:
        raise InputError(
            f"{videos} rated videos of {name} are here, fine-tuning takes {FEWEST} at least",
            remedy=f"rate more: {ENOUGH} are a beginning, a few hundred are good",
        )
    if contents < CONTENTS_PER_FOLD * folds:
        raise InputError(
            f"the {videos} videos show {contents} contents, {folds} folds take {CONTENTS_PER_FOLD * folds} at least",
            remedy="rate other contents, ask for fewer folds, or check the column content",
        )
    if np.ptp(rated.values) == 0:
        raise InputError(f"all {videos} ratings of {name} are the same", remedy="check the column of ratings")
    if videos < ENOUGH:
        return [f"{videos} videos are few: below {ENOUGH} a gain can hardly be told from chance"]
    return []


def refuse_shared(train: RatedVideos, test: RatedVideos) -> list[str]:
    """Refuse a test that shares a file with the training, and return a note where it shares a content.

    Args:
        train: what is learned from.
        test: what is measured on alone.

    Raises:
        ConfigError: a file is in both, whatever it is called.
    """
    known = {video.clip_id: video.path for video in train.videos}
    shared = [(video.path, known[video.clip_id]) for video in test.videos if video.clip_id in known]
    if shared:
        told = ", ".join(f"{printable(one)} is {printable(other)}" for one, other in shared[:_SHOWN])
        more = f", and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
        raise ConfigError(
            f"{len(shared)} videos are in training and test: {told}{more}", remedy="take them out of one of the two"
        )
    contents = sorted(set(train.contents) & set(test.contents))
    if contents:
        return [f"{len(contents)} contents are in training and test, such as {contents[0]}: the test flatters"]
    return []


def filled_deviations(rated: Sequence[RatedVideo], share: float) -> Floats:
    """Return the deviation of each rating, where none is known a share of the spread of all ratings.

    Args:
        rated: videos.
        share: of the ratings' standard deviation.

    Returns:
        float64 ``(N,)``, above 0.
    """
    spread = float(np.std([video.rating for video in rated]))
    least = max(1e-3 * spread, 1e-9)  # raters who all agree still leave a doubt
    return np.array(
        [max(video.deviation, least) if math.isfinite(video.deviation) else share * spread for video in rated]
    )


def by_content(contents: Sequence[str]) -> Mapping[str, list[int]]:
    """Return the places of each content, contents sorted."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, content in enumerate(contents):
        found[content].append(place)
    return {content: found[content] for content in sorted(found)}


def name_of(path: str) -> str:
    """Return a file's name for a card, which knows nothing of the machine."""
    return Path(path).name
