"""``w2svqa ingest`` from the outside: what it prints, its exit codes, and that it can be killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from running import Run, Start, WriteClip

from w2svqa.core.rows import PoolClipRow
from w2svqa.core.store import read_artifact


def test_a_folder_becomes_a_table(run: Run, write_clip: WriteClip, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    write_clip("pool/a.mkv", (40, 200))
    (tmp_path / "pool" / "b.mkv").write_bytes((tmp_path / "pool" / "a.mkv").read_bytes())
    (tmp_path / "pool" / "bad.mp4").write_text("no video")
    (tmp_path / "m.csv").write_text("clip,license,from\na.mkv,CC0,me\nb.mkv,CC0,\ngone.mkv,CC0,\nbad.mp4,CC0,\n")
    words = ["ingest", "pool", "--output", "out", "--manifest", "m.csv", "--license-allow", "CC0,MIT"]
    words += ["--source-column", "from"]
    done = run(*words, "--no-near-duplicates", "--check", "full")
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()] == [
        ["status", "files"],
        ["ok", "1"],
        ["duplicate", "1"],
        ["unreadable", "1"],
    ]
    assert "pool/bad.mp4: no video or image format that is known" in done.err
    assert "1 lines of the manifest name no file that was offered, such as gone.mkv" in done.err
    assert "1 clips in out/clips, all files in out/files" in done.err
    [clip] = read_artifact(tmp_path / "out" / "clips", PoolClipRow, kind="pool-clips").rows
    assert (clip.name, clip.license, clip.source, clip.codec) == ("a.mkv", "CC0", "me", "ffv1")


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ((), 2, "name files or folders, or a manifest"),
        (("pool", "--split", "long"), 2, "write two numbers, as 5-10"),
        (("pool", "--split", "10-5"), 1, "clips of 10 to 5 s"),
        (("pool", "--check", "none", "--near-duplicates"), 1, "near duplicates cannot be found without a check"),
        (("pool", "--source-column", "from"), 2, "there is no manifest"),
        (("pool", "--license-allow", "CC0"), 1, "no licence is known without a manifest"),
        (("gone", "--check", "none"), 1, "gone: no such file or folder"),
    ],
)
def test_what_does_not_work_is_said(run: Run, words: tuple[str, ...], code: int, problem: str) -> None:
    done = run("ingest", *words, "--output", "out")
    assert done.code == code
    assert problem in done.err
    assert "Traceback" not in done.err


def test_killed_it_goes_on_where_it_stopped(run: Run, start: Start, write_clip: WriteClip, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for level in range(30):
        write_clip(f"pool/{level:02d}.mkv", (level * 8,))
    words = ("ingest", "pool", "--output", "out", "--no-near-duplicates")
    journal = tmp_path / "out" / "checks-sampled.jsonl"
    with start(*words) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            time.sleep(0.01)
        process.kill()
        process.communicate()
    kept = journal.read_bytes()
    done = run(*words)
    assert done.code == 0, done.err
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert len(read_artifact(tmp_path / "out" / "clips", PoolClipRow).rows) == 30
