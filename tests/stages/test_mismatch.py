from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.store import read_artifact
from w2svqa.stages.mismatch import (
    MISMATCH,
    OUTSIDE,
    MismatchRow,
    StrangerRow,
    compare_tables,
    earth_movers_distance,
    write_mismatch,
)

stats = pytest.importorskip("scipy.stats")


def drawn(count: int, seed: int) -> MetricTable:
    """Noise and blur that go together, and a width."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=count)
    blur = noise + 0.1 * random.normal(size=count)
    width = random.choice([640.0, 1280.0], count)
    return MetricTable(
        [f"{seed}-{place}" for place in range(count)], ["noise", "blur", "width"], np.c_[noise, blur, width]
    )


def with_rows(table: MetricTable, rows: list[list[float]]) -> MetricTable:
    ids = [*table.ids.tolist(), *(f"new-{place}" for place in range(len(rows)))]
    return MetricTable(ids, table.names, np.vstack([table.values, rows]))


def test_the_earth_movers_distance_is_the_reference() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 9, 40).astype(float), random.normal(size=77)
    assert earth_movers_distance(first, second) == pytest.approx(stats.wasserstein_distance(first, second))


def test_a_table_beside_itself_does_not_differ() -> None:
    table = drawn(2000, 1)
    found = compare_tables(table, table)
    assert [(row.metric, row.l1, row.emd, row.outside) for row in found.rows] == [
        (name, 0, 0, 0) for name in table.names
    ]
    assert len(found.strangers) / 2000 == pytest.approx(found.usual)
    assert found.usual < 0.02


def test_strangers_are_found_and_the_reason_named() -> None:
    pool = with_rows(drawn(500, 2), [[0.0, 0.0, 4096.0], [1.5, -1.5, 640.0], [0.0, 0.1, 640.0], [np.nan, 0.0, 640.0]])
    found = compare_tables(pool, drawn(3000, 3))
    why = {row.clip_id: row.reason for row in found.strangers if row.clip_id.startswith("new")}
    assert why == {
        "new-0": "width 4096 (usual: 640 to 1280)",
        "new-1": "each value is usual, but not all together",
    }
    assert len(found.strangers) < 30
    by_name = {row.metric: row for row in found.rows}
    assert by_name["width"].outside == pytest.approx(1 / 504)
    assert (by_name["noise"].pool_missing, by_name["blur"].pool_missing) == (1, 0)


def test_a_shift_is_measured_in_the_others_spread() -> None:
    other = drawn(4000, 4)
    moved = MetricTable(other.ids, other.names, other.values + np.array([2.0, 0.0, 0.0]))
    row = compare_tables(moved, other).rows[0]
    assert row.emd == pytest.approx(2.0)
    assert row.emd_spread == pytest.approx(2.0, rel=0.1)
    assert row.l1 > 1
    assert row.thin >= row.outside > 0.02


def test_columns_of_one_side_are_named_and_nothing_in_common_is_an_error() -> None:
    table = drawn(100, 5)
    found = compare_tables(table.only(["noise", "width"]), table.only(["noise", "blur"]))
    assert (found.only_pool, found.only_other) == (("width",), ("blur",))
    with pytest.raises(ConfigError, match="no column in common"):
        compare_tables(table.only(["noise"]), table.only(["blur"]))


def test_a_column_without_values_is_not_compared() -> None:
    table = drawn(100, 5)
    stills = MetricTable(["a", "b"], ["noise", "blur"], [[0.1, np.nan], [0.2, np.nan]])
    found = compare_tables(table, stills)
    assert [row.metric for row in found.rows] == ["noise"]
    assert (found.only_pool, found.only_other) == (("blur", "width"), ())
    with pytest.raises(ConfigError, match="no column in common"):
        compare_tables(table, MetricTable(["a"], ["noise"], [[np.nan]]))


def test_a_comparison_is_stored(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    found = compare_tables(with_rows(drawn(50, 6), [[0.0, 0.0, 9.0]]), drawn(500, 7))
    write_mismatch(tmp_path, found, {"metrics": "0"})
    stored = read_artifact(tmp_path / MISMATCH, MismatchRow)
    assert tuple(stored.rows) == found.rows
    assert stored.manifest.extra["strangers"] == len(found.strangers) > 0
    assert tuple(read_artifact(tmp_path / OUTSIDE, StrangerRow).rows) == found.strangers
