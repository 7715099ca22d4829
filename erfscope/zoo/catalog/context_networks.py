"""Fully convolutional networks, and those that gather context by pooling, attention or encoding."""

from collections.abc import Sequence
from typing import Any

from erfscope.zoo.adjust import with_rates
from erfscope.zoo.catalog.backbone_catalog import backbone_channels, describe_backbone
from erfscope.zoo.catalog.choices import (
    describe_head,
    describe_multi_grid_backbone,
    head_width,
    scale_rates,
)
from erfscope.zoo.description import NetworkDescription, Part

_FCN_D6_RATE = 6  # of two convolutions at output stride 16
_CODES = 32
_FAST_RATES_AT_16 = (6, 12, 18)
# Of the map that JPU makes, whatever the backbone's own.
_FAST_STRIDE = 8


def fcn(
    *, backbone: str = "resnet50-v1c", output_stride: int = 8, multi_grid: Sequence[int] | None = None
) -> NetworkDescription:
    """Put two 3×3 convolutions on the last map."""
    return _on_last_map("FCNHead", describe_multi_grid_backbone(backbone, output_stride, multi_grid))


def fcn_d6(
    *, backbone: str = "resnet50-v1c", output_stride: int = 16, rates: Sequence[int] | None = None
) -> NetworkDescription:
    """Put two atrous convolutions on the last map, one after the other."""
    network = _on_last_map("FCNHead", describe_backbone(backbone, output_stride), dilation=_FCN_D6_RATE)
    return with_rates(network, scale_rates((_FCN_D6_RATE,), output_stride) if rates is None else rates)


def pspnet(
    *, backbone: str = "resnet50-v1c", output_stride: int = 8, multi_grid: Sequence[int] | None = None
) -> NetworkDescription:
    """Pool the last map to a pyramid."""
    return _on_last_map("PSPHead", describe_multi_grid_backbone(backbone, output_stride, multi_grid))


def nonlocal_net(*, backbone: str = "resnet50-v1c", output_stride: int = 8) -> NetworkDescription:
    """Let every position of the last map attend to every other."""
    return _on_last_map("NLHead", describe_backbone(backbone, output_stride))


def danet(*, backbone: str = "resnet50-v1c", output_stride: int = 8) -> NetworkDescription:
    """Let positions attend to positions, channels to channels."""
    return _on_last_map("DAHead", describe_backbone(backbone, output_stride), pam_channels=64)


def encnet(*, backbone: str = "resnet50-v1c", output_stride: int = 8) -> NetworkDescription:
    """Weight channels by an encoding of the whole map."""
    part = describe_backbone(backbone, output_stride)
    return NetworkDescription(part, _describe_enc(backbone_channels(part)[1:], (1, 2, 3), head_width(part)))


def ann(*, backbone: str = "resnet50-v1c", output_stride: int = 8) -> NetworkDescription:
    """Let the last two maps attend to a pooled pyramid."""
    part = describe_backbone(backbone, output_stride)
    head = describe_head(
        "ANNHead",
        backbone_channels(part)[-2:],
        head_width(part),
        in_index=(2, 3),
        project_channels=head_width(part) // 2,
    )
    return NetworkDescription(part, head)


def fastfcn_aspp(*, backbone: str = "resnet50-v1c", rates: Sequence[int] | None = None) -> NetworkDescription:
    """Upsample jointly, then ASPP."""
    network = _fast(backbone, "ASPPHead")
    return with_rates(network, scale_rates(_FAST_RATES_AT_16, _FAST_STRIDE) if rates is None else rates)


def fastfcn_psp(*, backbone: str = "resnet50-v1c") -> NetworkDescription:
    """Upsample jointly, then pool to a pyramid."""
    return _fast(backbone, "PSPHead")


def fastfcn_enc(*, backbone: str = "resnet50-v1c") -> NetworkDescription:
    """Upsample jointly, then weight channels by an encoding."""
    return _fast(backbone, "EncHead")


def lraspp(*, backbone: str = "mobilenet-v3-large", output_stride: int | None = None) -> NetworkDescription:
    """Gate the last map by its average: a light head for mobile networks."""
    part = describe_backbone(backbone, output_stride)
    return NetworkDescription(
        part,
        {
            **describe_head("LRASPPHead", backbone_channels(part), 128, in_index=(0, 1, 2)),
            "input_transform": "multiple_select",
            "norm_cfg": {"type": "BN", "eps": 1e-3},
        },
    )


def torchvision_fcn(*, backbone: str = "resnet50", output_stride: int = 8) -> NetworkDescription:
    """Put torchvision's FCN head on the last map."""
    part = describe_backbone(backbone, output_stride)
    head = {"type": "TorchvisionFCNHead", "in_channels": backbone_channels(part)[-1]}
    return NetworkDescription(part, head, head_name="classifier")


def _on_last_map(kind: str, part: Part, **more: object) -> NetworkDescription:
    head = describe_head(kind, backbone_channels(part)[-1], head_width(part), **more)
    return NetworkDescription(part, head)


def _describe_enc(in_channels: Sequence[int], in_index: Sequence[int], channels: int) -> dict[str, Any]:
    return describe_head("EncHead", tuple(in_channels), channels, in_index=tuple(in_index), num_codes=_CODES)


def _fast(backbone: str, kind: str) -> NetworkDescription:
    """Describe FastFCN: the backbone keeps its strides and its last stages are dilated as well."""
    part = describe_backbone(
        backbone, None, dilations=(1, 1, 2, 4), out_indices=(1, 2, 3), contract_dilation=True
    )
    width = head_width(part)
    neck = {
        "type": "JPU",
        "in_channels": backbone_channels(part),
        "mid_channels": width,
        "norm_cfg": {"type": "BN"},
    }
    if kind == "EncHead":
        *coarser, _ = backbone_channels(part)
        return NetworkDescription(part, _describe_enc((*coarser, 4 * width), (0, 1, 2), width), neck)
    return NetworkDescription(part, describe_head(kind, 4 * width, width, in_index=2), neck)
