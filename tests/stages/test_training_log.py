"""Reading a training's log while it is written, after kills, and with damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.stages.train import LOG as WRITTEN
from w2svqa.stages.training_log import LOG, read_log


def test_it_is_the_log_that_training_writes() -> None:
    assert LOG == WRITTEN


def test_no_log_is_no_damage(tmp_path: Path) -> None:
    assert read_log(tmp_path) == read_log(tmp_path / "missing") == ((), "")


def test_steps_come_in_order_and_the_later_record_of_a_step_counts(tmp_path: Path) -> None:
    lines = ['{"step": 10, "loss": 3}', '{"step": 20, "loss": 2}', '{"step": 10, "loss": 1}', '{"step": 30, "lo']
    (tmp_path / LOG).write_text("\n".join(lines), encoding="utf-8")
    assert read_log(tmp_path) == (({"step": 10.0, "loss": 1.0}, {"step": 20.0, "loss": 2.0}), "")


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(
        '{"step": 1, "loss": NaN, "name": "x", "done": true, "lambda": 0.5}\n', encoding="utf-8"
    )
    assert read_log(tmp_path) == (({"step": 1.0, "lambda": 0.5},), "")


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"loss": 1}', b"\xff\xfe", b'"' + b"[" * 10_000])
def test_damage_is_named_by_line_and_the_rest_is_read(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / LOG).write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 2}\n')
    records, problem = read_log(tmp_path)
    assert [record["step"] for record in records] == [1, 2]
    assert "line 2 is damaged" in problem
