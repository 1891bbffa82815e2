from __future__ import annotations

import os
import pickle
import shutil
import socket
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from w2svqa.core.errors import InputError, MediaError, MissingInputError, RefusedMediaError
from w2svqa.core.records import ClipSpec
from w2svqa.video.decode import open_clip
from w2svqa.video.encode import write_lossless, write_video

Picture = NDArray[np.uint8]


def noise(count: int, height: int = 96, width: int = 128) -> list[Picture]:
    random = np.random.default_rng(7)
    base = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [np.roll(base, index, axis=1) for index in range(count)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "good.mp4"
    options = {"preset": "ultrafast", "g": "10"}
    write_video(path, noise(50), fps=10, options=options)
    return path


def refusal(path: str | Path, kind: type[InputError]) -> str:
    with pytest.raises(kind) as caught:
        list(open_clip(path).chunks())
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(")"), "there is a remedy"
    assert str(pickle.loads(pickle.dumps(caught.value))) == message
    return message


def test_missing_and_unusable_paths(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "none.mp4", MissingInputError)
    assert "zero byte" in refusal(f"{tmp_path}/a\0b.mp4", MissingInputError)
    assert "too long" in refusal(tmp_path / ("x" * 300), MissingInputError)
    assert "folder" in refusal(tmp_path, MediaError)
    (tmp_path / "file").write_bytes(b"x")
    assert "there is no such file" in refusal(tmp_path / "file" / "below.mp4", MissingInputError)


def test_symbolic_links(tmp_path: Path, video: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert "circle" in refusal(tmp_path / "one", MissingInputError)
    (tmp_path / "good").symlink_to(video)
    assert len(list(open_clip(tmp_path / "good").chunks())) == 5


def test_no_permission(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.mp4"
    shutil.copy(video, path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything
        real = os.open

        def denied(name: str, *rest: int) -> int:
            if name == str(path):
                raise PermissionError(13, "Permission denied", name)
            return real(name, *rest)

        monkeypatch.setattr(os, "open", denied)
    assert "no permission" in refusal(path, MissingInputError)


def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    assert "pipe" in refusal(pipe, MediaError)
    assert "device" in refusal(os.devnull, MediaError)


@pytest.mark.parametrize("content", [b"", b"x", b"just some text, no video\n" * 40, bytes(2000)])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    assert ("empty" if content == b"" else "no video") in refusal(path, MediaError)


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video_even_with_a_cover(tmp_path: Path, cover: bool) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=44100)
        if cover:
            image = tmp_path / "cover.png"
            write_video(image, [np.full((16, 16, 3), 90, np.uint8)], fps=1, codec="png", pixel_format="rgb24")
            with av.open(str(image)) as picture:
                template = container.add_stream_from_template(picture.streams.video[0])
                template.disposition = av.stream.Disposition.attached_pic
                packets = [packet for packet in picture.demux() if packet.size]
                for packet in packets:
                    packet.stream = template
                    container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), format="fltp", layout="stereo")
        silence.sample_rate, silence.pts = 44100, 0
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    assert "only audio" in refusal(path, MediaError)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "hls behind a mark": "\ufeff#EXTM3U\n#EXTINF:10,\n{target}\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "bare concat": "# a list\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?>\n<MPD><BaseURL>{target}</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nu={target}\nm=video 5004 RTP/AVP 96\n",
    "link": "{target}",
    "pls": "[playlist]\nFile1={target}\n",
}


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt"])
@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_refused_and_nothing_is_fetched(tmp_path: Path, name: str, suffix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        path = tmp_path / f"list{suffix}"
        address = f"http://127.0.0.1:{server.getsockname()[1]}/clip.ts"
        path.write_text(PLAYLISTS[name].format(target=address), encoding="utf-8")
        refusal(path, RefusedMediaError)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_playlist_does_not_open_a_local_file(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:5,\n{video}\n#EXT-X-ENDLIST\n")
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    refusal(path, RefusedMediaError)
    watching = False
    assert str(path) in opened
    assert str(video) not in opened


NAMES = [
    "with space.mp4",
    'quote\'s "two".mp4',
    "new\nline.mp4",
    "a:b.mp4",
    "http:x.mp4",
    "concat:one|two.mp4",
    "-x.mp4",
    "img%03d.mp4",
    "stern ★.mp4",
    os.fsdecode(b"bytes-\xff\xfe.mp4"),
    "no suffix",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shutil.copy(video, tmp_path / name)
    assert len(list(open_clip(tmp_path / name).chunks())) == 5
    monkeypatch.chdir(tmp_path)
    assert len(list(open_clip(name).chunks())) == 5


def test_a_pattern_in_a_name_is_no_pattern(tmp_path: Path) -> None:
    for name in ("img001.png", "img002.png"):
        write_video(tmp_path / name, [np.zeros((16, 16, 3), np.uint8)], fps=1, codec="png", pixel_format="rgb24")
    refusal(tmp_path / "img%03d.png", MissingInputError)


def test_truncated_matroska_is_partial(tmp_path: Path) -> None:
    path = tmp_path / "whole.mkv"
    write_video(path, noise(50), fps=10, options={"preset": "ultrafast", "g": "10"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.65)])
    clip = open_clip(cut, ClipSpec(motion_size=(8, 8)))
    chunks = list(clip.chunks())
    assert 2 <= len(chunks) <= 4
    assert clip.problem is not None
    assert clip.problem.startswith("ended early: ")
    assert "of 5.0 s decoded" in clip.problem
    whole = list(open_clip(path, ClipSpec(motion_size=(8, 8))).chunks())
    assert (chunks[0].key_frame == whole[0].key_frame).all()


def test_truncated_mp4_with_index_in_front_is_partial(tmp_path: Path) -> None:
    path = tmp_path / "front.mp4"
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index, picture in enumerate(noise(50)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.5)])
    clip = open_clip(path)
    assert 1 <= len(list(clip.chunks())) <= 3
    assert clip.problem is not None


def test_truncated_mp4_without_index_says_so(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert "moov" in refusal(path, MediaError)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_damage_is_named_and_always_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    write_video(path, noise(50), fps=10, options={"preset": "ultrafast", "g": "10"})
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 3000] = np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    results = []
    for threads in (None, 1, 2, None):
        clip = open_clip(path, ClipSpec(motion_size=(8, 8)), threads=threads)
        results.append([chunk.key_frame.tobytes() + chunk.motion.tobytes() for chunk in clip.chunks()])
        assert clip.problem is not None
        assert "\n" not in clip.problem
    assert 4 <= len(results[0]) <= 5
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_tiny_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "tiny.mkv"
    write_lossless(path, [np.full((*size, 3), 40, np.uint8)] * 3, fps=3)
    (chunk,) = open_clip(path, ClipSpec(motion_size=(16, 16))).chunks()
    assert chunk.key_frame.shape == (*size, 3)
    assert (chunk.key_frame == 40).all()
    assert chunk.motion.shape == (3, 16, 16)
