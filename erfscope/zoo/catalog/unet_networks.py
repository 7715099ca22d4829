"""U-Net with mmsegmentation's heads."""

from collections.abc import Sequence

from erfscope.errors import NetworkError
from erfscope.zoo.adjust import with_rates
from erfscope.zoo.catalog.backbone_catalog import backbone_channels, describe_backbone_of
from erfscope.zoo.catalog.choices import describe_head
from erfscope.zoo.description import NetworkDescription, Part

_BACKBONE = "unet-s5-d16"
_RATES = (12, 24, 36)
# Maps come coarsest first.
_READS = {"decoder": -1, "deepest": 0}


def unet(*, backbone: str = _BACKBONE) -> NetworkDescription:
    """Classify the last map as it is."""
    part = describe_backbone_of("UNet", backbone)
    width = backbone_channels(part)[-1]
    return NetworkDescription(part, describe_head("FCNHead", width, width, num_convs=0, concat_input=False))


def unet_fcn(*, backbone: str = _BACKBONE) -> NetworkDescription:
    """Put one more convolution on the last map."""
    part = describe_backbone_of("UNet", backbone)
    width = backbone_channels(part)[-1]
    return NetworkDescription(part, describe_head("FCNHead", width, width, num_convs=1, concat_input=False))


def unet_psp(*, backbone: str = _BACKBONE) -> NetworkDescription:
    """Pool the last map to a pyramid."""
    part = describe_backbone_of("UNet", backbone)
    return NetworkDescription(part, describe_head("PSPHead", *_widths(part, -1)))


def unet_aspp(
    *, backbone: str = _BACKBONE, rates: Sequence[int] = _RATES, reads: str = "decoder"
) -> NetworkDescription:
    """Put ASPP on the decoder's last map, of stride 1, as in mmsegmentation, or on the deepest, of 16."""
    if reads not in _READS:
        raise NetworkError(f"ASPP can't read {reads!r}; choose one of {', '.join(_READS)}")
    part = describe_backbone_of("UNet", backbone)
    index = _READS[reads]
    head = describe_head("ASPPHead", *_widths(part, index), in_index=index)
    return with_rates(NetworkDescription(part, head), rates)


def _widths(backbone: Part, index: int) -> tuple[int, int]:
    """Channels of the map that is read, and mmsegmentation's width of the heads over a U-Net."""
    return backbone_channels(backbone)[index], 16
