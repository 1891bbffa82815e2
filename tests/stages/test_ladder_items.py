"""Frozen manifests, and the items made from them: complete, resumable, failures named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ladder_fakes import BrightnessTeacher, write_clip, write_manifest

from w2svqa.core.errors import ConfigError, InputError, StoreError
from w2svqa.core.protocols import Teacher
from w2svqa.distort import SIMULATORS
from w2svqa.distort.simulators import Frame
from w2svqa.stages import ladder_items
from w2svqa.stages.ladder_items import LadderConfig, build_items, load_items
from w2svqa.stages.ladder_manifest import LadderClip, check_files, check_unseen, read_clips
from w2svqa.stages.versions import Version

CONFIG = LadderConfig(kinds=("blur", "darkening"), seconds=3, vmaf_frames=0)
TEACHERS = {"darkness": None}


@pytest.fixture(autouse=True)
def teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_name: str, _parameters: Path | None) -> Teacher:
        return BrightnessTeacher()

    monkeypatch.setattr(ladder_items, "_teacher", load)


@pytest.fixture
def clips(tmp_path: Path) -> tuple[LadderClip, ...]:
    media = tmp_path / "media"
    media.mkdir()
    return tuple(write_clip(media / f"clip{seed}.mkv", seed=seed, primary=seed == 0) for seed in (0, 1))


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    write_manifest(tmp_path / "some.csv", clips)
    assert read_clips(tmp_path / "some.csv") == clips


@pytest.mark.parametrize("text", ["name,clip_id\na.mp4,12\n", "", "\0"])
def test_other_files_are_no_manifests(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.csv"
    path.write_text(text or "name,sha256\nx", encoding="utf-8")
    if text == "\0":
        path.unlink()
    with pytest.raises(InputError, match=r"some\.csv.*no manifest"):
        read_clips(path)


def test_changed_and_missing_files_are_named(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    check_files(clips, tmp_path / "media")
    (tmp_path / "media" / "clip0.mkv").write_bytes(b"another")
    (tmp_path / "media" / "clip1.mkv").unlink()
    with pytest.raises(InputError, match=r"2 files are missing or differ.*clip0\.mkv, clip1\.mkv"):
        check_files(clips, tmp_path / "media")


def test_a_student_is_not_measured_on_what_it_was_made_from(clips: tuple[LadderClip, ...]) -> None:
    def card(digest: str, source: str) -> dict[str, object]:
        return {"data": {"clips": [{"sha256_16": digest, "source": source}]}}

    check_unseen(card("0" * 16, "another/source"), clips)
    with pytest.raises(ConfigError, match=r"clip1\.mkv"):
        check_unseen(card(clips[1].clip_id, "another/source"), clips)
    with pytest.raises(ConfigError, match=r"2 of these clips.*clip0\.mkv, clip1\.mkv"):
        check_unseen(card("0" * 16, clips[0].source), clips)
    with pytest.raises(ConfigError, match="does not list"):
        check_unseen({"data": {}}, clips)


def test_items_hold_every_version_its_looks_and_scores(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    items = build_items(clips, tmp_path / "cache", media=tmp_path / "media", teachers=TEACHERS, config=CONFIG)
    assert items.problems == ()
    for clip in clips:
        rows = [row for row in items.rows if row.clip_id == clip.clip_id]
        assert rows[0].kind == "none"
        assert {row.kind for row in rows} == {"none", "blur", "darkening"}
        assert all(row.primary == clip.primary and row.vmaf is None and row.seconds == 3 for row in rows)
        brightness = [float(items.looks(row).views[:, -1].mean()) for row in rows if row.kind == "darkening"]
        assert brightness == sorted(brightness, reverse=True)
    # turned so that higher is better
    by_row = [items.scores["darkness"][row.version_id] for row in items.rows if row.kind == "darkening"]
    assert max(by_row) <= 0
    again = load_items(tmp_path / "cache", clips, TEACHERS)
    assert (again.rows, again.scores) == (items.rows, items.scores)


def test_a_rerun_makes_only_what_is_missing(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    media, cache = tmp_path / "media", tmp_path / "cache"
    first = build_items(clips[:1], cache, media=media, teachers=TEACHERS, config=CONFIG)
    (media / clips[0].name).unlink()  # it is not needed again
    made: list[str] = []
    both = build_items(
        clips,
        cache,
        media=media,
        teachers=TEACHERS,
        config=CONFIG,
        progress=lambda *seen: made.append(seen[2]),
    )
    assert made == [clips[1].name]
    assert both.rows[: len(first.rows)] == first.rows
    whole = build_items(clips[1:], tmp_path / "other", media=media, teachers=TEACHERS, config=CONFIG)
    assert both.rows[len(first.rows) :] == whole.rows
    for row in whole.rows:
        np.testing.assert_array_equal(both.looks(row).views, whole.looks(row).views)


def test_another_configuration_needs_another_folder(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    cache = tmp_path / "cache"
    build_items(clips[:0], cache, media=tmp_path, teachers=TEACHERS, config=CONFIG)
    with pytest.raises(StoreError, match="another configuration"):
        build_items(clips[:0], cache, media=tmp_path, teachers=TEACHERS, config=LadderConfig(seconds=2))


def test_a_broken_clip_is_named_and_the_rest_goes_on(tmp_path: Path, clips: tuple[LadderClip, ...]) -> None:
    (tmp_path / "media" / clips[0].name).write_bytes(b"no video")
    items = build_items(clips, tmp_path / "cache", media=tmp_path / "media", teachers=TEACHERS, config=CONFIG)
    assert [name for name, _ in items.problems] == [clips[0].name]
    assert {row.clip_id for row in items.rows} == {clips[1].clip_id}
    assert items.clips == 2


def test_a_kind_that_fails_takes_no_other_with_it(
    tmp_path: Path, clips: tuple[LadderClip, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Frame:
        raise InputError("cannot be blurred")

    monkeypatch.setitem(SIMULATORS, "blur", replace(SIMULATORS["blur"], on_frame=fail))
    items = build_items(clips[:1], tmp_path / "cache", media=tmp_path / "media", teachers={}, config=CONFIG)
    assert items.problems == ((clips[0].name, "blur: cannot be blurred"),)
    assert {row.kind for row in items.rows} == {"none", "darkening"}
    assert sum(row.kind == "none" for row in items.rows) == 1


def test_a_teacher_that_refuses_a_version_loses_that_score_alone(
    tmp_path: Path, clips: tuple[LadderClip, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.zeros((64, 96, 3), np.uint8)
    motion = np.zeros((5, 32, 32), np.uint8)

    def versions(*_seen: object, **_named: object) -> list[Version]:
        light = [np.full_like(frame, 200)]
        return [
            Version(kind="none", level=0, levels=1, key_frames=light, motion=[motion]),
            Version(kind="darkening", level=5, levels=5, key_frames=[frame], motion=[motion]),
        ]

    monkeypatch.setattr(ladder_items, "make_versions", versions)
    items = build_items(clips[:1], tmp_path / "cache", media=tmp_path / "media", teachers=TEACHERS, config=CONFIG)
    assert len(items.rows) == 2
    assert list(items.scores["darkness"]) == [f"{clips[0].clip_id}-none-0"]
    assert items.problems == ((clips[0].name, "darkness on darkening 5: too dark to judge"),)
