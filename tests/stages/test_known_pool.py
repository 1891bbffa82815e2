"""What a selection starts from: an ingested pool is measured once and knows its clips, a plain table is as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from w2svqa.core.errors import ConfigError, StoreError
from w2svqa.core.executor import SerialExecutor
from w2svqa.core.metric_table import MetricTable, write_metric_table
from w2svqa.stages import measure, measure_clip
from w2svqa.stages.ingest_pool import IngestPoolConfig, ingest_pool
from w2svqa.stages.known_pool import is_ingested, open_pool, open_target
from w2svqa.stages.measure import MeasureConfig
from w2svqa.stages.pool_manifest import PoolManifest
from w2svqa.video.encode import write_video
from w2svqa.video.scene import scene_frames

pytest.importorskip("pyarrow")

TWO = MeasureConfig(metrics=("contrast", "ti"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three clips with a manifest, and beside it what ingest made of them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "videos").mkdir()
    for seed in (1, 2, 3):
        frames = scene_frames(seed=seed, width=96, height=64, frames=6)
        write_video(folder / "videos" / f"{seed}.mp4", frames, fps=6, options={"preset": "ultrafast", "threads": "1"})
    (folder / "m.csv").write_text("clip,source,license,category\n1.mp4,here,CC0,street\n2.mp4,there,CC0,sea\n")
    config = IngestPoolConfig(manifest=PoolManifest(path=str(folder / "m.csv")), near_duplicates=False)
    ingest_pool([str(folder / "videos")], folder / "pool", config, executor=SerialExecutor())
    return folder


@pytest.fixture
def pool(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy of the ingested pool, not measured; measured in this process."""
    shutil.copytree(made / "pool", tmp_path / "pool")
    monkeypatch.setattr(measure, "_executor", lambda _: SerialExecutor(retries=0))
    return tmp_path / "pool"


def test_an_ingested_pool_is_measured_once_and_knows_its_clips(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, str]] = []
    found = open_pool(pool, TWO, progress=lambda *facts: told.append(facts))
    assert is_ingested(pool)
    assert [facts[:2] for facts in told] == [(1, 3), (2, 3), (3, 3)]
    assert (found.computed, found.problems, found.metrics.names) == (3, (), ("contrast", "ti"))
    assert np.isfinite(found.metrics.values).all()
    assert found.metrics.label("source").tolist() == ["here", "there", ""]
    assert found.metrics.label("category").tolist() == ["street", "sea", ""]
    assert found.wide.column("width").tolist() == [96.0] * 3
    assert found.wide.column("fps").tolist() == [6.0] * 3
    assert np.isfinite(found.wide.column("bit_rate")).all()
    monkeypatch.setattr(measure_clip, "measure", None)  # not called again
    again = open_pool(pool, TWO)
    assert (again.computed, again.digest) == (0, found.digest)
    assert np.array_equal(again.wide.values, found.wide.values)
    [row] = found.rows_of(found.metrics.ids.tolist()[1:2]).values()
    assert (Path(row.path).name, row.source, row.license) == ("2.mp4", "there", "CC0")


def test_an_ingested_pool_is_a_target_with_its_labels(pool: Path) -> None:
    target = open_target(str(pool), TWO)
    assert isinstance(target, MetricTable)
    assert target.names == ("contrast", "ti")  # no sizes: they would be matched like metrics
    assert target.label("category").tolist() == ["street", "sea", ""]
    assert open_target("uniform") == "uniform"


def test_a_clip_that_changed_since_is_a_problem_of_its_own(pool: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "videos", tmp_path / "videos")
    config = IngestPoolConfig(near_duplicates=False)
    ingest_pool([str(tmp_path / "videos")], pool, config, executor=SerialExecutor())
    with (tmp_path / "videos" / "2.mp4").open("ab") as file:
        file.write(b"more")
    found = open_pool(pool, TWO)
    assert len(found.metrics) == 2
    [problem] = found.problems
    assert (Path(problem.path).name, problem.measured) == ("2.mp4", False)
    assert "was changed since" in problem.message


def test_a_pool_without_clips_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    ingest_pool([str(tmp_path / "text.mp4")], tmp_path / "pool", IngestPoolConfig(), executor=SerialExecutor())
    with pytest.raises(ConfigError, match="no clip to measure"):
        open_pool(tmp_path / "pool", TWO)


def test_a_plain_table_takes_what_is_known_of_its_clips_from_another(pool: Path, tmp_path: Path) -> None:
    ids = open_pool(pool, TWO).metrics.ids.tolist()
    write_metric_table(tmp_path / "own", MetricTable(ids, ["hue"], [[1.0], [2.0], [3.0]]), config={})
    bare = open_pool(tmp_path / "own")
    assert (bare.wide.names, bare.rows_of(ids), bare.clips) == (("hue",), {}, None)
    for clips in (pool, pool / "clips"):
        joined = open_pool(tmp_path / "own", clips=clips)
        assert joined.metrics.names == ("hue",)
        assert "width" in joined.wide.names
        assert joined.metrics.label("source").tolist() == ["here", "there", ""]
        assert set(joined.rows_of(ids)) == set(ids)
    (tmp_path / "own.csv").write_text(f"clip_id,path,source\n{ids[0]},a.mp4,me\n{ids[1]},,me\n")
    rows = open_pool(tmp_path / "own", clips=tmp_path / "own.csv").rows_of(ids)
    assert {clip_id: (row.path, row.source) for clip_id, row in rows.items()} == {ids[0]: ("a.mp4", "me")}
    with pytest.raises(StoreError, match="no complete artifact"):
        open_pool(tmp_path / "own", clips=tmp_path / "gone")
