"""Random knots of operations: sums that share memory, values that are read twice, parts that overlap."""

import random

import pytest
import torch
from tiers import representatives
from torch import nn
from torch.nn import functional as F

from erfscope.graph.access_graph import build_access_graph
from erfscope.graph.capture import capture
from erfscope.graph.prune import prune
from erfscope.graph.regions import whole

SIZE = (19, 22)


class Knot(nn.Module):
    """Operations on randomly chosen earlier values."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        torch.manual_seed(seed)
        self.wide, self.point = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.join = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        rng = random.Random(self.seed)
        values = [x, self.point(x)]
        operations = {
            "add": lambda a, b: a + b,
            "in place": lambda a, b: F.relu(self.point(a) + b, inplace=True),
            "view": lambda a, b: a.view(a.shape),
            "wide": lambda a, b: self.wide(a),
            "relu": lambda a, b: a.relu(),
            "join": lambda a, b: self.join(torch.cat([a, b], 1)),
            "shift": lambda a, b: F.pad(a[:, :, 1:, :-2], (1, 1, 0, 1)) + b,
            "pool": lambda a, b: a + F.interpolate(F.adaptive_avg_pool2d(b, 2), size=SIZE, mode="bilinear"),
        }
        for _ in range(8):
            name = rng.choice(["add", "add", "add", *operations])
            values.append(operations[name](*rng.sample(values, 2)))
        return sum(rng.sample(values[2:], 4), start=values[-1])


@pytest.mark.parametrize("channel_sum", [False, True])
@pytest.mark.parametrize("seed", representatives(range(60), range(20)))
def test_knots(seed, channel_sum):
    module = Knot(seed).double().eval().requires_grad_(False)
    image = torch.randn(1, 3, *SIZE, dtype=torch.float64)
    y, x = seed % SIZE[0], (7 * seed) % SIZE[1]
    leaf = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(module(leaf)[0, :, y, x].sum(), leaf)
    captured = capture(module, image)
    region = list(whole(captured.output.meta["val"].shape))
    region[2], region[3] = region[2][y : y + 1], region[3][x : x + 1]
    program = prune(build_access_graph(captured), tuple(region), channel_sum=channel_sum)
    _, gradient = program.gradient(image, lambda output: output.sum((1, 2, 3)))
    if channel_sum:
        expected = expected.sum(1, keepdim=True)
    # Two orders of a few thousand float64 products.
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12 * float(expected.abs().max()))
