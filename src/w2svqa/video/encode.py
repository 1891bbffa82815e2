"""Writing videos: from RGB frames, or straight from another file. Whole files only: a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from w2svqa.core.errors import MediaError, StoreError, StrPath, UnwritableError
from w2svqa.video.colour import HD_LINES, matrix_of, range_of
from w2svqa.video.facts import frame_rate
from w2svqa.video.orient import display_matrix
from w2svqa.video.reader import FrameReader
from w2svqa.video.sample import DEFAULT_RATE, TOLERANCE, Timeline
from w2svqa.video.sink import Sink

_FULL_CHROMA = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
# With more, swscale sometimes leaves rows of very small pictures unset.
_SWSCALE_THREADS = 1
_MATRIX_709 = 1
_MATRIX_601 = 6
_TIME_BASE = Fraction(1, 90_000)
_LONGEST_DELAY = 90_000 * 86_400  # ticks; an encoder that reorders decodes a frame a little before it is shown
_FFV1 = ("ffv1", "bgr0", {"level": "3"})
# one thread: the bytes must not depend on the number of cores
_H264_RGB = ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast", "threads": "1"})
_VP9_RGB = ("libvpx-vp9", "gbrp", {"lossless": "1", "cpu-used": "5", "row-mt": "0", "threads": "1"})
_LOSSLESS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mkv": _FFV1,
    ".avi": _FFV1,
    ".mp4": _H264_RGB,
    ".m4v": _H264_RGB,
    ".mov": _H264_RGB,
    ".webm": _VP9_RGB,
}

LOSSLESS_SUFFIXES = tuple(_LOSSLESS)
"""Suffixes of the containers that :func:`write_lossless` knows a coding for."""


def write_video(
    path: StrPath,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: Fraction | int,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
) -> None:
    """Encode RGB frames to ``path``, whose suffix (``.mp4``, ``.mkv``, ``.webm``, ...) names the container.

    YUV is written in limited range, by BT.709 from 720 lines on and BT.601 below, and tagged so. A format with
    subsampled chroma needs even sizes: an odd last column or row is repeated once, so the video is one pixel larger.
    The file appears under its name only when it is complete.

    Args:
        path: where to write; an existing file is replaced.
        frames: uint8 ``(height, width, 3)``, RGB 0-255, all of one size; at least one.
        fps: frames per second, constant.
        codec: FFmpeg's name of an encoder.
        pixel_format: FFmpeg's name of the format to encode in.
        options: the encoder's own options, such as ``{"crf": "18"}``. Add ``{"threads": "1"}`` where the bytes must not
            depend on the number of cores.

    Raises:
        ValueError: no frames, or a frame of another shape, size or type than the first.
        StoreError: the file cannot be written (disk full, no permission, unknown codec, container or pixel format).
    """
    with VideoWriter(path) as writer:
        size: tuple[int, int] | None = None
        for index, picture in enumerate(frames):
            if size is None:
                size = _picture_size(picture)
                writer.add_stream(codec, pixel_format, size, Fraction(fps), options)
            elif _picture_size(picture) != size:
                raise ValueError(f"frame {index} is {picture.shape[1]} x {picture.shape[0]}, not {size[0]} x {size[1]}")
            writer.write(_encodable(picture, writer.stream), index, 1 / Fraction(fps), 1)
        if size is None:
            raise ValueError("there are no frames to write")


def write_lossless(path: StrPath, frames: Iterable[NDArray[np.uint8]], *, fps: Fraction | int) -> None:
    """Write RGB frames so that they come back bit for bit, in the coding that the container of ``path`` holds.

    That is FFV1 in ``.mkv`` and ``.avi``, H.264 (High 4:4:4 Predictive) in ``.mp4``, ``.m4v`` and ``.mov``, VP9
    (profile 1) in ``.webm``, all in RGB; players that open the container need not know these forms of the codecs.

    Raises:
        ValueError: as :func:`write_video`.
        StoreError: as :func:`write_video`, or ``path`` has a suffix that is not in :data:`LOSSLESS_SUFFIXES`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _LOSSLESS:
        raise StoreError(
            f"no lossless coding is known for the suffix {suffix!r}",
            path=path,
            remedy=f"choose one of {', '.join(LOSSLESS_SUFFIXES)}",
        )
    codec, pixel_format, options = _LOSSLESS[suffix]
    write_video(path, frames, fps=fps, codec=codec, pixel_format=pixel_format, options=options)


