"""The graph gives the network's own gradient, or steps aside and says why."""

import re

import numpy as np
import pytest
import torch
from small_networks import noise_images
from torch import nn
from torch.utils import checkpoint

import erfscope
from erfscope.errors import ComputeError


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 5 * gradient  # not what the forward says


@torch.no_grad()
def without_gradient(layer, x):
    return layer(x)


def data_of(layer, x):
    with torch.no_grad():
        return layer(x) + 1


def half_doubled(layer, x):
    y = layer(x)
    y[:, :2].mul_(2)
    return y + 1


def hooked(layer, x):
    y = layer(x)
    if y.requires_grad:
        y.register_hook(lambda gradient: -gradient)
    return y


TRICKS = {
    "no_grad": (data_of, "dense", "turns gradients off"),
    "no_grad function": (without_gradient, "dense", "turns gradients off"),
    "custom backward": (lambda layer, x: Scaled.apply(layer(x)), "dense", "backward of its own \\(Scaled\\)"),
    "gradient hook": (hooked, "dense", "hooks into its own gradients"),
    "value": (lambda layer, x: layer(x) * (1 if float(x.mean()) > -1e9 else 2), "dense", "fake tensors"),
    "detach": (lambda layer, x: layer(x).detach() * layer(x), "graph", "reads 3×3 px"),
    "round": (lambda layer, x: layer(x).round() + layer(x), "graph", "no rule for aten.round"),
    "where": (lambda layer, x: torch.where(layer(x) > 0, layer(x), x[:, :1]), "graph", "no rule for"),
    "mask": (lambda layer, x: layer(x) * (layer(x) > 0.1), "graph", "no rule for"),
    "largest": (lambda layer, x: layer(x) - layer(x).max(1, keepdim=True).values, "dense", "several results"),
    "slice assignment": (half_doubled, "graph", "no rule for"),
    "checkpoint": (lambda layer, x: checkpoint.checkpoint(layer, x, use_reentrant=False), "graph", "3×3 px"),
}


class Trick(nn.Module):
    def __init__(self, trick):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.mix = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.side, self.trick = nn.Conv2d(3, 4, 1), trick

    def forward(self, x):
        return self.mix(self.trick(self.layer, x)) + self.side(x)


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_with_gradients(name):
    trick, mode, reason = TRICKS[name]
    model, images = Trick(trick), noise_images(2, (16, 18))
    chosen, dense = (
        erfscope.compute_erf(model, images, precision="float64", formula="luo2016", engine=engine)
        for engine in ("auto", "dense")
    )
    np.testing.assert_allclose(chosen.erf, dense.erf, rtol=1e-12, atol=1e-12 * dense.erf.max())
    plan = chosen.provenance["engine"]
    assert plan["mode"] == mode, plan["reason"]
    assert re.search(reason, plan["reason"]), plan["reason"]
    assert dense.provenance["engine"]["mode"] == "dense"


def test_unknown_engine(small_net):
    with pytest.raises(ComputeError, match="expected auto, dense"):
        erfscope.compute_erf(small_net, noise_images(1, (8, 8)), engine="fast")
