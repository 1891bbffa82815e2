"""The compact student in PyTorch: antisymmetry, planes, motion, and the ONNX twin."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from w2svqa.core.errors import BundleError
from w2svqa.core.levels import LEVELS
from w2svqa.core.records import Chunk, ClipSpec, Reason
from w2svqa.distort import distort_frame
from w2svqa.students import onnx_export
from w2svqa.students.compact import CompactConfig, CompactModel, Motion, Planes, SharedDropout, Tones
from w2svqa.students.looks import Looks, look_at
from w2svqa.students.runtime import ENCODER, CompactStudent, DiagnosisScale, first_answers
from w2svqa.students.views import MOTION_FRAMES, MOTION_SIZE, MOTION_SPEC, VIEW_SIZE, VIEWS

KINDS = ("blur", "noise")


def make_model(*, motion: bool, seed: int = 3) -> CompactModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = CompactConfig(widths=(8, 8, 16, 16), token=12, hidden=16, motion=motion, kinds=KINDS)
        return CompactModel(config).eval()


@pytest.fixture(scope="module")
def model() -> CompactModel:
    return make_model(motion=True)


@pytest.fixture(scope="module")
def student(model: CompactModel, tmp_path_factory: pytest.TempPathFactory) -> CompactStudent:
    folder = tmp_path_factory.mktemp("networks")
    onnx_export.export_onnx(model, folder)
    return CompactStudent(folder, name="tiny", kinds=KINDS, motion=True)


def random_looks(seconds: int, *, seed: int = 2) -> Looks:
    random = np.random.default_rng(seed)
    return Looks(
        views=random.integers(0, 256, (seconds, VIEWS, VIEW_SIZE, VIEW_SIZE, 3), dtype=np.uint8),
        motion=random.integers(0, 256, (seconds, MOTION_FRAMES, *MOTION_SIZE), dtype=np.uint8),
        counts=random.integers(3, MOTION_FRAMES + 1, seconds),
    )


def chunk_of(picture: NDArray[np.uint8], motion: NDArray[np.uint8]) -> Chunk:
    return Chunk(index=0, start=0.0, key_frame=picture, motion=motion, motion_times=np.arange(len(motion)) / 30)


PICTURE = np.random.default_rng(5).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_exchanging_the_videos_reverses_the_logits(model: CompactModel) -> None:
    first, second = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.comparator(first, second), model.comparator(second, first).flip(1))


def test_which_is_better_is_told_by_quality_alone(model: CompactModel) -> None:
    comparator = model.comparator
    tokens = 3 * torch.randn(12, 12, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        first, second = (tokens[torch.tensor(side)] for side in zip(*itertools.permutations(range(12), 2), strict=True))
        levels = comparator(first, second).softmax(dim=1) @ torch.arange(5.0)
        gap = (comparator.quality(second) - comparator.quality(first)).squeeze(1)
    assert (torch.sign(levels - 2) == torch.sign(gap)).all()


def test_a_difference_of_quality_says_more_between_near_videos(model: CompactModel) -> None:
    comparator = copy.deepcopy(model.comparator)
    first = torch.randn(1, 12, generator=torch.Generator().manual_seed(5))
    second = first + 0.1
    with torch.no_grad():
        certain = []
        for gain in (0.0, 0.1, 1000.0):  # of the distance of contents
            comparator.content.weight.fill_(gain)
            logits = comparator(first, second)[0]
            certain.append(float((logits[4] - logits[0]).abs()))
        far = functional.softplus(comparator.sharpness)[0]
        gap = (comparator.quality(second) - comparator.quality(first)).abs()
    assert certain[0] > certain[1] > certain[2] > 0
    assert certain[2] == pytest.approx(float(16 * far * gap), rel=1e-5)  # four steps from end to end, gain four


def test_a_video_against_itself_is_even(student: CompactStudent) -> None:
    tokens = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    logits = student.judge([tokens], [tokens])[0]
    assert logits[:2] == pytest.approx(logits[:2:-1], abs=1e-6)


def test_training_may_see_fewer_details(model: CompactModel) -> None:
    views = torch.zeros((2, 4, VIEW_SIZE, VIEW_SIZE, 3), dtype=torch.uint8)
    motion = torch.zeros((2, MOTION_FRAMES, *MOTION_SIZE), dtype=torch.uint8)
    assert model.encoder(views, motion, torch.tensor([0, 30])).shape == (2, 12)


@pytest.fixture(scope="module")
def branch(model: CompactModel) -> Motion:
    assert model.encoder.motion is not None
    return model.encoder.motion


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 30, MOTION_FRAMES - 1, MOTION_FRAMES])
def test_padded_motion_frames_change_nothing(branch: Motion, count: int) -> None:
    motion = torch.from_numpy(random_looks(1, seed=count).motion)
    padded = motion.clone()
    padded[:, count:] = 0
    with torch.no_grad():
        found, expected = (branch(frames, torch.tensor([count])) for frames in (motion, padded))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_stills_have_no_motion(branch: Motion, count: int) -> None:
    motion = torch.full((1, MOTION_FRAMES, *MOTION_SIZE), 200, dtype=torch.uint8)
    with torch.no_grad():
        assert not branch(motion, torch.tensor([count])).any()
        assert branch(motion, torch.tensor([3])).any()


def test_repeated_frames_show(branch: Motion) -> None:
    motion = torch.from_numpy(random_looks(1).motion)
    held = motion.clone()
    held[:, 11] = held[:, 10]
    with torch.no_grad():
        moving, stalled = (branch(frames, torch.tensor([30])) for frames in (motion, held))
    assert not torch.allclose(moving, stalled, atol=1e-3)


def test_severities_are_one_per_kind(model: CompactModel) -> None:
    with torch.no_grad():
        logits, severities = model.diagnosis(torch.randn((4, 12), generator=torch.Generator().manual_seed(1)))
    assert (logits.shape, severities.shape) == ((4, 1 + len(KINDS)), (4, len(KINDS)))
    assert severities.min() > 0
    assert severities.max() < 1
    assert not torch.equal(severities[:, 0], severities[:, 1])


def test_planes_of_a_flat_picture() -> None:
    planes = Planes()(torch.full((1, 16, 16, 3), 255, dtype=torch.uint8))
    luma, contrast, deviation, blue, red = planes[0]
    assert torch.allclose(luma, torch.ones(16, 16), atol=1e-5)
    assert torch.allclose(deviation, torch.full((16, 16), 2 - np.log(255) / 2), atol=0.05)
    assert torch.allclose(torch.stack([contrast, blue, red]), torch.zeros(3, 16, 16), atol=2e-3)


def test_local_contrast_ignores_brightness() -> None:
    texture = np.random.default_rng(0).integers(60, 100, (1, 32, 32, 3), dtype=np.uint8)
    dark, bright = Planes()(torch.from_numpy(texture)), Planes()(torch.from_numpy(texture + np.uint8(100)))
    assert torch.allclose(dark[:, 1], bright[:, 1], atol=1e-2)
    assert not torch.allclose(dark[:, 0], bright[:, 0], atol=0.5)


def test_deviation_rises_with_contrast() -> None:
    texture = np.random.default_rng(0).integers(-8, 9, (1, 32, 32, 3))
    faint, strong = (Planes()(torch.from_numpy(128 + factor * texture))[0, 2] for factor in (1, 8))
    assert torch.allclose(strong - faint, torch.full((32, 32), np.log(8) / 2), atol=0.35)


def planes_of(picture: NDArray[np.uint8]) -> torch.Tensor:
    planes: torch.Tensor = Planes()(torch.from_numpy(picture[None]))
    return planes


@given(seed=st.integers(0, 99), low=st.integers(0, 200), width=st.integers(1, 55))
def test_shares_of_all_tones_are_one(seed: int, low: int, width: int) -> None:
    picture = np.random.default_rng(seed).integers(low, low + width + 1, (64, 64, 3), dtype=np.uint8)
    shares = Tones()(planes_of(picture))[0, : Tones.BINS] ** 2
    assert float(shares.sum()) == pytest.approx(1, abs=1e-3)
    centres = torch.arange(Tones.BINS) * 255 / (Tones.BINS - 1)
    assert float((shares * centres).sum()) == pytest.approx(luma_of(picture[::4, ::4]).mean(), abs=1)


def luma_of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114]))


def test_a_tone_curve_moves_contrast_between_tones() -> None:
    random = np.random.default_rng(0)
    grey = np.clip(np.linspace(40, 215, 128)[None, :, None] + random.normal(0, 6, (128, 128, 1)), 0, 255)
    picture = np.repeat(grey, 3, axis=2).astype(np.uint8)

    def tilt(version: NDArray[np.uint8]) -> float:
        """Contrast of light tones beyond that of dark ones."""
        contrasts = Tones()(planes_of(version))[0, Tones.BINS :]
        return float(contrasts[9:12].mean() - contrasts[3:6].mean())

    before, darker, brighter = (
        tilt(version)
        for version in (picture, distort_frame(picture, "darkening", 4), distort_frame(picture, "brightening", 3))
    )
    assert darker > before + 0.1
    assert brighter < before - 0.1


def test_dropout_leaves_out_the_same_features_of_all_rows() -> None:
    dropout = SharedDropout(0.4).train()
    rows = 1 + torch.rand((6, 500), generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        dropped = dropout(rows)
    left_out = dropped == 0
    assert (left_out == left_out[0]).all()
    assert 120 < int(left_out[0].sum()) < 280
    assert torch.allclose(dropped[~left_out], rows[~left_out] / 0.6)
    assert torch.equal(dropout.eval()(rows), rows)


def test_onnx_gives_the_numbers_of_pytorch(model: CompactModel, student: CompactStudent) -> None:
    assert onnx_export.check_parity(model, student) <= onnx_export.TOLERANCE


def test_another_model_fails_the_parity_check(student: CompactStudent) -> None:
    with pytest.raises(BundleError, match="differ"):
        onnx_export.check_parity(make_model(motion=True, seed=4), student)


def test_a_model_without_motion_takes_views_alone(tmp_path: Path) -> None:
    model = make_model(motion=False)
    onnx_export.export_onnx(model, tmp_path)
    student = CompactStudent(tmp_path, name="tiny", kinds=KINDS, motion=False)
    assert student.clip_spec == ClipSpec()
    assert onnx_export.check_parity(model, student) <= onnx_export.TOLERANCE
    looks = random_looks(1)
    still = Looks(views=looks.views, motion=looks.motion[:, :0], counts=0 * looks.counts)
    assert (student.encode_looks(looks) == student.encode_looks(still)).all()
    inputs = [each.name for each in student._encoder.get_inputs()]
    assert inputs == ["views"]


def test_only_the_batch_has_any_size(student: CompactStudent) -> None:
    assert student.clip_spec == MOTION_SPEC
    shapes = {each.name: each.shape for each in student._encoder.get_inputs()}
    assert shapes == {
        "views": ["batch", VIEWS, VIEW_SIZE, VIEW_SIZE, 3],
        "motion": ["batch", MOTION_FRAMES, *MOTION_SIZE],
        "count": ["batch"],
    }


def test_chunks_and_their_looks_have_the_same_tokens(student: CompactStudent) -> None:
    frames = np.random.default_rng(6).integers(0, 256, (90, *MOTION_SIZE), dtype=np.uint8)
    chunks = [chunk_of(PICTURE, frames[:count]) for count in (0, 2, 30, 90)]
    tokens = student.encode(chunks)
    looks = [look_at([chunk.key_frame], [chunk.motion]) for chunk in chunks]
    assert (tokens == np.concatenate([student.encode_looks(each) for each in looks])).all()
    assert (tokens[0] == tokens[1]).all()
    assert (tokens[1] != tokens[2]).any()


def test_a_pair_has_the_same_logits_in_any_batch(student: CompactStudent) -> None:
    random = np.random.default_rng(1)
    first, second = ([random.normal(size=(1 + i % 3, 12)).astype(np.float32) for i in range(150)] for _ in "ab")
    together = student.judge(first, second)
    alone = np.concatenate([student.judge([one], [other]) for one, other in zip(first, second, strict=True)])
    assert together.shape == (150, len(LEVELS))
    assert (together == alone).all()


def test_a_second_has_the_same_token_in_any_video(student: CompactStudent) -> None:
    looks = random_looks(3)
    assert (student.encode_looks(looks)[2] == student.encode_looks(looks[2:])[0]).all()


def test_wrong_calls_are_refused(student: CompactStudent) -> None:
    tokens = np.zeros((1, 12), np.float32)
    with pytest.raises(ValueError, match="1 first"):
        student.judge([tokens], [])
    with pytest.raises(ValueError, match="at least one second"):
        student.encode([])
    looks = random_looks(1)
    short = Looks(views=looks.views, motion=looks.motion[:, 1:], counts=looks.counts)
    with pytest.raises(ValueError, match="motion must have shape"):
        student.encode_looks(short)
    assert student.judge([], []).shape == (0, 5)


def test_reasons_are_named_and_sorted(student: CompactStudent) -> None:
    random = np.random.default_rng(4)
    found = [student.diagnose(5 * random.normal(size=(2, 12)).astype(np.float32)) for _ in range(40)]
    assert any(found)
    assert not all(found)
    for reasons in found:
        probabilities = [reason.probability for reason in reasons]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(reason.distortion in KINDS and 0 <= reason.severity <= 1 for reason in reasons)


def test_seconds_are_diagnosed_as_the_videos_that_they_are(student: CompactStudent) -> None:
    tokens = 5 * np.random.default_rng(4).normal(size=(70, 12)).astype(np.float32)
    each = student.diagnose_seconds(tokens)
    assert each == tuple(student.diagnose(tokens[index : index + 1]) for index in range(70))


def test_doubt_between_distortions_does_not_make_a_video_clean(student: CompactStudent) -> None:
    assert first_answers(np.array([[0.45, 0.3, 0.25], [0.45, 0.2, 0.35], [0.5, 0.5, 0], [1, 0, 0]])).tolist() == [
        1,
        2,
        0,
        0,
    ]
    assert first_answers(np.ones((2, 1))).tolist() == [0, 0]
    [reasons] = student._reasons_of(np.array([[0.45, 0.46, 0.09]]), np.array([[0.7, 0.2]]))
    assert reasons == (Reason(distortion=KINDS[0], severity=0.7, probability=0.46),)


@given(seed=st.integers(0, 99), kinds=st.integers(12, 30))
def test_of_a_distorted_video_something_is_named(seed: int, kinds: int) -> None:
    """However many kinds share the probability."""
    shares = np.random.default_rng(seed).dirichlet(np.ones(kinds))
    probabilities = np.concatenate([[0.3], 0.7 * shares])[None]
    assert first_answers(probabilities)[0] == 1 + shares.argmax()


def test_bias_of_none_decides_whether_anything_is_named(student: CompactStudent) -> None:
    tokens = np.random.default_rng(4).normal(size=(2, 12)).astype(np.float32)
    try:
        student.diagnosis_scale = DiagnosisScale(none_bias=-50)
        assert sum(reason.probability for reason in student.diagnose(tokens)) == pytest.approx(1)
        student.diagnosis_scale = DiagnosisScale(none_bias=50)
        assert student.diagnose(tokens) == ()
    finally:
        student.diagnosis_scale = DiagnosisScale()


@given(st.floats(0.01, 100), st.floats(-20, 20))
def test_a_diagnosis_is_a_distribution(temperature: float, bias: float) -> None:
    logits = np.random.default_rng(0).normal(0, 10, (5, 4))
    before = logits.copy()
    found = DiagnosisScale(temperature=temperature, none_bias=bias).probabilities(logits)
    assert found.sum(axis=1) == pytest.approx(np.ones(5))
    assert (logits == before).all()
    assert (found[:, 1:].argmax(axis=1) == logits[:, 1:].argmax(axis=1)).all()


@pytest.mark.parametrize("entries", [{"temperature": 0.0}, {"temperature": np.nan}, {"none_bias": np.inf}])
def test_a_scale_of_no_use_is_refused(entries: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        DiagnosisScale(**entries)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=ENCODER.replace(".", r"\.")):
        CompactStudent(tmp_path, name="none", kinds=KINDS, motion=True)
