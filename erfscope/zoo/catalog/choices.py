"""Choices that many networks share: widths, default rates, multi-grid, the form of a head."""

from collections.abc import Sequence
from typing import Any

from erfscope.errors import NetworkError
from erfscope.zoo.backbones.resnet import DEPTHS, BasicBlock
from erfscope.zoo.catalog.backbone_catalog import describe_backbone
from erfscope.zoo.description import Part


def is_narrow(backbone: Part) -> bool:
    """Whether it is a ResNet of basic blocks, for which mmsegmentation's heads are narrower."""
    return backbone["type"] == "ResNet" and DEPTHS[backbone["depth"]][0] is BasicBlock


def head_width(backbone: Part) -> int:
    """Width of mmsegmentation's heads: 128 over ResNet-18 and 34, 512 over all others."""
    return 128 if is_narrow(backbone) else 512


def describe_head(kind: str, in_channels: Any, channels: int, **more: Any) -> dict[str, Any]:
    """Describe a head with batch norm, as all of mmsegmentation's convolutional ones have."""
    return {
        "type": kind, "in_channels": in_channels, "channels": channels, "norm_cfg": {"type": "BN"}, **more
    }  # fmt: skip


def scale_rates(rates_at_16: Sequence[int], output_stride: int) -> tuple[int, ...]:
    """Rates at an output stride that are the same in pixels as those at 16 (Eq. 2 of the study)."""
    return tuple(max(rate * 16 // output_stride, 1) for rate in rates_at_16)


def describe_multi_grid_backbone(backbone: str, output_stride: int, multi_grid: Sequence[int] | None) -> Part:
    """Describe a backbone whose last stage's rate is multiplied by one factor a block (DeepLabV3's sense).

    Raises
    ------
    NetworkError
        The backbone has no such stage, or the factors don't fit its blocks.
    """
    part = describe_backbone(backbone, output_stride)
    if multi_grid is None:
        return part
    if part["type"] == "Xception":  # its exit flow takes the factors themselves
        return {**part, "multi_grid": tuple(multi_grid)}
    if part["type"] != "ResNet":
        raise NetworkError(f"{backbone} has no multi-grid; leave --multi-grid out, or take a ResNet")
    blocks = DEPTHS[part["depth"]][1][-1]
    if len(multi_grid) != blocks or min(multi_grid) < 1:
        raise NetworkError(
            f"a multi-grid of {backbone} needs {blocks} whole numbers from 1 up, not {list(multi_grid)}"
        )
    return {**part, "multi_grid": tuple(part["dilations"][-1] * factor for factor in multi_grid)}
