"""Opening a local file for FFmpeg, and nothing else: no network, no other file, no device.

FFmpeg never sees a path. The file is opened here, checked to be a regular file, and handed over as an open file object
without a name; only demuxers of an allowlist are tried, and any attempt of theirs to open something else is refused.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from w2svqa.core.errors import MediaError, MissingInputError, RefusedMediaError, StrPath
from w2svqa.video.formats import ALLOWED_DEMUXERS, SNIFFED_BYTES, refused_format
from w2svqa.video.orient import Orientation
from w2svqa.video.stills import HEAD_BYTES, JPEG_START, jpeg_is_complete, jpeg_orientation

_BUFFER_BYTES = 1 << 16
# Beyond it, what begins like a JPEG is a video made of them, and too large to be read at once.
_LARGEST_JPEG = 1 << 26
_REMEDY_MISSING = "check the path"
_REMEDY_MEDIA = "give a video or image that a player can open"


class _OpenedElsewhereError(OSError):
    """A demuxer wanted to open another file or address."""


def _refuse_open(url: str, flags: int, options: object) -> None:  # noqa: ARG001 - the signature is PyAV's
    raise _OpenedElsewhereError(errno.EACCES, "refused to open another file", url)


@dataclass(slots=True)
class Source:
    """An open file with its chosen video stream; a context manager that closes both.

    Attributes:
        path: the file.
        container: the demuxer.
        stream: the first video stream that is no cover picture.
        orientation: how to turn the picture where the file says so itself (EXIF); ``None`` to believe FFmpeg.
        cut_off: it is a JPEG without an end.
        file: what the demuxer reads; leave its position as it was.
    """

    path: str
    container: InputContainer
    stream: VideoStream
    orientation: Orientation | None
    cut_off: bool
    file: io.FileIO

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the demuxer and the file."""
        self.container.close()
        self.file.close()


def open_source(path: StrPath) -> Source:
    """Open a local file and find its video stream.

    Args:
        path: any local regular file, whatever its name. Names are never read as patterns, addresses or options.

    Raises:
        MissingInputError: nothing is there, or it may not be read.
        RefusedMediaError: it is a playlist or another format that points elsewhere.
        MediaError: it is no regular file, is empty, or holds no video that can be decoded.
    """
    text = os.fspath(path)
    file = _open_regular(text)
    try:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        container = _open_container(text, head, file)
        try:
            stream = _video_stream(text, container)
            return Source(text, container, stream, jpeg_orientation(head), _is_cut_off(text, head), file)
        except BaseException:
            container.close()
            raise
    except BaseException:
        file.close()
        raise


def _is_cut_off(path: str, head: bytes) -> bool:
    """Tell whether a JPEG has no end; FFmpeg fills in what is missing without a word."""
    if not head.startswith(JPEG_START) or Path(path).stat().st_size > _LARGEST_JPEG:
        return False
    return not jpeg_is_complete(Path(path).read_bytes())


def _open_regular(path: str) -> io.FileIO:
    try:
        _check_kind(path, os.stat(path))  # noqa: PTH116 - Path() would lose a trailing slash
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise _missing(path, error) from None
    except ValueError:
        raise MissingInputError("the path holds a zero byte", path=path, remedy=_REMEDY_MISSING) from None
    file = io.FileIO(descriptor, "r")
    try:
        # Once more on the open file: the name may mean something else by now.
        _check_kind(path, os.fstat(descriptor))
    except BaseException:
        file.close()
        raise
    return file


def _missing(path: str, error: OSError) -> MissingInputError:
    problems = {
        errno.ENOENT: ("there is no such file", _REMEDY_MISSING),
        errno.ENOTDIR: ("there is no such file", _REMEDY_MISSING),
        errno.ENAMETOOLONG: ("the name is too long", _REMEDY_MISSING),
        errno.EACCES: ("no permission to read it", "change the permissions or run as another user"),
        errno.EPERM: ("no permission to read it", "change the permissions or run as another user"),
        errno.ELOOP: ("the symbolic links lead round in a circle", "remove the link"),
    }
    problem, remedy = problems.get(error.errno or 0, (f"cannot be read: {error.strerror}", _REMEDY_MISSING))
    return MissingInputError(problem, path=path, remedy=remedy)


def _check_kind(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MediaError("this is a folder, not a file", path=path, remedy="give the files in it")
    if not stat.S_ISREG(status.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(status.st_mode) else "a device or socket"
        raise MediaError(f"this is {kind}, not a regular file", path=path, remedy="save the video to a file first")
    if status.st_size == 0:
        raise MediaError("the file is empty (0 bytes)", path=path, remedy="copy or record it again")


def _open_container(path: str, head: bytes, file: io.FileIO) -> InputContainer:
    refused = refused_format(head[:SNIFFED_BYTES])
    if refused is not None:
        raise RefusedMediaError(
            f"this is {refused}, which points to other files or to the network",
            path=path,
            remedy="save what it points to as a local video file and give that",
        )
    options = {"format_whitelist": ",".join(ALLOWED_DEMUXERS), "protocol_whitelist": "none"}
    try:
        return av.open(
            file,
            mode="r",
            container_options=options,
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
            io_open=_refuse_open,
        )
    except _OpenedElsewhereError as error:
        raise RefusedMediaError(
            f"it wants to open {error.filename!r}", path=path, remedy="give a file that holds its own video"
        ) from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, head, error) from None


def _unreadable(path: str, head: bytes, error: Exception) -> MediaError:
    reason = getattr(error, "strerror", None) or str(error)
    if head[4:8] in (b"ftyp", b"mdat", b"free", b"wide", b"skip"):
        return MediaError(
            "the MP4/MOV index (moov) is missing: the file was cut off or never finished",
            path=path,
            remedy="copy or record it again",
        )
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError | ValueError):
        return MediaError("no video or image format that is known", path=path, remedy=_REMEDY_MEDIA)
    return MediaError(f"cannot be opened: {reason}", path=path, remedy=_REMEDY_MEDIA)


def _video_stream(path: str, container: InputContainer) -> VideoStream:
    hidden = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & hidden]
    if not streams:
        what = "only audio" if container.streams.audio else "no video"
        raise MediaError(f"there is {what} in it", path=path, remedy=_REMEDY_MEDIA)
    for stream in streams:
        # PyAV types this as always there; it is None for a codec that FFmpeg has no decoder for.
        if getattr(stream, "codec_context", None) is not None:
            return stream
    raise MediaError("there is no decoder for its video", path=path, remedy="convert it to H.264 first")
