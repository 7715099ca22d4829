"""A stack of linear convolutions has a gradient that can be written down: the convolved kernels."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

import erfscope

pytestmark = pytest.mark.representative


def dilated(kernel: np.ndarray, rate: int) -> np.ndarray:
    spread = np.zeros([(size - 1) * rate + 1 for size in kernel.shape])
    spread[::rate, ::rate] = kernel
    return spread


@pytest.mark.parametrize(("size", "unit"), [((41, 41), None), ((40, 52), None), ((41, 47), (3, 45))])
def test_map_is_the_convolved_kernels(size, unit):
    rates = (1, 2, 3, 5)
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(3, 3)) for _ in rates]
    layers = [nn.Conv2d(1, 1, 3, padding=rate, dilation=rate, bias=False) for rate in rates]
    for layer, kernel in zip(layers, kernels, strict=True):
        layer.weight.data = torch.from_numpy(kernel)[None, None]
    to_gray = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.ones_(to_gray.weight)
    images = [torch.randn(3, *size) for _ in range(3)]

    erf = erfscope.compute_erf(nn.Sequential(to_gray, *layers), images, unit=unit, precision="float64")

    impulse = np.zeros(size)
    y, x = unit or (size[0] // 2, size[1] // 2)
    impulse[y, x] = 1.0
    expected = impulse
    for kernel, rate in zip(kernels[::-1], rates[::-1], strict=True):
        # Backward through a cross-correlation is a convolution; "same" cuts where the padding was.
        expected = convolve2d(expected, dilated(kernel, rate), mode="same")
    expected = 3 * expected  # three image channels of weight one
    peak = np.abs(expected).max()
    # Sums of a few hundred float64 products agree to some 1e-15 of the peak.
    np.testing.assert_allclose(erf.gradient_sum / 3, expected, atol=1e-13 * peak)
    np.testing.assert_allclose(erf.erf / 3, np.maximum(expected, 0), atol=1e-13 * peak)
    np.testing.assert_allclose(erf.gradient_square_sum / 3, expected**2, atol=1e-13 * peak**2)
