"""Normalisation over all processes: the same numbers as PyTorch's own over all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from train_pool import KINDS, SMALL

from w2svqa.stages.train import build
from w2svqa.stages.train_norm import GlobalBatchNorm, with_global_norms


@pytest.fixture(autouse=True)
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def pictures() -> nn.BatchNorm2d:
    return nn.BatchNorm2d(3)


def rows_of_features() -> nn.BatchNorm1d:
    return nn.BatchNorm1d(3, eps=1e-3, affine=False)


@pytest.mark.parametrize(("make", "shape"), [(pictures, (6, 3, 4, 4)), (rows_of_features, (6, 3))])
def test_it_computes_what_pytorch_computes(
    make: Callable[[], nn.BatchNorm1d | nn.BatchNorm2d], shape: tuple[int, ...]
) -> None:
    random = torch.Generator().manual_seed(0)
    theirs, ours = make(), GlobalBatchNorm(make())
    for _ in range(3):
        rows = (5 + 2 * torch.randn(shape, generator=random)).requires_grad_()
        again = rows.detach().clone().requires_grad_()
        wanted, found = theirs(rows), ours(again)
        assert torch.allclose(found, wanted, atol=1e-5)
        weight = torch.randn(shape, generator=random)
        torch.autograd.backward((wanted * weight).sum())
        torch.autograd.backward((found * weight).sum())
        assert rows.grad is not None
        assert again.grad is not None
        assert torch.allclose(again.grad, rows.grad, atol=1e-5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], value, rtol=1e-5)
    rows = torch.randn(shape, generator=random)
    assert torch.allclose(ours.eval()(rows), theirs.eval()(rows), atol=1e-5)


def test_no_rows_at_all_teach_nothing() -> None:
    layer = GlobalBatchNorm(nn.BatchNorm2d(3))
    assert layer(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    assert torch.equal(layer.get_buffer("running_mean"), torch.zeros(3))
    assert int(layer.get_buffer("num_batches_tracked")) == 0


def test_a_student_keeps_its_weights_under_their_names() -> None:
    before = build(SMALL, KINDS, seed=0)
    names = {name: value.clone() for name, value in before.state_dict().items()}
    with_global_norms(before)
    after = before.state_dict()
    assert after.keys() == names.keys()
    assert all(torch.equal(after[name], names[name]) for name in names)
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in before.modules())
    assert any(isinstance(part, GlobalBatchNorm) for part in before.modules())
