"""torchvision's own DeepLabV3 and FCN heads, under torchvision's parameter names (`classifier.…`).

They differ from mmsegmentation's: the joined ASPP branches go through a 1×1 projection and one 3×3
convolution, all 256 wide; the FCN head has one convolution a quarter as wide as its input.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.zoo.blocks import resize_like

WIDTH = 256


def _conv_norm_act(
    in_channels: int, out_channels: int, kernel_size: int = 1, dilation: int = 1
) -> list[nn.Module]:
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, 1, padding, dilation, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU()]


class _ASPPPooling(nn.Sequential):
    def __init__(self, in_channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv_norm_act(in_channels, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return resize_like(pooled, x, align_corners=False)


class _ASPP(nn.Module):
    def __init__(self, in_channels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv_norm_act(in_channels, WIDTH)),
                *(nn.Sequential(*_conv_norm_act(in_channels, WIDTH, 3, rate)) for rate in rates),
                _ASPPPooling(in_channels),
            ]
        )
        self.project = nn.Sequential(*_conv_norm_act(len(self.convs) * WIDTH, WIDTH), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.project(torch.cat([branch(x) for branch in self.convs], dim=1))
        return projected


class _TorchvisionHead(nn.Sequential):
    """A sequence of layers that reads the backbone's last map and ends with the classifier."""

    rates: tuple[int, ...] | None = None

    @property
    def classifier_weight(self) -> str:
        """Name of the classifier's weight (K, C, 1, 1) inside the head."""
        return f"{len(self) - 1}.weight"

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → logits (N, K, h, w)."""
        logits: torch.Tensor = super().forward(maps[-1])  # type: ignore[no-untyped-call]
        return logits


class TorchvisionDeepLabHead(_TorchvisionHead):
    """ASPP, a 3×3 convolution, the classifier."""

    def __init__(
        self, in_channels: int, *, num_classes: int, dilations: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__(
            _ASPP(in_channels, dilations), *_conv_norm_act(WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, num_classes, 1)
        )
        self.rates = tuple(dilations)

    @staticmethod
    def with_rates(config: dict[str, Any], rates: tuple[int, ...]) -> dict[str, Any]:
        """Change the arguments to these rates."""
        return {**config, "dilations": rates}


class TorchvisionFCNHead(_TorchvisionHead):
    """One 3×3 convolution and the classifier."""

    def __init__(self, in_channels: int, *, num_classes: int) -> None:
        width = in_channels // 4
        super().__init__(
            *_conv_norm_act(in_channels, width, 3), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1)
        )
