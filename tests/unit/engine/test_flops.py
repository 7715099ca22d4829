"""Operations as torch's own counter has them."""

import torch
from small_networks import SmallNet
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from erfscope.engine.flops import FlopCount


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.conv = nn.Linear(3, 24), nn.ConvTranspose2d(8, 2, 2, 2)

    def forward(self, x):
        q, k, v = self.linear(x.flatten(2).mT).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v) + (q @ k.mT).softmax(-1) @ v
        return self.conv(y.mT.reshape(len(x), 8, *x.shape[2:]))


def test_as_torch_counts():
    for network in (SmallNet(), Attention()):
        counts = []
        for mode in (FlopCounterMode(display=False), FlopCount()):
            image = torch.randn(2, 3, 12, 16, requires_grad=True)
            with mode:
                network(image).sum().backward()
            counts.append(mode.total if isinstance(mode, FlopCount) else mode.get_total_flops())
        assert counts[0] == counts[1] > 0
