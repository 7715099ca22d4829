"""DeepLab and its kin: networks with atrous convolutions in parallel."""

from collections.abc import Sequence
from typing import Any

from erfscope.zoo.adjust import with_rates
from erfscope.zoo.catalog.backbone_catalog import backbone_channels, describe_backbone
from erfscope.zoo.catalog.choices import (
    describe_head,
    describe_multi_grid_backbone,
    head_width,
    is_narrow,
    scale_rates,
)
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.heads.deeplabv2 import ASPP_L
from erfscope.zoo.heads.dense_aspp import RATES as DENSE_RATES

_RATES_AT_16 = (6, 12, 18)
# Low-level channels of DeepLabV3+: the paper's 48, and mmsegmentation's choice for narrow backbones.
_LOW_LEVEL, _NARROW_LOW_LEVEL = 48, 12


def deeplabv2(
    *, backbone: str = "resnet101", output_stride: int = 8, rates: Sequence[int] | None = None
) -> NetworkDescription:
    """Sum atrous classifiers: ASPP-L by default, ASPP-S with the rates 2, 4, 8, 12."""
    part = describe_backbone(backbone, output_stride)
    head = {"type": "DeepLabV2Head", "in_channels": backbone_channels(part)[-1]}
    return with_rates(
        NetworkDescription(part, head), _scale(ASPP_L, output_stride) if rates is None else rates
    )


def deeplabv3(
    *,
    backbone: str = "resnet50-v1c",
    output_stride: int = 8,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    separable: bool = False,
) -> NetworkDescription:
    """Put ASPP on the last map, as wide as mmsegmentation's."""
    part = describe_multi_grid_backbone(backbone, output_stride, multi_grid)
    head = describe_head("ASPPHead", backbone_channels(part)[-1], head_width(part))
    if separable:
        head["separable"] = True
    return _with_aspp_rates(NetworkDescription(part, head), rates, output_stride)


def deeplabv3_paper(
    *,
    backbone: str = "resnet101-beta",
    output_stride: int = 16,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    image_pooling: bool = True,
    separable: bool = False,
) -> NetworkDescription:
    """Put ASPP on the last map, as wide as the paper's and joined by a 1×1 convolution."""
    part = describe_multi_grid_backbone(backbone, output_stride, multi_grid)
    head = {
        "type": "PaperASPPHead",
        "in_channels": backbone_channels(part)[-1],
        "image_pooling": image_pooling,
        "separable": separable,
    }
    return _with_aspp_rates(NetworkDescription(part, head), rates, output_stride)


def deeplabv3_cascade(
    *, backbone: str = "resnet50-v1c", output_stride: int = 16, multi_grid: Sequence[int] | None = None
) -> NetworkDescription:
    """Append blocks 5 to 7, copies of the last stage with growing rates, in place of ASPP."""
    part = describe_multi_grid_backbone(backbone, output_stride, multi_grid)
    channels = backbone_channels(part)[-1]
    neck: dict[str, Any] = {
        "type": "CascadeNeck",
        "in_channels": channels,
        "output_stride": output_stride,
    }
    if multi_grid is not None:
        neck["multi_grid"] = tuple(multi_grid)
    return NetworkDescription(part, describe_head("FCNHead", channels, head_width(part)), neck)


def deeplabv3plus(
    *,
    backbone: str = "resnet50-v1c",
    output_stride: int = 8,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    separable: bool = True,
    low_level_channels: int | None = None,
) -> NetworkDescription:
    """Decode ASPP on the last map together with the first, as wide as mmsegmentation's."""
    part = describe_multi_grid_backbone(backbone, output_stride, multi_grid)
    low_level, *_, channels = backbone_channels(part)
    default = _NARROW_LOW_LEVEL if is_narrow(part) else _LOW_LEVEL
    head = describe_head(
        "DepthwiseSeparableASPPHead",
        channels,
        head_width(part),
        c1_in_channels=low_level,
        c1_channels=default if low_level_channels is None else low_level_channels,
    )
    if not separable:
        head["separable"] = False
    return _with_aspp_rates(NetworkDescription(part, head), rates, output_stride)


def deeplabv3plus_paper(
    *,
    backbone: str = "xception65",
    output_stride: int = 16,
    rates: Sequence[int] | None = None,
    multi_grid: Sequence[int] | None = None,
    image_pooling: bool = True,
    separable: bool = True,
    low_level_maps: int = 1,
    low_level_channels: int = 48,
    decoder_convs: int = 2,
    decoder_channels: int = 256,
) -> NetworkDescription:
    """Decode with the paper's choices; two low-level maps are those of strides 8 and 4."""
    part = describe_multi_grid_backbone(backbone, output_stride, multi_grid)
    *_, channels = every = backbone_channels(part)
    head = {
        "type": "PaperDecoderHead",
        "in_channels": channels,
        "channels": decoder_channels,
        "low_level_in_channels": every[:low_level_maps],
        "low_level_channels": low_level_channels,
        "decoder_convs": decoder_convs,
        "image_pooling": image_pooling,
        "separable": separable,
    }
    return _with_aspp_rates(NetworkDescription(part, head), rates, output_stride)


def dense_aspp(
    *, backbone: str = "densenet121", output_stride: int = 8, rates: Sequence[int] | None = None
) -> NetworkDescription:
    """Chain atrous layers that each read all before them."""
    part = describe_backbone(backbone, output_stride)
    channels = backbone_channels(part)[-1]
    network = NetworkDescription(
        part, {"type": "DenseASPPHead", "in_channels": channels, "channels": channels // 2}
    )
    return with_rates(network, _scale(DENSE_RATES, output_stride) if rates is None else rates)


def torchvision_deeplabv3(
    *, backbone: str = "resnet50", output_stride: int = 8, rates: Sequence[int] | None = None
) -> NetworkDescription:
    """Put torchvision's DeepLabV3 head on the last map."""
    part = describe_backbone(backbone, output_stride)
    head = {"type": "TorchvisionDeepLabHead", "in_channels": backbone_channels(part)[-1]}
    return _with_aspp_rates(NetworkDescription(part, head, head_name="classifier"), rates, output_stride)


def _with_aspp_rates(
    network: NetworkDescription, rates: Sequence[int] | None, output_stride: int
) -> NetworkDescription:
    return with_rates(network, scale_rates(_RATES_AT_16, output_stride) if rates is None else rates)


def _scale(rates_at_8: Sequence[int], output_stride: int) -> tuple[int, ...]:
    return tuple(max(rate * 8 // output_stride, 1) for rate in rates_at_8)
