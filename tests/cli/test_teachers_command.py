"""``w2svqa teachers``: the table, the JSON, and what it works without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from running import PACKAGE, Run

NAMES = {
    "brisque",
    "cnniqa",
    "cpbd",
    "niqe",
    "psnr",
    "ssim",
    "vmaf",
    "xpsnr",
    "command:",
    "pyiqa:",
    "scores:",
    "student:",
}


def test_the_table_is_readable(run: Run) -> None:
    done = run("teachers")
    assert done.code == 0
    head, _, *rows = [line for line in done.out.splitlines() if line.strip()]
    assert head.split() == ["teacher", "scale", "better", "needs", "now", "remedy"]
    cells = {row.split()[0]: row for row in rows}
    assert {"brisque", "cpbd", "niqe", "vmaf", "pyiqa:NAME", "scores:FILE", "command:PROGRAM", "student:BUNDLE"} <= set(
        cells
    )
    assert "0 to 100" in cells["vmaf"]
    assert "a reference" in cells["vmaf"]
    assert "niqe_image_params.mat" in cells["niqe"]
    assert "needs its parameters" in cells["niqe"]
    assert "lower" in cells["niqe"]
    assert f"of {len(rows)} can run now" in done.err


def test_json_has_every_fact(run: Run) -> None:
    done = run("teachers", "--json")
    assert (done.code, done.err) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert set(rows) >= NAMES
    assert rows["cpbd"] == {
        "name": "cpbd",
        "range": [0.0, 1.0],
        "higher_is_better": True,
        "needs_reference": False,
        "needs_motion": False,
        "needs_parameters": False,
        "files": [],
        "uses_device": False,
        "batch": 1,
        "options": {},
        "runs": True,
        "problem": None,
        "remedy": None,
    }
    assert rows["niqe"]["range"] == [0.0, None]
    assert rows["scores:"]["higher_is_better"] is rows["scores:"]["range"] is None
    assert rows["scores:"]["options"]["high"] is None
    assert [row["runs"] for row in rows.values()] == [bool(row["runs"]) for row in rows.values()]


def test_parameters_are_looked_for_where_they_are_said_to_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "niqe").mkdir()
    (tmp_path / "niqe" / "niqe_image_params.mat").write_bytes(b"looked for, not read")
    rows = {row["name"]: row for row in json.loads(run("teachers", "--json", "--parameters", ".").out)}
    assert (rows["niqe"]["runs"], rows["niqe"]["problem"]) == (True, None)
    assert (rows["brisque"]["runs"], rows["brisque"]["problem"]) == (False, "no parameters in .")
    done = run("teachers", "--parameters", "nowhere")
    assert done.code == 1
    assert "nowhere: no such folder" in done.err


def test_it_works_without_any_extra() -> None:
    program = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cv2", "imageio_ffmpeg", "pyarrow", "safetensors", "scipy", "torch", "yaml"):
            raise ModuleNotFoundError(f"{name} is an extra", name=name)
sys.meta_path.insert(0, Refuse())
from importlib import util
find = util.find_spec
hidden = ("cv2", "torch", "imageio_ffmpeg")
util.find_spec = lambda name: None if name in hidden else find(name)
from w2svqa.cli.app import main
main(["teachers", "--json"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(PACKAGE)}
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["niqe"]["problem"] == "without cv2"
    assert rows["vmaf"]["remedy"] == "pip install 'w2svqa[train]'"
    assert rows["scores:"]["runs"]
