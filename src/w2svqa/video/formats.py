"""Which file formats are read, and which are refused because they could reach other files or the network."""

from __future__ import annotations

import re

_CONTAINERS = """
    mov matroska avi flv mpegts mpeg mpegvideo m4v h264 hevc vvc obu av1 ivf ogg asf mxf nut yuv4mpegpipe dv rm gxf wtv
    h263 h261 vc1 dirac mjpeg swf flic
"""
_IMAGES = """
    png_pipe jpeg_pipe webp_pipe bmp_pipe tiff_pipe jpegxl_pipe jpegls_pipe j2k_pipe ppm_pipe pgm_pipe pbm_pipe pam_pipe
    sgi_pipe sunrast_pipe qoi_pipe
"""
_ANIMATIONS = "gif apng webp"
# Let in so that the message can say that there is no video in it.
_SOUND = "mp3 wav flac aac ac3 eac3 aiff amr dts caf ape wv au tta w64"

ALLOWED_DEMUXERS = tuple(f"{_CONTAINERS} {_IMAGES} {_ANIMATIONS} {_SOUND}".split())
"""FFmpeg demuxers that read nothing but the file they are given."""

STILL_DEMUXERS = frozenset(_IMAGES.split())
"""Demuxers of single images."""

ANIMATION_DEMUXERS = frozenset(_ANIMATIONS.split())
"""Demuxers of images that may move; with a single frame they are stills."""

STILL_BRANDS = frozenset({"avif", "mif1", "heic", "heix"})
"""Major brands of ISO files (HEIF, AVIF) that hold one image."""

_REFUSED_PATTERNS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("an HLS playlist", re.compile(rb"\s*#EXTM3U", re.IGNORECASE)),
    ("an FFmpeg concat list", re.compile(rb"\s*ffconcat\b", re.IGNORECASE)),
    ("a concat list", re.compile(rb"\s*(?:#[^\n]*\n\s*)*(?:file|stream|directive)\s+['\"\S]", re.IGNORECASE)),
    ("a DASH manifest", re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<MPD\b", re.IGNORECASE | re.DOTALL)),
    (
        "an XML playlist",
        re.compile(
            rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*"
            rb"<(?:\w+:)?(?:SmoothStreamingMedia|smil|playlist|asx|AssetMap|CompositionPlaylist|VAST)\b",
            re.IGNORECASE | re.DOTALL,
        ),
    ),
    ("a session description (SDP)", re.compile(rb"\s*v=0\r?\n", re.IGNORECASE)),
    ("a playlist", re.compile(rb"\s*\[(?:playlist|reference)\]", re.IGNORECASE)),
    ("a QuickTime reference link", re.compile(rb"\s*(?:rtsp|rtp|http|https|rtmp|mms|ftp)(?:text)?://?", re.IGNORECASE)),
    ("a QuickTime reference link", re.compile(rb"\s*RTSPtext", re.IGNORECASE)),
)

SNIFFED_BYTES = 4096
"""How many bytes of the beginning of a file :func:`refused_format` wants to see."""


def refused_format(head: bytes) -> str | None:
    r"""Name the format of a file that points to other files or to the network, or return ``None``.

    Args:
        head: the first :data:`SNIFFED_BYTES` bytes of the file.

    Example:
        >>> refused_format(b"#EXTM3U\n#EXTINF:10,\nhttp://example.org/a.ts\n")
        'an HLS playlist'
    """
    text = head.removeprefix(b"\xef\xbb\xbf")
    for name, pattern in _REFUSED_PATTERNS:
        if pattern.match(text):
            return name
    return None