def transcode(
    source: StrPath,
    target: StrPath,
    *,
    codec: str,
    options: Mapping[str, str],
    max_seconds: float | None = None,
    start: float = 0.0,
    pixel_format: str | None = None,
    least_side: int = 1,
) -> None:
    """Decode ``source`` and encode it anew without going through RGB, keeping time stamps, tags and orientation.

    The stored picture is kept (size, pixel aspect, display matrix), and so is its pixel format where the encoder has
    it; else it becomes ``yuv420p``, from RGB as :func:`write_video` does it, with odd sides stretched by one pixel.
    Sound is left out, and so is what cannot be decoded.

    Args:
        source: a local video.
        target: where to write; its suffix names the container; an existing file is replaced.
        codec: FFmpeg's name of an encoder.
        options: the encoder's own options, such as ``{"crf": "40"}``.
        max_seconds: how much to take, counted from ``start``; ``None`` for all.
        start: seconds from the first frame shown.
        pixel_format: FFmpeg's name of the format to encode in; ``None`` to keep the source's where possible.
        least_side: pixels that the encoder needs on each side of the stored picture.

    Raises:
        InputError: ``source`` cannot be read, has no frame from ``start`` on, or is smaller than ``least_side``.
        StoreError: ``target`` cannot be written.
    """
    reader = FrameReader(source)
    try:
        timeline = Timeline(1 / (frame_rate(reader.source.stream) or DEFAULT_RATE))
        last = -1
        with VideoWriter(target) as writer:
            for frame in reader.frames():
                stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
                seconds = timeline.place(stamp) - start
                if max_seconds is not None and seconds >= max_seconds - TOLERANCE:
                    break
                if seconds < -TOLERANCE:
                    continue
                if not writer.has_stream:
                    _check_size(source, frame, codec, least_side)
                    chosen = pixel_format or _kept_format(frame, codec)
                    _add_similar_stream(writer, reader.source.stream, frame, codec, options, chosen)
                # where time stamps run backwards (AVI with B-frames), repaired times may round to one tick
                last = max(last + 1, round(max(0.0, seconds) / _TIME_BASE))
                writer.write(_recoded(frame, writer.stream), last, _TIME_BASE, _duration(frame, timeline))
            if not writer.has_stream:
                raise MediaError(
                    f"no frame from second {start:g} on can be decoded", path=source, remedy="start earlier"
                )
    finally:
        reader.close()


class VideoWriter:
    """An output file with one video stream, written beside its place and moved there when complete.

    As a context manager: leaving it normally completes the file, leaving it by an error removes what was written.

    Args:
        path: where to write; its suffix names the container.

    Raises:
        StoreError: from every method, if the file cannot be written.
    """

    def __init__(self, path: StrPath) -> None:
        self._path = Path(path)
        self._temporary = self._path.parent / f".w2svqa-{secrets.token_hex(8)}{self._path.suffix}"
        self._stream: VideoStream | None = None
        self._durations: dict[int, int] = {}
        with self._translated():
            # FFmpeg gets the open file, never the name: a name may look like an address or a pattern.
            self._file = Sink(self._temporary)
        try:
            with self._translated():
                # bitexact: no random number of the segment, the same frames give the same file
                options = {"strict": "experimental", "fflags": "+bitexact"}
                self._container = av.open(self._file, "w", options=options)
        except StoreError:
            self._discard()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            with self._translated():
                if self._stream is not None:
                    self._mux(self._stream.encode(None))
                self._container.close()
                self._file.close()
                if self._file.error is not None:
                    raise self._file.error
                self._temporary.replace(self._path)
        except BaseException:
            self._discard()
            raise

    @property
    def has_stream(self) -> bool:
        """Whether :meth:`add_stream` was called."""
        return self._stream is not None

    @property
    def stream(self) -> VideoStream:
        """The stream that frames go to; :meth:`add_stream` comes first."""
        if self._stream is None:
            raise RuntimeError("add_stream comes first")
        return self._stream

    def add_stream(
        self,
        codec: str,
        pixel_format: str,
        size: tuple[int, int],
        fps: Fraction,
        options: Mapping[str, str] | None,
    ) -> VideoStream:
        """Set up the encoder for pictures of ``size`` (width, height), which grows to what ``pixel_format`` needs."""
        with self._translated():
            stream = self._container.add_stream(codec, rate=fps, options=dict(options or {}))
            if not isinstance(stream, VideoStream):
                raise ValueError(f"{codec!r} is no video codec")
            layout = av.VideoFormat(pixel_format, 8, 8)
            step_x, step_y = 8 // layout.chroma_width(8), 8 // layout.chroma_height(8)
            stream.width, stream.height = -(-size[0] // step_x) * step_x, -(-size[1] // step_y) * step_y
            stream.pix_fmt = pixel_format
            # With PyAV's default, slices, a picture is cut up for threads, which costs quality and is not what is met.
            stream.codec_context.thread_type = "FRAME"
            if not layout.is_rgb:
                _tag_colours(stream, ColorRange.MPEG, _MATRIX_709 if size[1] >= HD_LINES else _MATRIX_601)
            self._stream = stream
        return stream

    def write(self, frame: VideoFrame, pts: int, time_base: Fraction, duration: int) -> None:
        """Encode a frame of the stream's size and format, shown from ``pts`` for ``duration`` (in ``time_base``)."""
        frame.pts, frame.time_base = pts, time_base
        frame.pict_type = PictureType.NONE
        self._durations[pts] = duration
        with self._translated():
            self._mux(self.stream.encode(frame))

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            # Encoders that reorder forget it, and then muxers guess how long the last frame lasts.
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration)
            if packet.pts is not None and not packet.pts - _LONGEST_DELAY <= (packet.dts or 0) <= packet.pts:
                # x265 leaves it unset for videos of one or two frames, which keep their order
                packet.dts = packet.pts
            self._container.mux(packet)

    def _discard(self) -> None:
        container = getattr(self, "_container", None)
        if container is not None:
            # Completing a file that is thrown away may fail for the reason that it is thrown away.
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                container.close()
        with contextlib.suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, UnknownCodecError, OSError, ValueError, TypeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            # what an encoder refuses is about this video; what the system refuses is about the place
            is_of_system = isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError)
            raise (UnwritableError if is_of_system else StoreError)(
                f"cannot be written: {reason}",
                path=self._path,
                remedy="check the folder, the free space, the suffix and the codec",
            ) from None


