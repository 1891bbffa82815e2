"""The videos of a pool: what was given, what a manifest says of it, and its content, which is read once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from w2svqa.core.errors import MissingInputError, StrPath, W2SVQAError
from w2svqa.core.executor import make_executor
from w2svqa.core.files import sha256_file
from w2svqa.core.inputs import InputItem
from w2svqa.core.journal import Journal
from w2svqa.core.rows import VideoRow
from w2svqa.stages.pool_manifest import ManifestLine, PoolManifest, match_lines, read_pool_manifest, tails

ID_DIGITS: Final = 16
"""Hex digits of a clip id."""


HASHES: Final = "sha256 by path, size and time"
"""What a journal of content hashes says of itself; its values are size, time and hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file whose content is known.

    Attributes:
        path: the file.
        size: bytes.
        mtime_ns: time of its last change.
        sha256: of its content, hex.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str

    def check(self) -> None:
        """Find out that it is still the same.

        Raises:
            MissingInputError: it is gone, or was changed meanwhile.
        """
        if _stamp(self.path) != (self.size, self.mtime_ns):
            raise MissingInputError("was changed in the meantime", path=self.path, remedy="run the command again")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolVideo:
    """A video of a pool.

    Attributes:
        row: its row in the table of videos.
        file: its content; ``None`` if it cannot be read.
        problem: why it cannot be read.
        reference: content of its untouched source, if it has one that can be read.
        reference_problem: why its untouched source cannot be read.
    """

    row: VideoRow
    file: KnownFile | None
    problem: str | None = None
    reference: KnownFile | None = None
    reference_problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolVideos:
    """A pool.

    Attributes:
        videos: in the order given, each content once.
        repeated: path of a file -> path of the one before it that has the same content.
        unlisted: paths that no line of the manifest speaks of.
        unused: names in the manifest that are not in the pool.
    """

    videos: tuple[PoolVideo, ...]
    repeated: Mapping[str, str]
    unlisted: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


class FileHashes:
    """The content hashes of files, kept in a journal: a file of the same size and time is not read again.

    Args:
        path: the journal.

    Raises:
        StoreError: on entering, if it is damaged or cannot be written.
    """

    def __init__(self, path: StrPath) -> None:
        self._journal = Journal(path, fingerprint=HASHES)

    def __enter__(self) -> Self:
        self._journal.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()

    def of(self, path: str) -> KnownFile:
        """Return what is known of a file, after reading it if need be.

        Raises:
            MissingInputError: it cannot be read.
            StoreError: the journal cannot be written.
        """
        known = self._kept(path)
        if known is None:
            known = _hashed(path)
            self._keep(known)
        return known

    def read(self, paths: Sequence[str], *, workers: int = 1, progress: Callable[[int, int, str], None]) -> None:
        """Read files whose content is not known, several at a time, and keep each hash as it comes.

        What cannot be read is left to :meth:`of`, which says why. Killed at any moment, the next call reads at most one
        file per process again.

        Args:
            paths: files.
            workers: processes.
            progress: called as ``progress(done, total, name)`` after each file that has to be read.

        Raises:
            StoreError: the journal cannot be written.
            ConfigError: there is no worker.
        """
        wanted = list(dict.fromkeys(paths))
        missing = [path for path in wanted if not self._answers(path)]
        outcomes = make_executor(workers if len(missing) > 1 else 1, retries=0).map(_hashed, missing)
        for done, outcome in enumerate(outcomes, start=len(wanted) - len(missing) + 1):
            if outcome.value is not None:
                self._keep(outcome.value)
            progress(done, len(wanted), Path(missing[outcome.index]).name)

    def _answers(self, path: str) -> bool:
        """Return whether nothing is to be read: the hash is known, or the file is not there."""
        try:
            return self._kept(path) is not None
        except MissingInputError:
            return True

    def _kept(self, path: str) -> KnownFile | None:
        size, mtime_ns = _stamp(path)
        kept = self._journal.finished.get(_key(path))
        if not isinstance(kept, list) or kept[:2] != [size, mtime_ns]:
            return None
        return KnownFile(path=path, size=size, mtime_ns=mtime_ns, sha256=str(kept[2]))

    def _keep(self, file: KnownFile) -> None:
        self._journal.add(_key(file.path), [file.size, file.mtime_ns, file.sha256])


