"""The study's star in a real network's map: by a few lines of plain peak finding, and as it is measured."""

import json

import numpy as np
import pytest
from scipy import ndimage

import erfscope


@pytest.fixture(scope="module")
def real_star():
    """DeepLabV3-ResNet-18 at stride 8, rates 12, 24, 36, untrained, 769×769: the study's star, 576 px."""
    model = erfscope.load_model("deeplabv3", backbone="resnet18", output_stride=8)
    return erfscope.compute_erf(model, erfscope.open_dataset("synthetic-leaves", images=10, labels=False))


def test_outermost_blobs_lie_576_px_apart(real_star):
    smooth = ndimage.gaussian_filter(real_star.erf, 12)

    def corner(rows, columns):
        window = smooth[rows, columns]
        y, x = np.unravel_index(window.argmax(), window.shape)
        return rows.start + y, columns.start + x

    low, high = slice(20, 160), slice(610, 749)
    bottom_left, bottom_right = corner(high, low), corner(high, high)
    top_left, top_right = corner(low, low), corner(low, high)
    distances = [
        bottom_right[1] - bottom_left[1],
        top_right[1] - top_left[1],
        bottom_left[0] - top_left[0],
        bottom_right[0] - top_right[0],
    ]
    # 2 · 36 · 8 px. One peak pixel wanders by several px on so few images; the mean of four sides
    # must be within the 1 % that was asked for.
    assert np.mean(distances) == pytest.approx(576, rel=0.01)
    # No peak stands at the window's border, where a slope would fake one.
    for y, x in (bottom_left, bottom_right, top_left, top_right):
        assert min(abs(y - edge) for edge in (20, 159, 610, 748)) > 20
        assert min(abs(x - edge) for edge in (20, 159, 610, 748)) > 20


def test_it_is_measured_with_its_error(real_star):
    star = erfscope.measure_star(real_star)
    assert star.pattern == "star"
    # 2 · 36 · 8 px, from ten images: a standard error of about 1 px.
    assert star.center_to_center_px == pytest.approx(576, abs=3)
    assert 0 < star.center_to_center_stderr_px < 3
    json.dumps(star.summary(), allow_nan=False)
