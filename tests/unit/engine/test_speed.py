"""The report of `bench`; no absolute time decides anything."""

import pytest
import torch
from small_networks import SmallNet, seeded
from torch import nn

from erfscope.engine.speed import measure_speed


class Scanned(nn.Module):
    """With an operator that no rule knows."""

    def __init__(self):
        super().__init__()
        self.net, self.after = seeded(SmallNet()), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.after(torch.cumsum(self.net(x), 3))


def report(network):
    return measure_speed(network, (65, 97), repeats=1, precision="float32", device="cpu")


@pytest.mark.slow
def test_operators_without_a_rule_are_timed():
    found = report(Scanned())
    assert list(found.without_rule) == ["aten.cumsum.default"]
    assert 0 < found.without_rule["aten.cumsum.default"] < found.seconds * 10
    assert "no rule for aten.cumsum.default ×1" in found.engine["reason"]


@pytest.mark.slow
def test_a_network_of_known_operators():
    found = report(seeded(SmallNet()))
    assert found.without_rule == {}
    assert found.ratio == found.plain_seconds / found.seconds
    assert found.convolution_seconds > 0
    assert 0 < found.engine["flops_needed"] < found.engine["flops_dense"]
