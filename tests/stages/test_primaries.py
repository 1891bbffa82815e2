from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError
from w2svqa.core.metric_table import MetricTable
from w2svqa.core.store import read_artifact
from w2svqa.stages.primaries import (
    PRIMARIES,
    PrimaryConfig,
    PrimaryRow,
    pick_primaries,
    with_bits_per_pixel,
    write_primaries,
)

pytest.importorskip("scipy")

NAMES = ("noise", "blur", "contrast", "bit_rate", "width", "height", "fps")


def pool(count: int = 200) -> MetricTable:
    random = np.random.default_rng(0)
    values = random.random((count, len(NAMES)))
    values[:, 3] = random.uniform(1e5, 1e7, count)
    values[:, 4:] = 640, 360, 25
    return MetricTable([f"v{place:03d}" for place in range(count)], NAMES, values)


def test_primaries_are_the_clean_ones_and_say_why() -> None:
    table = with_bits_per_pixel(pool())
    found = pick_primaries(pool(), PrimaryConfig(count=8, worst=0.6))
    assert len(found.rows) == 8
    assert found.limit <= 0.6
    assert set(found.missing) == {"blockiness", "colourfulness", "luminance", "si", "ti"}
    for row in found.rows:
        place = table.ids.tolist().index(row.clip_id)
        ahead = [
            float(np.mean(table.column("noise") < table.column("noise")[place])),
            *(float(np.mean(table.column(name) > table.column(name)[place])) for name in ("blur", "bits_per_pixel")),
        ]
        assert row.rank == pytest.approx(max(ahead))
        assert row.rank <= found.limit
        assert f"noise {table.column('noise')[place]:.4g} ({ahead[0]:.0%} of the pool lower)" in row.reason


def test_content_is_spread_among_the_clean() -> None:
    found = pick_primaries(pool(2000), PrimaryConfig(count=20, bins=4, choice=5))
    after = [row.chosen for row in found.selection.histograms]
    assert after == [5, 5, 5, 5]
    assert found.candidates >= 100


def test_more_than_are_clean_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"5 primaries .* of 10 videos have no rank above 0.1 in noise, blur"):
        pick_primaries(pool(10).only(["noise", "blur", "contrast"]), PrimaryConfig(count=5, worst=0.1))
    with pytest.raises(ConfigError, match="no metric says what is clean"):
        pick_primaries(pool(10).only(["contrast"]), PrimaryConfig(count=1))


def test_bits_per_pixel_is_unknown_where_a_part_is() -> None:
    values = np.array([[1000, 10, 10, 5], [1000, 10, 10, np.nan], [1000, 0, 10, 5]])
    table = MetricTable(["a", "b", "c"], NAMES[3:], values)
    bits = with_bits_per_pixel(table).column("bits_per_pixel")
    assert bits[0] == 2
    assert np.isnan(bits[1:]).all()


def test_primaries_are_stored(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    asked = PrimaryConfig(count=3)
    found = pick_primaries(pool(), asked)
    write_primaries(tmp_path, found, asked)
    stored = read_artifact(tmp_path / PRIMARIES, PrimaryRow, kind="primaries")
    assert tuple(stored.rows) == found.rows
    assert stored.manifest.extra["limit"] == found.limit
