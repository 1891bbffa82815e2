"""FFmpeg as a program of its own: the one of imageio-ffmpeg, which has filters that PyAV's libraries lack."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from typing import IO

from w2svqa.core.errors import UnwritableError, W2SVQAError
from w2svqa.core.extras import require

_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")
_CLOSING_SECONDS = 300.0  # to work off what is still buffered once everything is written: at most a few frames
_SHOWN_CHARACTERS = 300
_OTHER_VERSION = "try another version of imageio-ffmpeg"
_OTHER_BINARY = "install an FFmpeg with it and name its path in IMAGEIO_FFMPEG_EXE"


def ffmpeg_with_filter(name: str) -> str:
    """Return the path of imageio-ffmpeg's FFmpeg, which has the filter ``name``.

    Raises:
        MissingExtraError: imageio-ffmpeg is not installed.
        W2SVQAError: it brings no FFmpeg that runs here, or one without that filter.
    """
    package = require("imageio_ffmpeg", extra="train")
    try:
        executable = str(package.get_ffmpeg_exe())
    except RuntimeError:
        raise W2SVQAError(
            f"imageio-ffmpeg has no FFmpeg for this machine, {name} needs one", remedy=_OTHER_BINARY
        ) from None
    if name not in _filters(executable):
        raise W2SVQAError(f"this FFmpeg has no filter {name!r}", path=executable, remedy=_OTHER_BINARY)
    return executable


@cache
def _filters(executable: str) -> frozenset[str]:
    """Return the names of the filters of an FFmpeg; it says `` flags name ports description`` per line."""
    try:
        done = subprocess.run(
            [executable, "-hide_banner", "-filters"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise W2SVQAError(f"FFmpeg does not run: {error}", path=executable, remedy=_OTHER_BINARY) from None
    lines = (line.split() for line in done.stdout.decode("utf-8", "replace").splitlines())
    return frozenset(words[1] for words in lines if len(words) > 2)


def pipe_to_ffmpeg(executable: str, arguments: list[str], parts: Iterable[bytes], folder: str) -> None:
    """Run FFmpeg in ``folder`` with ``parts`` as its standard input; nothing appears on the terminal.

    Args:
        executable: its path.
        arguments: after the general ones; input ``pipe:0`` stands for the parts.
        parts: written one after the other.
        folder: the working folder, where relative names lie.

    Raises:
        UnwritableError: the disk it writes to is full.
        W2SVQAError: it could not be started or failed; the message holds its last words.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                [executable, *_QUIET, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd=folder,
            )
        except OSError as error:
            raise W2SVQAError(
                f"FFmpeg does not start: {error.strerror}", path=executable, remedy=_OTHER_BINARY
            ) from None
        try:
            _feed(process, parts)
            code = process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            raise W2SVQAError(
                f"FFmpeg hangs, ended after {_CLOSING_SECONDS:.0f} s", path=executable, remedy=_OTHER_VERSION
            ) from None
        finally:
            _end(process)
        if code != 0:
            raise _failure(executable, code, complaints)


def _feed(process: subprocess.Popen[bytes], parts: Iterable[bytes]) -> None:
    if process.stdin is None:  # never so: it was asked for
        return
    try:
        for part in parts:
            process.stdin.write(part)
        process.stdin.close()
    except BrokenPipeError:
        # It ended early: its exit status and last words say why.
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process and no open pipe behind, whatever happened."""
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin is not None and not process.stdin.closed:
        try:
            process.stdin.close()
        except BrokenPipeError:
            return  # what was still buffered has no reader


def _failure(executable: str, code: int, complaints: IO[bytes]) -> W2SVQAError:
    complaints.seek(0)
    words = " ".join(complaints.read().decode("utf-8", "replace").split())[-_SHOWN_CHARACTERS:]
    if os.strerror(errno.ENOSPC) in words:
        return UnwritableError(f"FFmpeg has no room: {words}", remedy="free space for temporary files, or set TMPDIR")
    how = f"was ended by signal {-code}" if code < 0 else f"failed with status {code}"
    return W2SVQAError(f"FFmpeg {how}: {words or 'it says nothing'}", path=executable, remedy=_OTHER_VERSION)
