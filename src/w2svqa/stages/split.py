"""Long videos -> clips of one shot each, cut out without encoding anew.

A cut can be made at key frames alone, so what lies between a change of shot and the next key frame is left out, as are
shots that are too short (:func:`w2svqa.video.shots.plan_segments`). A video that is in bounds and of one shot stays as
it is. Every segment is decoded in full before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from w2svqa.core.config import from_mapping
from w2svqa.core.errors import MediaError, StoreError, W2SVQAError, printable
from w2svqa.core.executor import Executor
from w2svqa.core.files import sha256_file
from w2svqa.core.resume import Kept, map_resumed
from w2svqa.stages.check_files import Content
from w2svqa.stages.ingest_files import SYNC_EVERY
from w2svqa.stages.pool_videos import ID_DIGITS, KnownFile
from w2svqa.video.check import check_video
from w2svqa.video.facts import facts_of
from w2svqa.video.packets import PacketSurvey, survey_packets
from w2svqa.video.sample import DEFAULT_RATE
from w2svqa.video.segment import copy_segments
from w2svqa.video.shots import find_cuts, plan_segments
from w2svqa.video.source import open_source

ARITHMETIC: Final = 1
"""Raised whenever the same video would be cut differently."""

_TOLERANCE: Final = 0.05
# Seconds by which a segment may come out longer or shorter than planned: a frame of an open group, rounding.
_LENGTH_ERROR: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a video in a file of its own.

    Attributes:
        name: of the file.
        start: seconds into the video.
        size: bytes.
        sha256: of the file, hex.
        content: what is known of it.
    """

    name: str
    start: float
    size: int
    sha256: str
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What became of a video.

    Attributes:
        whole: it is in bounds and one shot, and stays as it is.
        segments: cut from it.
        message: what was cut, or why nothing was.
    """

    whole: bool = False
    segments: tuple[Segment, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    file: KnownFile
    folder: str
    bounds: tuple[float, float]
    threads: int | None


def segments_folder(folder: Path, bounds: tuple[float, float]) -> Path:
    """Return where the segments of these bounds are.

    Example:
        >>> segments_folder(Path("pool"), (5.0, 10.0)).as_posix()
        'pool/segments-5-10'
    """
    return folder / f"segments-{bounds[0]:g}-{bounds[1]:g}"


def split_files(
    files: Sequence[KnownFile],
    folder: Path,
    *,
    bounds: tuple[float, float],
    threads: int | None,
    executor: Executor,
    progress: Callable[[int, int, str], None],
) -> tuple[dict[str, Cut], dict[str, str]]:
    """Cut videos; return what became of each, and why nothing did, by SHA-256.

    Args:
        files: videos of different contents.
        folder: of the journal, with ``segments/``; one journal for each pair of bounds.
        bounds: seconds a segment must and may have.
        threads: decoding threads per file.
        executor: what does the work.
        progress: called as ``progress(done, total, name)``.

    Raises:
        StoreError: the disk is full, or what was found cannot be kept.
    """
    segments = segments_folder(folder, bounds)
    kept: Kept[_Item, Cut] = Kept(
        path=folder / f"{segments.name}.jsonl",
        fingerprint=f"split {bounds[0]:g}-{bounds[1]:g} {ARITHMETIC}",
        key=lambda item: item.file.sha256,
        name=lambda item: Path(item.file.path).name,
        encode=asdict,
        decode=_decoded,
        holds=lambda item, cut: all(_is_there(Path(item.folder), each) for each in cut.segments),
        failure=_failure,
        sync_every=SYNC_EVERY,
    )
    items = [_Item(file=file, folder=str(segments), bounds=bounds, threads=threads) for file in files]
    made, failed = map_resumed(split_file, items, kept, progress=progress, executor=executor)
    paths = {file.sha256: file.path for file in files}
    return made, {key: text.removeprefix(f"{printable(paths[key])}: ") for key, text in failed.items()}


def split_file(item: _Item) -> Cut:
    """Cut one video.

    Raises:
        InputError: it cannot be read, or changed meanwhile.
        MediaError: it cannot be cut without encoding it anew.
        UnwritableError: the disk is full or fails.
    """
    path = item.file.path
    item.file.check()
    survey = _survey(path)
    cuts = find_cuts(path, threads=item.threads)
    shortest, longest = item.bounds
    if not cuts and shortest - _TOLERANCE <= survey.end <= longest + _TOLERANCE:
        return Cut(whole=True)
    parts = plan_segments(survey.key_times, survey.end, cuts, shortest=shortest, longest=longest, tolerance=_TOLERANCE)
    stem = item.file.sha256[:ID_DIGITS]
    written = copy_segments(path, parts, item.folder, stem, origin=survey.origin) if parts else []
    item.file.check()
    found = [_segment(file, part, item.threads) for file, part in zip(written, parts, strict=True)]
    segments = tuple(each for each in found if each is not None)
    return Cut(segments=segments, message=_message(survey, cuts, parts, segments, item.bounds))


def _survey(path: str) -> PacketSurvey:
    with open_source(path) as source:
        survey = survey_packets(source, 1 / (facts_of(source).fps or DEFAULT_RATE))
    if not survey.is_timed:
        raise MediaError("its time stamps do not tell where to cut", path=path, remedy="copy it into Matroska first")
    return survey


def _segment(path: Path, part: tuple[float, float], threads: int | None) -> Segment | None:
    """Return a segment that was written, after a look at it; ``None``, and no file, where it does not decode."""
    begin, end = part
    try:
        checked = check_video(path, "full", threads=threads)
        duration = checked.info.duration
        is_good = checked.problem is None and duration is not None and abs(duration - (end - begin)) <= _LENGTH_ERROR
    except MediaError:
        is_good = False
    if not is_good:
        path.unlink(missing_ok=True)
        return None
    info = checked.info
    names = ("width", "height", "fps", "duration", "codec", "pixel_format", "bit_rate", "rotation")
    content = Content(**{name: getattr(info, name) for name in names})
    digest = sha256_file(path)
    return Segment(name=path.name, start=begin, size=path.stat().st_size, sha256=digest, content=content)


def _message(
    survey: PacketSurvey,
    cuts: Sequence[float],
    parts: Sequence[tuple[float, float]],
    segments: Sequence[Segment],
    bounds: tuple[float, float],
) -> str:
    wanted = f"{bounds[0]:g}-{bounds[1]:g} s"
    facts = f"{survey.end:.1f} s, {len(cuts) + 1} shots, {len(survey.key_times)} key frames"
    if segments:
        covered = sum(segment.content.duration or 0 for segment in segments)
        return f"{len(segments)} clips of {wanted} cut from it, {covered:.1f} s in all ({facts})"
    if parts:
        return f"what was cut from it does not decode ({facts})"
    return f"no stretch of {wanted} between key frames that is one shot ({facts})"


def _is_there(folder: Path, segment: Segment) -> bool:
    try:
        return (folder / segment.name).stat().st_size == segment.size
    except OSError:
        return False


def _failure(error: W2SVQAError) -> Cut | None:
    return Cut(message=error.without_path) if isinstance(error, MediaError) else None


def _decoded(value: object) -> Cut:
    if not isinstance(value, dict):
        raise StoreError(f"the journal of cuts holds {value!r}", remedy="delete that journal")
    return from_mapping(Cut, value)
