"""The predicted receptive field against the support of the gradient, pixel for pixel in float64.

The networks are made positive, so that nothing cancels: equal positive weights, average pooling for
maximum pooling. Values go down to 1e-31, float64 holds them. That real weights see nothing else is
asserted where their gradients are at hand: test_pruned_equals_plain.py.
"""

import numpy as np
import pytest
import torch
from small_networks import network
from tiers import NETWORKS, representatives
from torch import nn

import erfscope
from erfscope.theory import grid_center_to_center, star_center_to_center
from erfscope.zoo.catalog.entries import CATALOG


def positive(model):
    """Make weights equal and positive, and take out what subtracts: maxima, norms of tokens, gates."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
            if isinstance(child, (nn.LayerNorm, nn.GELU, nn.Hardswish)):
                setattr(module, name, nn.Identity())
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return model


def support(model, size, unit):
    image = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(model(image)[0, :, unit[0], unit[1]].sum(), image)
    return (gradient[0] != 0).any(0).numpy()


def without_global(model):
    """Cut what pools the whole map, at the convolution after it."""
    for module in model.modules():
        if isinstance(module, nn.Sequential) and any(
            isinstance(m, nn.AdaptiveAvgPool2d) for m in module.children()
        ):
            for conv in module.modules():
                if isinstance(conv, nn.Conv2d):
                    nn.init.zeros_(conv.weight)
    return model


CASES = [((193, 257), None, {}), ((192, 256), (5, 250), {"align_corners": True}), ((200, 120), (199, 3), {})]
# Attention and encodings multiply values of the map with each other, all of it.
MIXING = ["ann", "danet", "dpt", "encnet", "fastfcn-enc", "lraspp", "nonlocal", "segformer"]
MIXING += [name for name in CATALOG if name.startswith(("setr", "segmenter"))]
PLAIN = [name for name in CATALOG if name not in MIXING]
CORE = ["fcn", "fcn-d6", "pspnet", "deeplabv3", "torchvision-deeplabv3"]
PLACED = [("deeplabv3plus", *case) for case in CASES]
PLACED += [(name, *CASES[number % 3]) for number, name in enumerate(CORE)]


def chosen(names):
    return representatives(names, [name for name in names if name in NETWORKS])


def check_support(name, size, unit, options):
    model = positive(network(name, **options))
    predicted = erfscope.predict_fov(model, size, unit=unit)
    unit = (predicted.unit.y, predicted.unit.x)
    seen = support(model, size, unit)
    np.testing.assert_array_equal(predicted.receptive_field, seen)
    rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    assert predicted.theoretical_rf_px == (np.ptp(rows) + 1, np.ptp(columns) + 1)
    local = support(without_global(model), size, unit)
    np.testing.assert_array_equal(predicted.receptive_field_without_global, local)


@pytest.mark.parametrize(("name", "size", "unit", "options"), representatives(PLACED, PLACED[1:2]))
def test_it_is_the_support_of_the_gradient(name, size, unit, options):
    check_support(name, size, unit, options)


@pytest.mark.slow
@pytest.mark.parametrize("name", chosen([name for name in PLAIN if name not in (*CORE, "deeplabv3plus")]))
def test_it_is_that_for_every_plain_network(name):
    check_support(name, (65, 98), (60, 7), {})


@pytest.mark.parametrize("name", chosen(MIXING))
def test_it_is_that_for_every_network_that_mixes(name):
    model = positive(network(name))
    predicted = erfscope.predict_fov(model, (65, 98), unit=(60, 7))
    np.testing.assert_array_equal(predicted.receptive_field, support(model, (65, 98), (60, 7)))


SHAPES = [((385, 385), True), ((384, 512), False), ((384, 512), True), ((65, 97), True), ((65, 97), False)]
GRIDS = [(16, (6, 12, 18)), (8, (12, 24, 36)), (16, (1, 2, 3)), (8, (5, 7))]
CLOSED = [("deeplabv3plus", *GRIDS[0], *shape) for shape in SHAPES]
CLOSED += [(name, *grid, *SHAPES[2]) for name in ("deeplabv3", "deeplabv3plus") for grid in GRIDS[1:]]


@pytest.mark.parametrize(
    ("name", "stride", "rates", "size", "align_corners"), representatives(CLOSED, CLOSED[3:4])
)
def test_stars_follow_the_closed_form(name, stride, rates, size, align_corners):
    model = network(name, output_stride=stride, rates=rates, align_corners=align_corners)
    predicted = erfscope.predict_fov(model, size)
    assert predicted.pattern == "star"
    assert (predicted.rates, predicted.output_stride, predicted.read_stride) == (rates, stride, stride)
    assert predicted.center_to_center_px == star_center_to_center(rates, stride)
    assert predicted.end_to_end_convention_px == predicted.center_to_center_px + 32
    # 8n+1 px with aligned corners, and 8n+1 px anyway, put the unit on a cell.
    y, x = predicted.projected_center
    if size[0] % stride == 1 and size[1] % stride == 1:
        assert (y, x) == (size[0] // 2, size[1] // 2)
    elif not align_corners:
        assert (y, x) == (size[0] // 2 - (stride - 1) / 2, size[1] // 2 - (stride - 1) / 2)
    expected = {(0, 0)} | {(dy * r, dx * r) for r in rates for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    cells = [-(-length // stride) for length in size]
    expected = {
        (dy * stride, dx * stride)
        for dy, dx in expected
        if all(-1 < c / stride + d < n for c, d, n in zip((y, x), (dy, dx), cells, strict=True))
    }
    assert set(predicted.lattice) == expected
    assert len(predicted.lattice) == len(expected)


@pytest.mark.slow
@pytest.mark.representative
def test_a_grid_is_the_sum_of_its_rates():
    for size, rates in ((769, (6, 6)), (257, (2, 2))):
        model = network("fcn-d6", rates=rates) if rates != (6, 6) else network("fcn-d6")
        predicted = erfscope.predict_fov(model, size)
        assert (predicted.pattern, predicted.rates, len(predicted.lattice)) == ("grid", rates, 25)
        assert predicted.center_to_center_px == grid_center_to_center(rates, 16)
        assert predicted.recommended_rate == pytest.approx((size - 32) / (4 * 16))


@pytest.mark.parametrize("name", representatives(["fcn", "pspnet", "torchvision-fcn"], ["pspnet"]))
def test_a_dilated_backbone_alone_makes_neither(name):
    options = {} if name.startswith("torchvision") else {"multi_grid": (1, 2)}
    predicted = erfscope.predict_fov(network(name, output_stride=8, **options), 129)
    assert (predicted.pattern, predicted.rates, predicted.recommended_rate) == ("none", (), None)
    assert predicted.center_to_center_px is None
