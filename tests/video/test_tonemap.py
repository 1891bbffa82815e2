from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2svqa.video.tonemap import compress, hlg_to_scene, nits_to_pq, pq_to_nits, to_sdr

# Pairs of PQ signal and cd/m2 from the tables of BT.2408 and ST 2084.
KNOWN_PQ = [(0.0, 0.0), (0.5081, 100.0), (0.5807, 203.0), (0.7518, 1000.0), (1.0, 10_000.0)]


@pytest.mark.parametrize(("signal", "nits"), KNOWN_PQ)
def test_pq_at_published_points(signal: float, nits: float) -> None:
    assert pq_to_nits(np.array(signal)) == pytest.approx(nits, rel=2e-3, abs=1e-6)


@given(st.floats(0, 10_000))
def test_pq_inverts(nits: float) -> None:
    assert float(pq_to_nits(nits_to_pq(np.array(nits)))) == pytest.approx(nits, rel=1e-6, abs=1e-6)


def test_hlg_at_published_points() -> None:
    # BT.2408: 75 % HLG is HDR reference white, scene light 0.2650.
    assert hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0])) == pytest.approx([0, 1 / 12, 0.2650, 1], abs=1e-4)


def test_compression_is_monotone_bounded_and_keeps_the_dark() -> None:
    nits = np.linspace(0, 2000, 4001)
    light = compress(nits)
    assert (np.diff(light) >= -1e-12).all()
    assert light[0] == pytest.approx(0, abs=1e-9)
    assert light[-1] == pytest.approx(1)
    dark = nits < 80
    assert light[dark] == pytest.approx(nits[dark] / 203, abs=1e-6)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_grey_stays_grey_and_grows_with_the_signal(transfer: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    result = to_sdr(np.repeat(ramp[None, :, None], 3, axis=2), transfer).astype(int)
    assert (result.max(axis=2) - result.min(axis=2)).max() <= 1
    assert (np.diff(result[0, :, 1]) >= 0).all()
    assert result[0, 0].tolist() == [0, 0, 0]
    assert result[0, -1].min() >= 254


def test_reference_white_and_twenty_nits_land_where_stated() -> None:
    codes = (nits_to_pq(np.array([20.3, 203.0])) * 65535).round().astype(np.uint16)
    result = to_sdr(np.repeat(codes[None, :, None], 3, axis=2), "pq")
    expected = [255 * 0.1 ** (1 / 2.4), 255 * 0.783 ** (1 / 2.4)]
    assert result[0, :, 1].tolist() == pytest.approx(expected, abs=1)
