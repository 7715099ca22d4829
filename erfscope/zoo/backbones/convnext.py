"""ConvNeXt (arXiv 2201.03545): 7×7 depthwise convolutions in blocks shaped like a transformer's.

Names of parameters and arguments are mmpretrain's, whose ConvNeXt mmsegmentation's configs use.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.attention import DropPath

STEM_STRIDE = 4
EPS = 1e-6
_SMALL, _LARGE = (3, 3, 9, 3), (3, 3, 27, 3)
ARCHITECTURES: Mapping[str, Mapping[str, Sequence[int]]] = MappingProxyType(
    {
        "tiny": {"depths": _SMALL, "channels": (96, 192, 384, 768)},
        "small": {"depths": _LARGE, "channels": (96, 192, 384, 768)},
        "base": {"depths": _LARGE, "channels": (128, 256, 512, 1024)},
        "large": {"depths": _LARGE, "channels": (192, 384, 768, 1536)},
        "xlarge": {"depths": _LARGE, "channels": (256, 512, 1024, 2048)},
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        f"convnext-{short}": MappingProxyType(
            {"arch": arch, "out_indices": (0, 1, 2, 3), "drop_path_rate": drop_path_rate}
        )
        for short, arch, drop_path_rate in (
            ("t", "tiny", 0.4),
            ("s", "small", 0.3),
            ("b", "base", 0.4),
            ("l", "large", 0.4),
            ("xl", "xlarge", 0.4),
        )
    }
)


class LayerNorm2d(nn.LayerNorm):
    """Norm over the channels of (N, C, H, W), at each position by itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """7×7 depthwise convolution, norm and two linear layers, scaled by channel and added to the input.

    Parameters
    ----------
    layer_scale
        Whether there is the scale `gamma`.
    drop_path
        Probability that the branch is left out in training.
    """

    def __init__(self, channels: int, *, layer_scale: bool, drop_path: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels)) if layer_scale else None
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pointwise_conv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.pointwise_conv2 = nn.Linear(4 * channels, channels)
        self.drop_path = DropPath(drop_path)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Start the scale at 1: the usual 1e-6 would leave no branch to see in an untrained network."""
        if self.gamma is not None:
            self.gamma.fill_(1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, h, w) → the same shape."""
        y = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1))
        y = self.pointwise_conv2(self.act(self.pointwise_conv1(y)))
        if self.gamma is not None:
            y = y * self.gamma
        scaled: torch.Tensor = self.drop_path(y.permute(0, 3, 1, 2))
        return x + scaled


class ConvNeXt(nn.Module):
    """A ConvNeXt with a norm on each map that comes out. Its maps shrink by 4, 8, 16 and 32.

    Parameters and their defaults are mmpretrain's.

    Parameters
    ----------
    arch
        One of `ARCHITECTURES`, or {"depths": …, "channels": …} with an entry for each stage.
    drop_path_rate
        Probability that the last block's branch is left out in training; the first's is 0.
    layer_scale_init_value
        Blocks have a scale where it is positive.
    out_indices
        Stages whose maps come out, one or several; negative ones count from the last.

    Raises
    ------
    NetworkError
        There is no such architecture.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = "tiny",
        *,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        out_indices: int | Sequence[int] = -1,
    ) -> None:
        super().__init__()
        if isinstance(arch, str):
            if arch not in ARCHITECTURES:
                raise NetworkError(f"there is no ConvNeXt {arch!r}; known: {', '.join(ARCHITECTURES)}")
            arch = ARCHITECTURES[arch]
        depths, channels = arch["depths"], arch["channels"]
        chosen = [out_indices] if isinstance(out_indices, int) else out_indices
        self.out_indices = tuple(sorted(i % len(depths) for i in chosen))
        step = drop_path_rate / max(sum(depths) - 1, 1)
        self.downsample_layers = nn.ModuleList([_stem(in_channels, channels[0])])
        self.downsample_layers.extend(_shrink(*pair) for pair in pairwise(channels))
        self.stages = nn.ModuleList()
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            before = sum(depths[:stage])
            self.stages.append(
                nn.Sequential(
                    *(
                        ConvNeXtBlock(width, layer_scale=layer_scale_init_value > 0, drop_path=step * i)
                        for i in range(before, before + depth)
                    )
                )
            )
        for stage in self.out_indices:
            self.add_module(f"norm{stage}", LayerNorm2d(channels[stage], eps=EPS))
        self.channels = tuple(channels[stage] for stage in self.out_indices)
        self.output_stride = STEM_STRIDE * 2 ** self.out_indices[-1]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, H, W) → the normalized feature maps of the stages in `out_indices`."""
        x, maps = image, []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            if i in self.out_indices:
                maps.append(self.get_submodule(f"norm{i}")(x))
        return tuple(maps)


def _stem(in_channels: int, channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, STEM_STRIDE, STEM_STRIDE)
    return nn.Sequential(conv, LayerNorm2d(channels, eps=EPS))


def _shrink(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(LayerNorm2d(before, eps=EPS), nn.Conv2d(before, after, 2, 2))
