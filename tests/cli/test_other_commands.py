from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from running import Run, WriteClip

from w2svqa import __version__
from w2svqa.cli import demo as demo_module
from w2svqa.cli.demo import Rung, order
from w2svqa.core.records import Score
from w2svqa.core.statistics import spearman
from w2svqa.video.frames import read_frames


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.code, done.out) == (0, f"w2svqa {__version__}\n")


def test_help_lists_the_commands_in_flow_order(run: Run) -> None:
    done = run("--help")
    listed = [line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line]
    flow = ["ingest", "curate", "distort", "label", "pair", "train", "mine", "run", "export", "score", "compare"]
    assert listed == [*flow, "evaluate", "teachers", "runs", "doctor", "demo"]


@pytest.mark.parametrize("arguments", [(), ("grade", "a.mp4"), ("compare", "a.mp4"), ("run",)])
def test_wrong_command_line(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "Usage" in done.out + done.err
    assert "Traceback" not in done.err


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; import w2svqa.cli.commands; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "w2svqa.cli.score" in loaded
    assert loaded.isdisjoint({"numpy", "av", "onnxruntime", "matplotlib", "torch", "rich.table", "w2svqa.stages.score"})


def test_compare_says_it_in_a_sentence(run: Run, write_clip: WriteClip) -> None:
    write_clip("dark.mkv", [20])
    write_clip("bright.mkv", [240])
    done = run("compare", "dark.mkv", "bright.mkv")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("bright.mkv is superior to dark.mkv (p = 0.")
    assert all(level in done.out for level in ("inferior", "worse", "similar", "better", "superior"))


def test_compare_json(run: Run, write_clip: WriteClip) -> None:
    write_clip("dark.mkv", [20])
    write_clip("bright.mkv", [240])
    done = run("compare", "--json", "bright.mkv", "dark.mkv")
    row = json.loads(done.out)
    assert list(row)[:5] == ["first", "second", "level", "probabilities", "preference"]
    assert (row["first"], row["second"], row["level"], row["status"]) == ("bright.mkv", "dark.mkv", "inferior", "ok")
    assert sum(row["probabilities"]) == pytest.approx(1)
    assert row["preference"] < 0.5


def test_compare_with_a_missing_file(run: Run, write_clip: WriteClip) -> None:
    write_clip("a.mkv")
    done = run("compare", "--json", "a.mkv", "missing.mkv")
    row = json.loads(done.out)
    assert (done.code, row["status"], row["level"], row["preference"]) == (1, "error", None, None)
    assert done.err.count("\n") == 1
    assert "missing.mkv" in done.err


def test_doctor_finds_scoring_to_work(run: Run) -> None:
    # the self-test runs with the brightness student; the check of the shipped bundle's files has tests of its own
    done = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    assert checks["self-test"]["status"] == "ok"
    assert checks["decoders"]["status"] == "ok"
    assert checks["numpy"]["status"] == "ok"
    assert set(checks["extra plot"]) == {"name", "status", "detail", "remedy"}


def test_doctor_fails_with_a_damaged_student(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    done = run("doctor", "--student", "bundle")
    assert done.code == 1
    assert "failed" in done.out
    assert "card.json" in done.out


def test_run_with_a_missing_configuration(run: Run) -> None:
    done = run("run", "missing.yaml")
    assert (done.code, done.out) == (1, "")
    assert "missing.yaml" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_run_with_a_missing_data_folder(run: Run) -> None:
    done = run("run", "missing.yaml", "--data", "nowhere")
    assert done.code == 2
    assert "nowhere" in done.err


def rung(kind: str, level: int) -> Rung:
    return Rung(kind=kind, level=level, parameter="", path=Path(f"{kind}-{level}.mkv"))


def test_order_is_per_distortion_and_counts_the_clean_scene() -> None:
    rungs = [rung("clean", 0), rung("blur", 1), rung("blur", 2), rung("noise", 1), rung("noise", 2)]
    raw = [90.0, 70.0, 50.0, 95.0, 99.0]
    scores = [Score(path="", status="ok", value=min(value, 92.0), raw=value) for value in raw]
    assert order(rungs, scores) == {"blur": pytest.approx(-1.0), "noise": pytest.approx(1.0)}


def test_spearman_agrees_with_the_reference() -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = [0, 0, 1, 2, 3, 3, 5], [9.0, 8.5, 8.5, 3.0, 4.0, 1.0, 1.0]
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_spearman_of_a_constant_is_no_order() -> None:
    assert spearman([0, 1, 2], [5.0, 5.0, 5.0]) == 0


def test_demo_scores_a_ladder_and_judges_its_order(run: Run, tmp_path: Path) -> None:
    done = run("demo", "--folder", "ladder")
    assert done.code == 1  # the brightness student sees nothing of blur or noise
    assert "the order does not come out for" in done.err
    assert {"clean.mkv", "blur-5.mkv", "h264-4.mkv"} <= {path.name for path in (tmp_path / "ladder").iterdir()}
    assert sum("(Spearman" in line for line in done.out.splitlines()) >= 4


def test_ladder_has_every_visible_level_of_its_kinds_and_none_is_temporal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2svqa.distort import SIMULATORS

    monkeypatch.setattr(demo_module, "_SECONDS", 0.1)
    rungs = list(demo_module.make_ladder(tmp_path))
    found = {(rung.kind, rung.level) for rung in rungs}
    kinds = {rung.kind for rung in rungs} - {"clean"}
    assert len(kinds) >= 4
    assert {SIMULATORS[kind].family for kind in kinds} == {"spatial", "streaming"}
    levels = {(kind, level + 1) for kind in kinds for level in range(len(SIMULATORS[kind].levels))}
    assert found == {("clean", 0)} | levels - {("blur", 1)}  # which changes no pixel
    pictures = [next(read_frames(rung.path)).tobytes() for rung in rungs]
    assert len(set(pictures)) == len(pictures)
    assert all(rung.path.stat().st_size > 0 for rung in rungs)