def read_pool(
    items: Sequence[InputItem],
    hashes: FileHashes,
    manifest: PoolManifest | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int, int, str], None],
) -> PoolVideos:
    """Return the videos of a pool. What cannot be read is one too, with the reason.

    Of files of one content the first counts that the manifest speaks of, or else the first.

    Args:
        items: files, from :func:`w2svqa.core.inputs.expand_inputs`.
        hashes: what is known of files.
        manifest: what else is known of them.
        workers: processes that read files.
        progress: called as ``progress(done, total, name)`` after each file that has to be read, references too.

    Raises:
        ConfigError: the manifest cannot be used, or there is no worker.
        StoreError: what was found cannot be kept.
    """
    lines = () if manifest is None else read_pool_manifest(manifest)
    paths = [item.path for item in items]
    matched = {} if manifest is None else match_lines(lines, paths, manifest)
    references = _References(paths, manifest)
    sources = [references.path(line.reference) for line in matched.values() if line.reference]
    hashes.read([*(item.path for item in items if item.error is None), *sources], workers=workers, progress=progress)
    found: dict[str, PoolVideo] = {}
    repeated: dict[str, str] = {}
    order = sorted(range(len(items)), key=lambda index: paths[index] not in matched)  # stable
    for index in order:
        video = _video(items[index], matched.get(paths[index]), hashes, references)
        first = found.setdefault(video.row.clip_id, video)
        if first is not video and first.row.path != video.row.path:
            repeated[video.row.path] = first.row.path
    position = {path: index for index, path in reversed(list(enumerate(paths)))}
    named = {line.number for line in matched.values()}
    return PoolVideos(
        videos=tuple(sorted(found.values(), key=lambda video: position[video.row.path])),
        repeated=repeated,
        unlisted=() if manifest is None else tuple(path for path in position if path not in matched),
        unused=tuple(line.name for line in lines if line.number not in named),
    )


class _References:
    """Where the untouched sources are that a manifest names."""

    def __init__(self, paths: Sequence[str], manifest: PoolManifest | None) -> None:
        self._folder = Path() if manifest is None else Path(manifest.path).parent
        self._paths = paths
        self._by_tail: dict[str, str] | None = None

    def path(self, reference: str) -> str:
        """Return the path beside the manifest, or a file of the pool that ends so if there is none beside it."""
        beside = str(self._folder / reference)
        if Path(beside).exists():
            return beside
        if self._by_tail is None:
            self._by_tail = {tail: path for path in reversed(self._paths) for tail in tails(path)}
        return self._by_tail.get(Path(reference).as_posix(), beside)


def _video(item: InputItem, line: ManifestLine | None, hashes: FileHashes, references: _References) -> PoolVideo:
    file, problem = _known(item, hashes)
    reference = references.path(line.reference) if line is not None and line.reference else None
    source, source_problem = (None, None) if reference is None else _known(InputItem(path=reference), hashes)
    said = ManifestLine(number=0, name=Path(item.path).name or item.path) if line is None else line
    # Without content the path has to do, or what cannot be read would be in no table.
    digest = hashlib.sha256(os.fsencode(item.path)).hexdigest() if file is None else file.sha256
    row = VideoRow(
        clip_id=digest[:ID_DIGITS],
        path=item.path,
        name=said.name,
        sha256="" if file is None else file.sha256,
        source=said.source,
        license=said.license,
        reference=reference,
        primary=said.primary,
        kind=said.kind,
        level=said.level,
        mos=said.mos,
    )
    return PoolVideo(row=row, file=file, problem=problem, reference=source, reference_problem=source_problem)


def _known(item: InputItem, hashes: FileHashes) -> tuple[KnownFile | None, str | None]:
    if item.error is not None:
        return None, item.error.without_path
    try:
        return hashes.of(item.path), None
    except MissingInputError as error:
        return None, error.without_path


def _hashed(path: str) -> KnownFile:
    """Read a file; in a process of its own if there are several."""
    size, mtime_ns = _stamp(path)  # before reading: what changes meanwhile is read again next time
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    return KnownFile(path=path, size=size, mtime_ns=mtime_ns, sha256=digest)


def _key(path: str) -> str:
    return os.path.normpath(Path(path).absolute())


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return status.st_size, status.st_mtime_ns


def _unreadable(path: str, error: OSError | ValueError) -> W2SVQAError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return MissingInputError(f"cannot be read: {reason}", path=path, remedy="check path and permissions")
