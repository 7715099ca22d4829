"""DeepLabV2 (arXiv 1606.00915): classifiers of several atrous rates, summed.

This is the head over ResNet-101; that over VGG-16 has two more layers in each branch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.heads.head import Head

#: The paper's small and large pyramid.
ASPP_S = (2, 4, 8, 12)
ASPP_L = (6, 12, 18, 24)


class DeepLabV2Head(Head):
    """One 3×3 classifier a rate, with bias and without norm; their logits are summed.

    Parameters
    ----------
    in_channels
        Channels of the map that the classifiers read.
    dilations
        Their atrous rates.
    dropout_ratio
        Dropout of that map; the paper's head has none.
    """

    classifier_weight = "branches.0.weight"

    @property
    def classifier_weights(self) -> tuple[str, ...]:
        """Names of all classifiers' weights."""
        return tuple(f"branches.{i}.weight" for i in range(len(self.branches)))

    def __init__(
        self,
        in_channels: int,
        *,
        dilations: Sequence[int] = ASPP_L,
        dropout_ratio: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, in_channels, dropout_ratio=dropout_ratio, **options)
        del self.conv_seg
        self.rates = tuple(dilations)
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, self.out_channels, 3, padding=rate, dilation=rate) for rate in dilations
        )

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates."""
        return {**config, "dilations": rates}

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → the one that is read."""
        x: torch.Tensor = self.select(maps)
        return x

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → logits (N, K, h, w)."""
        x = self.dropout(self.features(maps))
        logits: torch.Tensor = self.branches[0](x)
        for branch in self.branches[1:]:
            logits = logits + branch(x)
        return logits
