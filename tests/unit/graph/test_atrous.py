"""Which atrous convolutions are the head's: stars, grids, and the traps."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import erfscope


def conv(inputs, outputs, kernel=3, rate=1, stride=1, groups=1):
    padding = rate * (kernel // 2)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, rate, groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU()).eval()


class Block(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.first, self.second = conv(4, 4, rate=rate), conv(4, 4, rate=rate)

    def forward(self, x):
        return F.relu(x + self.second(self.first(x)))


def backbone(*rates):
    """Stride 8, then residual blocks of these rates."""
    return nn.Sequential(conv(3, 4, stride=2), conv(4, 4, stride=2), conv(4, 4, stride=2), *map(Block, rates))


class Parallel(nn.Module):
    """Branches on one map, joined by `cat` or added."""

    def __init__(self, rates, *, depthwise=False, add=False, pooled=False):
        super().__init__()
        groups = 4 if depthwise else 1
        self.branches = nn.ModuleList(conv(4, 4, rate=rate, groups=groups) for rate in rates)
        self.one, self.add, self.pooled = conv(4, 4, kernel=1), add, pooled
        self.last = conv(4 if add else 4 * (len(rates) + 1 + pooled), 4)

    def forward(self, x):
        made = [self.one(x), *(branch(x) for branch in self.branches)]
        if self.pooled:
            made.append(F.interpolate(F.adaptive_avg_pool2d(x, 1), size=x.shape[-2:]))
        return self.last(sum(made) if self.add else torch.cat(made, 1))


class Dense(nn.Module):
    """DenseASPP: each branch reads the map and what the branches before it made."""

    def __init__(self, rates):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(conv(4 * (i + 1), 4, kernel=1), conv(4, 4, rate=rate))
            for i, rate in enumerate(rates)
        )

    def forward(self, x):
        for branch in self.branches:
            x = torch.cat([branch(x), x], 1)
        return x


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.bins = nn.ModuleList(conv(4, 4, kernel=1) for _ in range(2))
        self.last = conv(12, 4)

    def forward(self, x):
        pooled = [
            F.interpolate(layer(F.adaptive_avg_pool2d(x, n)), size=x.shape[-2:], mode="bilinear")
            for layer, n in zip(self.bins, (1, 3), strict=True)
        ]
        return self.last(torch.cat([x, *pooled], 1))


class Net(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x


def row(*rates):
    return nn.Sequential(*(conv(4, 4, rate=rate) for rate in rates))


def flat(**parts):
    """The same network whose layers are all children of the network itself."""
    return nn.Sequential(*(layer for part in parts.values() for layer in part))


JPU = {"rates": (2, 4, 8), "depthwise": True}
CASES = {
    "star": (Net(a=backbone(1), b=Parallel((6, 12))), "star", (6, 12), 192),
    "over a dilated backbone": (Net(a=backbone(2, 4), b=Parallel((3, 6), pooled=True)), "star", (3, 6), 96),
    "added branches": (Net(a=backbone(2), b=Parallel((2, 4, 8, 12), add=True)), "star", (2, 4, 8, 12), 192),
    "rate 1 among them": (Net(a=backbone(2), b=Parallel((1, 2, 3))), "star", (1, 2, 3), 48),
    "depthwise": (Net(a=backbone(2), b=Parallel((3, 6), depthwise=True)), "star", (3, 6), 96),
    "one branch": (Net(a=backbone(1), b=conv(4, 4, rate=6)), "star", (6,), 96),
    "in a row": (Net(a=backbone(1), b=row(6, 6)), "grid", (6, 6), 192),
    "in a row, flat": (flat(a=backbone(2, 4), b=row(6, 6)), "grid", (6, 6), 192),
    "dense": (Net(a=backbone(1), b=Dense((3, 6, 12))), "grid", (3, 6, 12), 336),
    "dilated backbone": (Net(a=backbone(2, 4, 8), b=conv(4, 4)), "none", (), None),
    "dilated backbone, flat": (flat(a=backbone(2, 4, 8), b=conv(4, 4)), "none", (), None),
    "dilated backbone, pyramid": (Net(a=backbone(2, 4), b=Pyramid()), "none", (), None),
    "flat": (nn.Sequential(*backbone(2, 4), Parallel((3, 6)), conv(4, 4)), "star", (3, 6), 96),
    "neck, then ASPP": (Net(a=backbone(1), n=Parallel(**JPU), b=Parallel((6, 12))), "star", (6, 12), 192),
    "neck, then pyramid": (Net(a=backbone(1), n=Parallel(**JPU), b=Pyramid()), "none", (), None),
    "decoder, then logits": (Net(a=backbone(2), d=Parallel((3, 6)), s=conv(4, 4)), "star", (3, 6), 96),
    "no atrous convolution": (Net(a=backbone(1), b=Parallel((1, 1))), "none", (), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_which_ones_are_found(name):
    network, pattern, rates, width = CASES[name]
    predicted = erfscope.predict_fov(network, 401)
    assert (predicted.pattern, predicted.rates) == (pattern, rates)
    assert predicted.center_to_center_px == width
    assert predicted.read_stride == (8 if rates else None)


def test_dense_aspp_reads_sums_of_its_steps():
    predicted = erfscope.predict_fov(CASES["dense"][0], 801)
    steps = {0} | {s * 3 + t * 6 + u * 12 for s in (-1, 0, 1) for t in (-1, 0, 1) for u in (-1, 0, 1)}
    assert {dy / 8 for dy, _ in predicted.lattice} == steps
    assert predicted.recommended_rate is None  # no formula holds for it
    assert predicted.recommended_rates is None


class UNetASPP(nn.Module):
    """The ASPP reads the last decoder map, of stride 1."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(conv(3 if i == 0 else 4, 4) for i in range(5))
        self.up = nn.ModuleList(conv(8, 4) for _ in range(4))
        self.aspp = Parallel((12, 24, 36))

    def forward(self, x):
        skips = []
        for i, layer in enumerate(self.down):
            x = layer(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(torch.cat([skip, x], 1))
        return self.aspp(x)


def test_the_stride_that_counts_is_that_of_the_map_that_is_read():
    predicted = erfscope.predict_fov(UNetASPP(), 128)
    assert (predicted.output_stride, predicted.read_stride) == (16, 1)
    assert predicted.center_to_center_px == 72
    assert predicted.recommended_rate == 16
    assert any("stride 1" in flag.message and "r* would be 1.00" in flag.message for flag in predicted.flags)


def test_taps_outside_of_the_map_are_counted():
    network = CASES["star"][0]
    whole, tight, oblong = (erfscope.predict_fov(network, size) for size in (401, 129, (129, 401)))
    assert whole.valid_tap_fraction == (1, 1)
    assert tight.valid_tap_fraction == (1, 1 / 9)  # ±12 cells of a map of 17
    assert oblong.valid_tap_fraction == (1, 3 / 9)
    assert any("rate 12 fall outside" in flag.message for flag in tight.flags)
    # Over all positions: 1 + 2 (n − r)/n of 3 taps an axis.
    assert tight.valid_tap_fraction_map[0] == pytest.approx(((1 + 2 * 11 / 17) / 3) ** 2)
    assert len(tight.lattice) == 9
    assert len(oblong.lattice) == 11
    assert oblong.center_to_center_px == whole.center_to_center_px


def test_a_layer_can_be_the_unit():
    predicted = erfscope.predict_fov(CASES["in a row"][0], (100, 160), unit="a.2")
    assert (predicted.pattern, predicted.output_stride) == ("none", 8)
    assert predicted.projected_center == (48, 80)  # feature (6, 10) of 13 × 20
    assert predicted.theoretical_rf_px == (15, 15)
    rows = np.flatnonzero(predicted.receptive_field.any(1))
    assert (rows[0], rows[-1]) == (41, 55)
