"""The fully convolutional head (arXiv 1411.4038), and FCN-D6 with two atrous convolutions in a row."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.heads.head import Head


class FCNHead(Head):
    """3×3 convolutions in a row, their output joined with their input by one more.

    Parameters
    ----------
    num_convs, kernel_size
        Number and size of the convolutions in a row; without any, the head is its classifier alone.
    concat_input
        Join input and output.
    dilation
        Their atrous rate, or one for each: 1 is FCN, 6 is FCN-D6.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_convs: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int | Sequence[int] = 1,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, **options)
        rates = (dilation,) * num_convs if isinstance(dilation, int) else tuple(dilation)
        self.rates = rates if any(rate > 1 for rate in rates) else None
        self.convs = nn.Sequential(
            *(
                self.conv(self.in_channels if i == 0 else channels, channels, kernel_size, dilation=rate)
                for i, rate in enumerate(rates)
            )
        )
        self.conv_cat = (
            self.conv(self.in_channels + channels, channels, kernel_size) if concat_input else None
        )

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates, one for each convolution, or one for all.

        Raises
        ------
        NetworkError
            The head has no atrous convolutions.
        """
        if config.get("dilation", 1) == 1:
            raise NetworkError("an FCN head has no atrous rates; leave --rates out, or take fcn-d6")
        count = config.get("num_convs", 2)
        return {**config, "dilation": rates * count if len(rates) == 1 else rates}

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps → (N, channels, h, w) at the size of the map that is read."""
        x: torch.Tensor = self.select(maps)
        y: torch.Tensor = self.convs(x)
        return y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1))
