"""Cuts and radial profiles against slow derivations."""

import numpy as np
import pytest

from erfscope.report.profiles import axis_cut, cut_step, cut_width, radial_profile


@pytest.mark.parametrize("center", [(100.0, 140.0), (98.5, 143.2), (0.0, 299.0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_cut_is_the_mean_of_its_band(center, axis):
    image = np.random.default_rng(0).random((200, 300))
    width, step = cut_width(image.shape), cut_step(cut_width(image.shape))
    assert (width, step) == (5, 1)
    positions, values = axis_cut(image, center, axis)
    across = round(center[1 - axis])
    band = [k for k in range(across - 2, across + 3) if 0 <= k < image.shape[1 - axis]]
    for i in (0, 57, image.shape[axis] - 1):
        pixels = [image[k, i] if axis else image[i, k] for k in band]
        assert values[i] == pytest.approx(np.mean(pixels), rel=1e-12)
        assert positions[i] == i - center[axis]


def test_wide_cuts_are_averaged_along_as_well():
    image = np.broadcast_to(np.arange(770.0), (769, 770))
    positions, values = axis_cut(image, (384.0, 384.0), 1)
    np.testing.assert_allclose(values, positions + 384)  # means of a slope lie on it
    assert len(values) == -(-770 // cut_step(cut_width(image.shape)))


def test_radial_profile():
    image = np.random.default_rng(0).random((31, 40))
    radii, means = radial_profile(image, (12.0, 17.5))
    y, x = np.indices(image.shape)
    ring = np.rint(np.hypot(y - 12, x - 17.5))
    assert list(radii) == sorted(set(ring.ravel()))
    np.testing.assert_allclose(means, [image[ring == radius].mean() for radius in radii])
