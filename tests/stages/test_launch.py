"""Launching: progress comes through, failure is told with its cause, and nothing stays behind."""

from __future__ import annotations

import os
import pickle
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import launched
import pytest
from train_pool import KilledError, Pool, stop_at

from w2svqa.core.errors import ConfigError, W2SVQAError
from w2svqa.stages.launch import LEASH, launch_training, process_index
from w2svqa.stages.train import log_records

SOURCE = Path(__file__).parents[2] / "src"
DEADLINE = 30.0

Told = list[tuple[int, int, str]]


def launcher(tmp_path: Path, program: str) -> str:
    """A line that runs a program of its own; what is added to it are its arguments."""
    file = tmp_path / "program.py"
    file.write_text(f"import os, sys, time\n{program}", encoding="utf-8")
    return shlex.join([sys.executable, str(file)])


def launch(tmp_path: Path, program: str) -> Told:
    told: Told = []
    launch_training(
        tmp_path, 2, processes=2, launcher=launcher(tmp_path, program), progress=lambda *what: told.append(what)
    )
    return told


def test_progress_of_the_processes_is_passed_on(tmp_path: Path) -> None:
    program = """
print("Setting OMP_NUM_THREADS")
print("w2svqa: train 1/20 loss 0.5 = labels 0.4", file=sys.stderr, flush=True)
print("w2svqa: train 20/20 loss 0.2", file=sys.stderr)
"""
    assert launch(tmp_path, program) == [(1, 20, "loss 0.5 = labels 0.4"), (20, 20, "loss 0.2")]


def test_the_command_is_added_to_the_line_of_the_user(tmp_path: Path) -> None:
    told = launch(tmp_path, 'print(f"w2svqa: train 1/1 {sys.argv[1:]}")')
    assert told == [(1, 1, str(["-m", "w2svqa", "train", str(tmp_path), "--stage", "2"]))]


def test_a_failure_is_told_by_the_error_of_the_process(tmp_path: Path) -> None:
    program = """
print("w2svqa: the loss of step 5 is nan (lower train.learning_rate)")
print("torch.distributed.elastic: FAILED")
sys.exit(3)
"""
    with pytest.raises(W2SVQAError, match="ended with code 3: the loss of step 5 is nan") as caught:
        launch(tmp_path, program)
    assert "program.py" in str(caught.value)


def test_a_failure_without_an_error_of_ours_is_told_by_the_last_lines(tmp_path: Path) -> None:
    program = "print(*range(100), sep='\\n')\nsys.exit(1)"
    with pytest.raises(W2SVQAError, match=r"code 1: 80 \| 81 \|.*\| 99") as caught:
        launch(tmp_path, program)
    assert "79" not in caught.value.problem


def test_processes_get_their_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show = 'print("w2svqa: train 1/1 " + os.environ["OMP_NUM_THREADS"])'
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert launch(tmp_path, show)[0][2] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert launch(tmp_path, show)[0][2] == "5"


@pytest.mark.parametrize(
    ("line", "message"),
    [("", "is empty"), ("a 'b", "cannot be split"), ("no-such-program-here -x", "cannot be started")],
)
def test_a_line_that_starts_nothing_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launch_training(tmp_path, 1, processes=2, launcher=line, progress=lambda *_: None)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for_end(process: int) -> bool:
    end = time.monotonic() + DEADLINE
    while is_alive(process) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_alive(process)


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

# a launcher that starts a training of its own, which waits
STARTS_ONE = f"""
import subprocess
sys.path.insert(0, {str(SOURCE)!r})
if sys.argv[1] == "wait":
    from w2svqa.stages.launch import end_with_caller
    end_with_caller()
    time.sleep(600)
child = subprocess.Popen([sys.executable, __file__, "wait"])
print(f"w2svqa: train 1/2 {{child.pid}}", flush=True)
child.wait()
"""


class StopError(Exception):
    """Ends a launch from outside."""


@linux
def test_no_process_is_left_when_the_caller_stops(tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(done: int, total: int, text: str) -> None:
        seen.append(int(text))
        raise StopError(f"{done}/{total}")

    with pytest.raises(StopError):
        launch_training(tmp_path, 1, processes=1, launcher=launcher(tmp_path, STARTS_ONE), progress=stop)
    assert wait_for_end(seen[0])


@linux
def test_no_process_is_left_when_the_caller_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SOURCE)!r})
from w2svqa.stages.launch import launch_training
def show(done, total, text):
    print(text, flush=True)
launch_training(Path("."), 1, processes=1, launcher={launcher(tmp_path, STARTS_ONE)!r}, progress=show)
"""
    caller = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with caller:
        assert caller.stdout is not None
        training = int(caller.stdout.readline())
        assert is_alive(training)
        caller.send_signal(signal.SIGKILL)
    assert wait_for_end(training)


def test_the_index_of_a_process_is_the_launchers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert process_index() == 0
    monkeypatch.setenv("RANK", "3")
    assert process_index() == 3
    assert LEASH not in os.environ


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("views"), texture=True)


def launch_pool(folder: Path, pool: Pool, stage: int) -> Told:
    told: Told = []
    (folder / "pool.pickle").write_bytes(pickle.dumps(pool))
    line = shlex.join([*TORCHRUN, launched.__file__])
    launch_training(folder, stage, processes=2, launcher=line, progress=lambda *what: told.append(what))
    return told


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SOURCE), str(Path(__file__).parent)]))


@pytest.mark.slow
def test_two_processes_go_on_where_one_was_killed(pool: Pool, tmp_path: Path) -> None:
    pool.train(tmp_path / "whole", launched.CONFIG)
    with pytest.raises(KilledError):
        pool.train(tmp_path / "train", launched.CONFIG, stop_at(2))
    assert [step for step, _, _ in launch_pool(tmp_path, pool, 1)] == [3, 4]  # of the main process alone
    ours, theirs = (list(log_records(tmp_path / name)) for name in ("train", "whole"))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-4, rel=1e-3)


@pytest.mark.slow
def test_the_crash_of_one_process_ends_all(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(W2SVQAError, match="ended with code 1"):
        launch_pool(tmp_path, pool, 2)
