"""The head of DPT (arXiv 2103.13413): a pyramid of a transformer's maps, fused coarse to fine."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import BATCH_NORM, RELU, Config, ConvNormAct, resize_like
from erfscope.zoo.heads.head import Head

READOUTS = ("ignore", "add", "project")


class ReassembleBlocks(nn.Module):
    """Tokens of four layers to maps at 4, 2, 1 and ½ times their size (section 3.1 of the paper).

    Parameters
    ----------
    in_channels
        C, of the tokens.
    out_channels
        Channels of the four maps.
    readout_type
        What becomes of the class token: "ignore" drops it, "add" adds it to each patch's, "project" joins
        the two and projects them to C channels again.
    """

    def __init__(self, in_channels: int, out_channels: Sequence[int], readout_type: str) -> None:
        super().__init__()
        if readout_type not in READOUTS:
            raise NetworkError(f"readout {readout_type!r} is not known; known: {', '.join(READOUTS)}")
        self.readout_type = readout_type
        self.projects = nn.ModuleList(
            ConvNormAct(in_channels, width, 1, norm=None, activation=None) for width in out_channels
        )
        quadruple, double, _, half = out_channels
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(quadruple, quadruple, 4, 4),
                nn.ConvTranspose2d(double, double, 2, 2),
                nn.Identity(),
                nn.Conv2d(half, half, 3, 2, 1),
            ]
        )
        if readout_type == "project":
            self.readout_projects = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * in_channels, in_channels), nn.GELU()) for _ in out_channels
            )

    def forward(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
        """Four pairs of a map (N, C, h, w) and a class token (N, C) → four maps."""
        maps = [self._read_out(i, x, cls_token) for i, (x, cls_token) in enumerate(pairs)]
        layers = zip(maps, self.projects, self.resize_layers, strict=True)
        return [resize(project(x)) for x, project, resize in layers]

    def _read_out(self, i: int, x: torch.Tensor, cls_token: torch.Tensor) -> torch.Tensor:
        if self.readout_type == "ignore":
            return x
        if self.readout_type == "add":
            return x + cls_token[:, :, None, None]
        joined = torch.cat([x, cls_token[:, :, None, None].expand_as(x)], dim=1)
        projected: torch.Tensor = self.readout_projects[i](joined.permute(0, 2, 3, 1))
        return projected.permute(0, 3, 1, 2)


class PreActResidualConvUnit(nn.Module):
    """Twice ReLU, 3×3 convolution and norm, with a shortcut around all."""

    def __init__(self, channels: int, norm: Config) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(channels, channels, 3, bias=False, norm=norm, activation=None)
        self.conv2 = ConvNormAct(channels, channels, 3, bias=False, norm=norm, activation=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, h, w)."""
        y: torch.Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + y


class FeatureFusionBlock(nn.Module):
    """Adds a finer map to a coarse one and doubles its size (RefineNet's, arXiv 1611.06612).

    Parameters
    ----------
    with_skip
        There is a finer map to add.
    """

    def __init__(self, channels: int, norm: Config, *, with_skip: bool) -> None:
        super().__init__()
        self.project = ConvNormAct(channels, channels, 1, norm=None, activation=None)
        self.res_conv_unit1 = PreActResidualConvUnit(channels, norm) if with_skip else None
        self.res_conv_unit2 = PreActResidualConvUnit(channels, norm)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) → (N, C, 2h, 2w); a finer map of another size is resized first."""
        if self.res_conv_unit1 is not None:
            if skip.shape != x.shape:
                skip = resize_like(skip, x, align_corners=False)
            x = x + self.res_conv_unit1(skip)
        x = F.interpolate(self.res_conv_unit2(x), scale_factor=2, mode="bilinear", align_corners=True)
        fused: torch.Tensor = self.project(x)
        return fused


class DPTHead(Head):
    """Maps and class tokens of four layers, reassembled to a pyramid and fused.

    Reads a `VisionTransformer` with `output_cls_token`; takes `input_transform="multiple_select"` and four
    indices in `in_index`.

    Parameters
    ----------
    embed_dims
        Channels of the tokens.
    post_process_channels
        Channels of the pyramid's maps, finest first.
    readout_type
        See `ReassembleBlocks`.
    norm_cfg
        Norm of the fusion's convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        embed_dims: int = 768,
        post_process_channels: Sequence[int] = (96, 192, 384, 768),
        readout_type: str = "ignore",
        norm_cfg: Config = BATCH_NORM,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, channels, norm_cfg=norm_cfg, act_cfg=RELU, **options)
        self.reassemble_blocks = ReassembleBlocks(embed_dims, post_process_channels, readout_type)
        self.convs = nn.ModuleList(
            ConvNormAct(width, channels, 3, bias=False, norm=None, activation=None)
            for width in post_process_channels
        )
        self.fusion_blocks = nn.ModuleList(
            FeatureFusionBlock(channels, norm_cfg, with_skip=i > 0) for i in range(len(self.convs))
        )
        self.project = self.conv(channels, channels, 3)

    def features(self, maps: Sequence[Any]) -> torch.Tensor:
        """Pairs of a map (N, C, h, w) and a class token (N, C) → (N, channels, 16·⌈h / 2⌉, 16·⌈w / 2⌉)."""
        pyramid = self.reassemble_blocks(self.select(maps))
        levels = [conv(x) for conv, x in zip(self.convs, pyramid, strict=True)][::-1]
        x = levels[0]
        for fuse, level in zip(self.fusion_blocks, levels, strict=True):
            x = fuse(x, level)
        features: torch.Tensor = self.project(x)
        return features
