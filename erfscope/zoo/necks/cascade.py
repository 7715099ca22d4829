"""The cascade of DeepLabV3 (arXiv 1706.05587, section 3.2): copies of the last block, ever more atrous.

Not an atrous head: what it appends are residual blocks, as in the backbone before it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.backbones.resnet import BlockStyle, Bottleneck
from erfscope.zoo.blocks import BATCH_NORM, Config, check_output_stride

_FULL_STRIDE = 32


class CascadeNeck(nn.Module):
    """Block5, block6, … in cascade after block4, at its size: each has twice the rate of the one before.

    At output stride 16 block4's rate is 2, and those of three more blocks are 4, 8 and 16; of each block's
    bottlenecks, one a factor of `multi_grid`, the rate is the product. The paper gives block4 the same
    factors: that is the backbone's `multi_grid`.

    Parameters
    ----------
    in_channels
        Channels of the backbone's last map, four times a bottleneck's width.
    blocks
        How many copies; the paper has up to three.
    output_stride
        Output stride of the backbone: 8, 16 or 32.
    multi_grid
        The paper's best is (1, 2, 1).
    norm_cfg
        Norm of all convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        blocks: int = 3,
        output_stride: int = 16,
        multi_grid: Sequence[int] = (1, 1, 1),
        norm_cfg: Config = BATCH_NORM,
    ) -> None:
        super().__init__()
        check_output_stride(output_stride)
        style = BlockStyle(norm=norm_cfg)
        width = in_channels // Bottleneck.expansion
        last_rate = _FULL_STRIDE // output_stride
        self.names = [f"block{5 + i}" for i in range(blocks)]
        for i, name in enumerate(self.names, 1):
            rates = [last_rate * 2**i * factor for factor in multi_grid]
            self.add_module(
                name, nn.Sequential(*(Bottleneck(in_channels, width, 1, rate, style) for rate in rates))
            )

    @staticmethod
    def at_output_stride(config: dict[str, Any], stride: int) -> dict[str, Any]:
        """Change the arguments to another output stride of the backbone.

        Raises
        ------
        NetworkError
            A stride that no cascade is built for.
        """
        check_output_stride(stride)
        return {**config, "output_stride": stride}

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Backbone maps, finest first → those and a last one, of the size and channels of theirs."""
        x = maps[-1]
        for name in self.names:
            x = self.get_submodule(name)(x)
        return *maps, x
