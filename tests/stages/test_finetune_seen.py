"""What a student's last layers see of videos: the student's own tokens, kept on disk, each video decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rated_pictures import picture

from w2svqa.core.errors import BundleError, StoreError
from w2svqa.stages.finetune_scale import tokens_of
from w2svqa.stages.finetune_seen import read_model, see_ladders, see_videos
from w2svqa.stages.score import Scorer
from w2svqa.students.bundle import write_card
from w2svqa.video.scene import write_scene


def silent(done: int, total: int, text: str) -> None:
    del done, total, text


def test_tokens_of_the_statistics_are_those_of_the_student_as_it_ships(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_scene(path, width=160, height=96, seconds=2, fps=5)
    seen, failed = see_videos({"c": str(path)}, "compact", tmp_path / "work", progress=silent)
    assert not failed
    assert len(seen["c"]) == 2
    expected = Scorer.load().encode(path)
    np.testing.assert_allclose(tokens_of(read_model("compact"), seen["c"]), expected, atol=2e-3)
    mean = tokens_of(read_model("compact"), seen["c"].mean(axis=0)[None])[0]
    np.testing.assert_allclose(mean, expected.mean(axis=0), atol=2e-3)


def test_a_video_is_decoded_once_and_failures_are_told(tmp_path: Path) -> None:
    path, broken = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(picture(0, 1)).save(path)
    broken.write_bytes(b"no picture")
    first, failed = see_videos({"a": str(path), "b": str(broken)}, "compact", tmp_path / "work", progress=silent)
    assert list(first) == ["a"]
    assert "b.png" in failed["b"]
    path.unlink()
    again, _ = see_videos({"a": str(path)}, "compact", tmp_path / "work", progress=silent)
    assert again["a"].tolist() == first["a"].tolist()
    [kept] = (tmp_path / "work" / "seen").rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:60])
    with pytest.raises(StoreError, match="delete it and run"):
        see_videos({"a": str(path)}, "compact", tmp_path / "work", progress=silent)


def test_ladders_have_the_levels_that_change_something(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture(0, 1)).save(path)
    made, failed = see_ladders(
        {"a": str(path)}, "compact", tmp_path, kinds=("blur", "noise", "jitter"), seed=0, progress=silent
    )
    assert not failed
    ladder = made["a"]
    # blur of 0.1 pixels changes nothing in 8 bits, and a still has no jitter
    assert list(zip(ladder.kinds, ladder.levels, strict=True)) == [
        *(("blur", level) for level in (2, 3, 4, 5)),
        *(("noise", level) for level in (1, 2, 3, 4, 5)),
    ]
    nothing, failed = see_ladders({"a": str(path)}, "compact", tmp_path, kinds=("jitter",), seed=0, progress=silent)
    assert (nothing, failed) == ({}, {})
    path.unlink()
    again, _ = see_ladders(
        {"a": str(path)}, "compact", tmp_path, kinds=("blur", "noise", "jitter"), seed=0, progress=silent
    )
    assert again["a"].seen.tolist() == ladder.seen.tolist()
    _, failed = see_ladders({"a": str(path)}, "compact", tmp_path, kinds=("blur",), seed=0, progress=silent)
    assert "a" in failed  # other kinds are another ladder


def test_only_compact_students_with_weights_can_be_trained_on(tmp_path: Path) -> None:
    write_card(tmp_path, {"student": "other"})
    with pytest.raises(BundleError, match="kind 'other'"):
        read_model(tmp_path)
    write_card(tmp_path, {"student": "compact", "model": {}})
    with pytest.raises(BundleError, match="no weights"):
        read_model(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    for model in ({"widhts": 3}, {"kinds": ["blur"]}):
        write_card(tmp_path, {"student": "compact", "model": model})
        with pytest.raises(BundleError, match="do not fit its card"):
            read_model(tmp_path)