def _tag_colours(stream: VideoStream, colour_range: int, matrix: int) -> None:
    context = stream.codec_context
    context.color_range, context.colorspace = colour_range, matrix
    # In ITU-T H.273 these two have the same numbers for primaries, transfer and matrix.
    context.color_primaries = context.color_trc = matrix


def _picture_size(picture: NDArray[np.uint8]) -> tuple[int, int]:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"a frame must be uint8 (height, width, 3), not {picture.dtype} {picture.shape}")
    return picture.shape[1], picture.shape[0]


def _encodable(picture: NDArray[np.uint8], stream: VideoStream) -> VideoFrame:
    extra = ((0, stream.height - picture.shape[0]), (0, stream.width - picture.shape[1]), (0, 0))
    padded = np.pad(picture, extra, mode="edge") if any(pair[1] for pair in extra) else np.ascontiguousarray(picture)
    frame = VideoFrame.from_ndarray(padded, format="rgb24")
    if stream.codec_context.format is None or stream.codec_context.format.is_rgb:
        return frame.reformat(format=stream.pix_fmt, threads=_SWSCALE_THREADS)
    return frame.reformat(
        format=stream.pix_fmt,
        dst_colorspace=_matrix_by_height(picture.shape[0]),
        dst_color_range=ColorRange.MPEG,
        interpolation=_FULL_CHROMA,
        threads=_SWSCALE_THREADS,
    )


def _check_size(source: StrPath, frame: VideoFrame, codec: str, least_side: int) -> None:
    if min(frame.width, frame.height) < least_side:
        raise MediaError(
            f"the picture has {frame.width} x {frame.height} pixels, too small for {codec}",
            path=source,
            remedy=f"take a video of at least {least_side} x {least_side} pixels, or another codec",
        )


def _kept_format(frame: VideoFrame, codec: str) -> str:
    try:
        known = [layout.name for layout in av.Codec(codec, "w").video_formats or []]
    except UnknownCodecError:
        known = []
    return frame.format.name if frame.format.name in known else "yuv420p"


def _add_similar_stream(
    writer: VideoWriter,
    source: VideoStream,
    frame: VideoFrame,
    codec: str,
    options: Mapping[str, str],
    pixel_format: str,
) -> None:
    rate = Fraction(frame_rate(source) or DEFAULT_RATE).limit_denominator(1001)
    stream = writer.add_stream(codec, pixel_format, (frame.width, frame.height), rate, options)
    context = stream.codec_context
    context.time_base = _TIME_BASE
    if frame.format.is_rgb == av.VideoFormat(pixel_format).is_rgb:
        context.color_range, context.colorspace = range_of(frame), int(frame.colorspace)
        context.color_primaries, context.color_trc = int(frame.color_primaries), int(frame.color_trc)
    if source.sample_aspect_ratio:
        context.sample_aspect_ratio = source.sample_aspect_ratio
    matrix = display_matrix(frame)
    if matrix is not None:
        stream.set_display_matrix(matrix)


def _duration(frame: VideoFrame, timeline: Timeline) -> int:
    seconds = float((frame.duration or 0) * (frame.time_base or 0))
    return max(1, round((seconds or timeline.frame_duration) / _TIME_BASE))


def _recoded(frame: VideoFrame, stream: VideoStream) -> VideoFrame:
    if (frame.width, frame.height, frame.format.name) == (stream.width, stream.height, stream.pix_fmt):
        return frame
    if frame.format.is_rgb:
        matrix, target_range = _matrix_by_height(stream.height), ColorRange.MPEG
    else:
        matrix, target_range = matrix_of(frame), range_of(frame)
    return frame.reformat(
        width=stream.width,
        height=stream.height,
        format=stream.pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_of(frame),
        dst_color_range=target_range,
        interpolation=_FULL_CHROMA,
        threads=_SWSCALE_THREADS,
    )


def _matrix_by_height(height: int) -> Colorspace:
    return Colorspace.ITU709 if height >= HD_LINES else Colorspace.ITU601
