"""DOVER and DOVER-Mobile: the numbers of the reference implementation, the same score each time, bad checkpoints."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import cast

import dover_cases as cases
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2svqa.core.errors import ConfigError, InputError, MissingInputError
from w2svqa.teachers.dover import AESTHETIC, TECHNICAL, VIEWS, Dover, DoverMobile, frames_of, fused, squeezed, views_of
from w2svqa.teachers.fragments import FragmentGrid, cut
from w2svqa.teachers.registry import TEACHERS, load_teacher
from w2svqa.video.whole import FramesVideo

GOLDENS = Path(__file__).parent / "goldens" / "dover.npz"
TEACHER = {"dover": Dover, "dover-mobile": DoverMobile}
CLASSIFIER = {
    f"{view}_backbone.head.{part}": shape
    for view in VIEWS
    for part, shape in (("weight", (1000, 384)), ("bias", (1000,)))
}
"""What the official checkpoint of DOVER-Mobile holds besides, and nothing uses."""


@pytest.fixture(scope="module")
def goldens() -> Iterator[dict[str, NDArray[np.float32]]]:
    with np.load(GOLDENS) as stored:
        yield dict(stored)


@cache
def network(model: str) -> nn.ModuleDict:
    """Return a filled network; tests only read it."""
    built = TEACHER[model].build()
    state = {key: torch.from_numpy(value) for key, value in cases.state_of(shapes_of(built))}
    built.load_state_dict(state)
    return built.eval()


def teacher(model: str = "dover-mobile", *, view: str = "fused", seed: int = 0) -> Dover:
    return TEACHER[model](network(model), "1+test", view=view, seed=seed)


def light_teacher(*, view: str = "fused", seed: int = 0) -> Dover:
    """Return a teacher whose networks are a mean and one layer: fast, and sensitive to every picture."""
    parts = {f"{view}_backbone": nn.AvgPool3d((2, 32, 32)) for view in VIEWS}
    heads = {f"{view}_head": nn.Conv3d(3, 1, 1) for view in VIEWS}
    module = nn.ModuleDict({**parts, **heads})
    shapes = shapes_of(module)
    module.load_state_dict({key: torch.from_numpy(value) for key, value in cases.state_of(shapes)})
    return Dover(module, "1+light", view=view, seed=seed)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def video_of(number: int, frames: int | None = None) -> FramesVideo:
    length = frames or cases.VIDEOS[number][0]
    return FramesVideo([cases.frame(number, index) for index in range(length)], fps=30.0)


class Given:
    """Stands in for a generator whose draws between 0 and 1 are given."""

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        self.numbers = numbers

    def random(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        assert np.empty(size).shape == self.numbers.shape
        return self.numbers


def given(numbers: NDArray[np.float64]) -> np.random.Generator:
    return cast(np.random.Generator, Given(numbers))


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("model", TEACHER)
def test_keys_and_shapes_are_those_of_the_official_checkpoints(
    model: str, goldens: dict[str, NDArray[np.float32]]
) -> None:
    shapes = shapes_of(TEACHER[model].build())
    if model == "dover-mobile":
        shapes |= CLASSIFIER
    else:  # tables of indices of twelve blocks, for windows of 8 x 7 x 7 tokens
        blocks = {key.partition(".attn.")[0] for key in shapes if ".attn." in key}
        shapes |= {f"{block}.attn.relative_position_index": (392, 392) for block in blocks}
    assert (cases.digest_of(shapes), len(shapes)) == (str(goldens[f"{model}/keys"]), int(goldens[f"{model}/count"]))


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("model", TEACHER)
def test_quality_of_clips_equals_the_reference(model: str, view: str, goldens: dict[str, NDArray[np.float32]]) -> None:
    backbone, head = network(model)[f"{view}_backbone"], network(model)[f"{view}_head"]
    clips = [torch.from_numpy(cases.clip(k, cases.CLIP_SHAPES[model, view]))[None] for k in range(cases.CLIPS)]
    with torch.inference_mode(), stages_of(backbone) as seen:
        maps = [head(backbone(clip)) for clip in clips]
    expected = goldens[f"{model}/{view}/means"]
    assert expected.std() >= 0.1
    assert relative(np.array([float(quality.mean()) for quality in maps]), expected) < 1e-4
    assert relative(cases.sample_of(maps[0].numpy()), goldens[f"{model}/{view}/quality"]) < 1e-4
    for part, values in seen.items():
        assert relative(cases.sample_of(values), goldens[f"{model}/{view}/{part}"]) < 1e-4, part


@contextmanager
def stages_of(backbone: nn.Module) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Keep what the four stages of a backbone make of the first clip, channels first."""
    seen: dict[str, NDArray[np.float32]] = {}
    swin = hasattr(backbone, "layers")

    def keep(part: str, output: Tensor) -> None:
        values = output[0].permute(3, 0, 1, 2) if swin else output[0]
        seen.setdefault(part, values.contiguous().numpy())

    parts = [f"{'layers' if swin else 'stages'}.{number}" for number in range(4)]
    hooks = [
        backbone.get_submodule(part).register_forward_hook(lambda _m, _i, output, part=part: keep(part, output))
        for part in parts
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    assert set(seen) == set(parts)


@pytest.mark.parametrize("video", range(len(cases.VIDEOS)))
def test_frame_numbers_equal_the_reference(video: int, goldens: dict[str, NDArray[np.float32]]) -> None:
    for view in VIEWS:
        numbers = frames_of(view, cases.VIDEOS[video][0], given(cases.Draws(view, video).starts))
        assert numbers.ravel().tolist() == goldens[f"view/{video}/{view}/numbers"].tolist()


@pytest.mark.parametrize("video", range(len(cases.VIDEOS)))
def test_pictures_equal_the_reference(video: int, goldens: dict[str, NDArray[np.float32]]) -> None:
    shares = cases.Draws(TECHNICAL, video).shares
    for view in VIEWS:
        numbers = goldens[f"view/{video}/{view}/numbers"].astype(int).tolist()
        pictures = np.stack(
            [
                squeezed(cases.frame(video, number))
                if view == AESTHETIC
                else cut(cases.frame(video, number), FragmentGrid(), shares[position // 32])
                for position, number in enumerate(numbers)
            ]
        )
        planes = pictures.transpose(3, 0, 1, 2)
        expected = goldens[f"view/{video}/{view}/pictures"]
        # bilinear weights round differently from processor to processor: a pixel in a hundred thousand by one level
        off = np.abs(cases.sample_of(planes, 4000) - expected)
        assert off.max() <= 1
        assert (off > 0).mean() <= 0.001
        assert abs(int(planes.sum(dtype=np.int64)) - int(goldens[f"view/{video}/{view}/sum"])) <= planes.size * 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("model", TEACHER)
def test_scores_from_frames_on_equal_the_reference(
    model: str, goldens: dict[str, NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(_seed: int, *labels: str) -> np.random.Generator:
        view = labels[1] if labels[1] in VIEWS else TECHNICAL
        draws = cases.Draws(view, cases.FULL_VIDEO)
        return given(draws.starts if labels[1] in VIEWS else draws.shares)

    monkeypatch.setattr("w2svqa.teachers.dover.generator", drawn)
    raw = teacher(model).raw_scores(video_of(cases.FULL_VIDEO))
    for view in VIEWS:
        expected = float(goldens[f"full/{model}/{view}"])
        assert raw[view] == pytest.approx(expected, rel=1e-4)


def test_fused_score_is_the_reference_formula_with_each_view_in_its_place() -> None:
    scores = {TECHNICAL: 0.2, AESTHETIC: -0.1}
    total = 0.6104 * (0.2 - 0.1107) / 0.07355 + 0.3896 * (-0.1 + 0.08285) / 0.03774
    assert fused(scores) == pytest.approx(1 / (1 + math.exp(-total)), rel=1e-12)
    assert fused({AESTHETIC: -0.1, TECHNICAL: 0.2}) == fused(scores)
    assert fused({AESTHETIC: -0.1}) == pytest.approx(1 / (1 + math.exp(0.01715 / 0.03774)), rel=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_fused_rises_with_each_view_and_stays_within_the_range(view: str) -> None:
    base = {TECHNICAL: 0.1, AESTHETIC: -0.08}
    values = [fused(base | {view: base[view] + step}) for step in (-1e9, -0.1, -0.01, 0, 0.01, 0.1, 1e9)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (0, 1)


def test_the_same_video_has_the_same_score_and_a_view_its_own() -> None:
    video = video_of(0)
    both = light_teacher().raw_scores(video)
    assert light_teacher().raw_scores(video) == both
    for view in VIEWS:
        alone = light_teacher(view=view)
        assert alone.raw_scores(video) == {view: both[view]}
        assert alone.score(video) == fused({view: both[view]})
    assert light_teacher().score(video) == fused(both)
    other = light_teacher(seed=1).raw_scores(video)
    assert all(other[view] != both[view] for view in VIEWS)


def test_a_seed_draws_other_fragments_and_frames_but_the_same_for_all_views() -> None:
    video = video_of(0)
    wanted = {seed: views_of(video, tuple(VIEWS), seed) for seed in (0, 1)}
    for view in VIEWS:
        assert not np.array_equal(wanted[0][view], wanted[1][view])
        assert np.array_equal(wanted[0][view], views_of(video, (view,), 0)[view])


def test_a_video_of_one_frame_is_that_frame_throughout() -> None:
    views = views_of(video_of(3), tuple(VIEWS), 0)
    assert views[TECHNICAL].shape == (3, 32, 224, 224, 3)
    assert views[AESTHETIC].shape == (1, 32, 224, 224, 3)
    for pictures in views.values():
        assert (pictures == pictures[:, :1]).all()


def test_a_tiny_video_has_a_score() -> None:
    frames = [cases.frame(0, number)[:6, :9] for number in range(3)]
    assert 0 <= light_teacher().score(FramesVideo(frames, fps=10.0)) <= 1
    assert views_of(FramesVideo(frames, fps=10.0), (TECHNICAL,), 0)[TECHNICAL].std() > 0


def test_no_picture_is_made_of_frames_that_are_not_needed() -> None:
    class Counted(FramesVideo):
        asked: list[int]

        def frames_at(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
            self.asked = list(indices)
            return super().frames_at(indices)

    video = Counted([cases.frame(0, 0)] * 200, fps=30.0)
    views_of(video, (AESTHETIC,), 0)
    assert len(video.asked) == 32
    views_of(video, tuple(VIEWS), 0)
    assert video.asked == sorted(set(video.asked))
    assert len(video.asked) <= 128


def test_unknown_view_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no view 'overall'"):
        Dover.load(tmp_path / "nothing", view="overall")


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"DOVER-Mobile\.pth"):
        load_teacher("dover-mobile", tmp_path)


def test_official_checkpoint_with_its_classifier_is_taken(tmp_path: Path) -> None:
    state = network("dover-mobile").state_dict() | {key: torch.zeros(shape) for key, shape in CLASSIFIER.items()}
    torch.save(state, tmp_path / "DOVER-Mobile.pth")
    loaded = load_teacher("dover-mobile", tmp_path, view="aesthetic", seed=3)
    video = video_of(3)
    assert loaded.score(video) == teacher(view="aesthetic", seed=3).score(video)
    assert re.fullmatch(r"1\+[0-9a-f]{12}", loaded.version)


@pytest.mark.parametrize("view", VIEWS)
def test_clips_together_have_the_score_they_have_one_by_one(view: str) -> None:
    one, all_together = (
        DoverMobile(network("dover-mobile"), "1+test", view=view, batch=batch).score(video_of(3)) for batch in (1, 3)
    )
    assert one == pytest.approx(all_together, rel=1e-5)
    with pytest.raises(ConfigError, match="'dover-mobile' has batch=0"):
        DoverMobile(network("dover-mobile"), "1+test", batch=0)


def test_the_version_is_known_without_loading(tmp_path: Path) -> None:
    state = network("dover-mobile").state_dict()
    torch.save(state, tmp_path / "DOVER-Mobile.pth")
    version = DoverMobile.identify(tmp_path, view="technical")
    assert version == load_teacher("dover-mobile", tmp_path).version
    with pytest.raises(ConfigError, match="no view 'overall'"):
        DoverMobile.identify(tmp_path, view="overall")
    torch.save(state | {"other": torch.zeros(1)}, tmp_path / "DOVER-Mobile.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="1 key not known: other"):
        DoverMobile.identify(tmp_path)


def test_missing_and_unknown_keys_are_all_listed(tmp_path: Path) -> None:
    state = network("dover-mobile").state_dict()
    missing = ["technical_head.fc_hid.weight", "aesthetic_backbone.stages.0.1.grn.beta"]
    kept = {key: value for key, value in state.items() if key not in missing}
    torch.save(kept | {"other": torch.zeros(1), "more.weight": torch.zeros(2)}, tmp_path / "DOVER-Mobile.pth")
    with pytest.raises(InputError) as error:
        load_teacher("dover-mobile", tmp_path)
    assert all(key in str(error.value) for key in [*missing, "other", "more.weight"])


def test_checkpoint_of_dover_is_refused_by_dover_mobile(tmp_path: Path) -> None:
    state = {key: torch.zeros(1).expand(value.shape) for key, value in Dover.build().state_dict().items()}
    torch.save(state, tmp_path / "DOVER.pth")
    with pytest.raises(InputError, match=r"technical_backbone\.layers\.0\.blocks\.0") as error:
        load_teacher("dover-mobile", tmp_path / "DOVER.pth")
    assert "technical_backbone.stages.0.0.grn.gamma" in str(error.value)
    assert "aesthetic_head.fc_hid.weight" in str(error.value)  # the same key, another shape


def test_facts_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from w2svqa.teachers.registry import TEACHERS; "
        "kinds = [TEACHERS.load(name) for name in ('dover', 'dover-mobile')]; "
        "sys.exit([kind.name for kind in kinds] != ['dover', 'dover-mobile'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"dover", "dover-mobile"} <= set(TEACHERS)
