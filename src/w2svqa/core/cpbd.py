"""CPBD: the share of edges whose blur nobody would notice: a teacher by itself, and a low-level metric.

Source: N. D. Narvekar, L. J. Karam, "A No-Reference Image Blur Metric Based on the Cumulative Probability of Blur
Detection (CPBD)", IEEE TIP 20(9), 2011 (doi 10.1109/TIP.2011.2131660), with the edge finders of python-cpbd, a port of
the authors' release.

The paper sums the histogram of P = 1 - exp(-(w / w_jnb)^3.6) up to 63 %. Widths w are whole pixels and P is 63.2 % at
w = w_jnb, so the sum is the share of widths of at most w_jnb; that is what is counted here, without exponentials.

Departures: Canny's edges, which only tell blocks with edges from flat ones, come from OpenCV, on grey levels rounded
to 1/32; a picture without any edge has no score, where the port says 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2svqa.core.extras import require

BLOCK = 64
"""Height and width of a block, in pixels."""

_EDGE_SHARE = 0.002  # of a block's pixels: with fewer it is flat (section III-B)
_SHARP_CONTRAST = 51  # grey levels within a block: from here on the narrower width is just noticed (section III-A)
_NOTICED = (5, 3)  # pixels: the just noticeable widths below and from that contrast
_LONGEST = 100  # pixels that an edge is followed to each side
_STEEPEST = np.tan(np.pi / 8)  # a gradient within 22.5 degrees of the rows counts as along them
_SMOOTHING = 1.0  # pixels
_CANNY_STEPS = np.int16(32)  # of a grey level: the most with which Sobel's sums fit 16 bits, which OpenCV wants
_CANNY = (0.1, 0.2)  # grey levels

Grey = NDArray[np.uint8]
"""uint8 ``(height, width)``, grey levels 0-255."""

_Rows = NDArray[np.intp]


def sharpness(grey: Grey) -> float:
    """Return CPBD of a picture, 0 to 1; NaN if no block of 64x64 pixels has an edge.

    Args:
        grey: uint8 ``(height, width)``, at least 64x64; what lies beyond the last whole block does not count.

    Source: TIP 2011, section III.
    """
    rows, columns = _along_rows(grey, *np.nonzero(_thin_edges(grey)))
    down, across = (size // BLOCK for size in grey.shape)
    whole = (rows < down * BLOCK) & (columns < across * BLOCK)
    rows, columns = rows[whole], columns[whole]
    noticed = _noticed_widths(grey[: down * BLOCK, : across * BLOCK], _canny(grey)[: down * BLOCK, : across * BLOCK])
    limits = noticed[rows // BLOCK, columns // BLOCK]
    counted = limits > 0
    if not counted.any():
        return float("nan")
    rows, columns, limits = rows[counted], columns[counted], limits[counted]
    return float(np.mean(_widths(grey, rows, columns) <= limits))


def _thin_edges(grey: Grey) -> NDArray[np.bool_]:
    """Return where Sobel's response to upright edges is strong and greater than on both sides."""
    cv2 = require("cv2", extra="train")
    response = np.abs(cv2.Sobel(grey, cv2.CV_16S, 1, 0, borderType=cv2.BORDER_REFLECT))  # 8 times the mean difference
    mean_square = cv2.norm(response, cv2.NORM_L2) ** 2 / 64 / response.size
    weak = int(np.sqrt(64 * 2 * np.sqrt(mean_square)))
    response *= response > weak
    padded = np.pad(response, 1)
    across = (response > padded[1:-1, :-2]) & (response > padded[1:-1, 2:])
    along = (response > padded[:-2, 1:-1]) & (response > padded[2:, 1:-1])
    found: NDArray[np.bool_] = across | along
    return found


def _along_rows(grey: Grey, rows: _Rows, columns: _Rows) -> tuple[_Rows, _Rows]:
    """Keep the edges whose gradient runs along their row; as in the release, also those without one to the sides."""
    height, width = grey.shape
    inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    rows, columns = rows[inside], columns[inside]
    flat, start = grey.reshape(-1), rows * width + columns
    sideways = flat[start + 1].astype(np.int16) - flat[start - 1]
    downwards = flat[start + width].astype(np.int16) - flat[start - width]
    kept = (sideways == 0) | (np.abs(downwards) <= _STEEPEST * np.abs(sideways))
    return rows[kept], columns[kept]


def _widths(grey: Grey, rows: _Rows, columns: _Rows) -> NDArray[np.intp]:
    """Return how wide the edges at these places are, in pixels: from the extremum on one side to that on the other."""
    falls = grey[rows, columns + 1] < grey[rows, columns - 1]
    return _distance(grey, rows, columns, -1, falls) + _distance(grey, rows, columns, 1, ~falls)


def _distance(grey: Grey, rows: _Rows, columns: _Rows, step: int, rises: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how many pixels the grey level goes on to rise (or fall) from the neighbour on, and one for that."""
    width = grey.shape[1]
    # falling is rising of the negative; unsigned levels become signed on the way
    signs = np.where(rises, 1, -1).astype(np.int16)
    flat, here = grey.reshape(-1), rows * width + columns + step
    left = columns + step if step < 0 else width - 1 - columns - step  # pixels to the border
    distance = np.ones(len(rows), np.intp)
    going = np.arange(len(rows))
    for _ in range(_LONGEST):
        going = going[left[going] > 0]
        level = flat[here[going]].astype(np.int16)
        going = going[(flat[here[going] + step] - level) * signs[going] > 0]
        if not len(going):
            break
        distance[going] += 1
        here[going] += step
        left[going] -= 1
    return distance


def _canny(grey: Grey) -> NDArray[np.uint8]:
    cv2 = require("cv2", extra="train")
    smooth = cv2.GaussianBlur(grey.astype(np.int16) * _CANNY_STEPS, (0, 0), _SMOOTHING)
    gradients = [cv2.Sobel(smooth, cv2.CV_16S, *order) for order in ((1, 0), (0, 1))]
    low, high = (level * _CANNY_STEPS for level in _CANNY)
    edges: NDArray[np.uint8] = cv2.Canny(*gradients, low, high, L2gradient=True)
    return edges


def _noticed_widths(grey: Grey, edges: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the just noticeable width of each block; 0 for those without edges, which do not count."""
    down, across = (size // BLOCK for size in grey.shape)
    blocks = grey.reshape(down, BLOCK, across, BLOCK)
    contrast = blocks.max(axis=(1, 3)).astype(np.intp) - blocks.min(axis=(1, 3))
    count = np.count_nonzero(edges.reshape(down, BLOCK, across, BLOCK), axis=(1, 3))
    widths = np.where(contrast < _SHARP_CONTRAST, *_NOTICED)
    return np.where(count > _EDGE_SHARE * BLOCK * BLOCK, widths, 0)
