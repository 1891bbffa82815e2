"""The compact student in PyTorch: antisymmetry, planes, and the ONNX twin."""

from pathlib import Path

import numpy as np
import pytest
import torch

from w2svqa.core.errors import BundleError
from w2svqa.core.levels import LEVELS
from w2svqa.students import onnx_export
from w2svqa.students.compact import CompactConfig, CompactModel, Planes
from w2svqa.students.runtime import CompactStudent
from w2svqa.students.views import VIEW_SIZE, VIEWS

KINDS = ("blur", "noise")


@pytest.fixture(scope="module")
def model() -> CompactModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CompactModel(CompactConfig(widths=(8, 8, 16, 16), token=12, hidden=16, kinds=KINDS)).eval()


@pytest.fixture(scope="module")
def student(model: CompactModel, tmp_path_factory: pytest.TempPathFactory) -> CompactStudent:
    folder = tmp_path_factory.mktemp("networks")
    onnx_export.export_onnx(model, folder)
    return CompactStudent(folder, name="tiny", kinds=KINDS)


def test_exchanging_the_videos_reverses_the_logits(model: CompactModel) -> None:
    first, second = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.comparator(first, second), model.comparator(second, first).flip(1))


def test_a_video_against_itself_is_even(student: CompactStudent) -> None:
    tokens = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    logits = student.judge([tokens], [tokens])[0]
    assert logits[:2] == pytest.approx(logits[:2:-1], abs=1e-6)


def test_training_may_see_fewer_details(model: CompactModel) -> None:
    views = torch.zeros((2, 4, VIEW_SIZE, VIEW_SIZE, 3), dtype=torch.uint8)
    assert model.encoder(views).shape == (2, 12)


def test_planes_of_a_flat_picture() -> None:
    planes = Planes()(torch.full((1, 16, 16, 3), 255, dtype=torch.uint8))
    luma, contrast, blue, red = planes[0]
    assert torch.allclose(luma, torch.ones(16, 16), atol=1e-5)
    assert torch.allclose(torch.stack([contrast, blue, red]), torch.zeros(3, 16, 16), atol=2e-3)


def test_local_contrast_ignores_brightness() -> None:
    texture = np.random.default_rng(0).integers(60, 100, (1, 32, 32, 3), dtype=np.uint8)
    dark, bright = Planes()(torch.from_numpy(texture)), Planes()(torch.from_numpy(texture + np.uint8(100)))
    assert torch.allclose(dark[:, 1], bright[:, 1], atol=1e-2)
    assert not torch.allclose(dark[:, 0], bright[:, 0], atol=0.5)


def test_onnx_gives_the_numbers_of_pytorch(model: CompactModel, student: CompactStudent) -> None:
    assert onnx_export.check_parity(model, student) <= onnx_export.TOLERANCE


def test_another_model_fails_the_parity_check(student: CompactStudent) -> None:
    other = CompactModel(CompactConfig(widths=(8, 8, 16, 16), token=12, hidden=16, kinds=KINDS)).eval()
    with pytest.raises(BundleError, match="differ"):
        onnx_export.check_parity(other, student)


def test_a_pair_has_the_same_logits_in_any_batch(student: CompactStudent) -> None:
    random = np.random.default_rng(1)
    first, second = ([random.normal(size=(1 + i % 3, 12)).astype(np.float32) for i in range(150)] for _ in "ab")
    together = student.judge(first, second)
    alone = np.concatenate([student.judge([one], [other]) for one, other in zip(first, second, strict=True)])
    assert together.shape == (150, len(LEVELS))
    assert (together == alone).all()


def test_a_second_has_the_same_token_in_any_video(student: CompactStudent) -> None:
    views = np.random.default_rng(2).integers(0, 256, (3, VIEWS, VIEW_SIZE, VIEW_SIZE, 3), dtype=np.uint8)
    assert (student.encode_views(views)[2] == student.encode_views(views[2:])[0]).all()


def test_wrong_calls_are_refused(student: CompactStudent) -> None:
    tokens = np.zeros((1, 12), np.float32)
    with pytest.raises(ValueError, match="1 first"):
        student.judge([tokens], [])
    with pytest.raises(ValueError, match="at least one second"):
        student.encode_views([])
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


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"encoder\.onnx"):
        CompactStudent(tmp_path, name="none", kinds=KINDS)
