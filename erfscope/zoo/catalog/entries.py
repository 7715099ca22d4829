"""The catalog: every network by its name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from erfscope.errors import NetworkError
from erfscope.model.shape_run import NormShapes
from erfscope.zoo.adjust import with_align_corners, with_classes
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.backbone_catalog import check_name, name_backbone
from erfscope.zoo.catalog.context_networks import (
    ann,
    danet,
    encnet,
    fastfcn_aspp,
    fastfcn_enc,
    fastfcn_psp,
    fcn,
    fcn_d6,
    lraspp,
    nonlocal_net,
    pspnet,
    torchvision_fcn,
)
from erfscope.zoo.catalog.deeplab_networks import (
    deeplabv2,
    deeplabv3,
    deeplabv3_cascade,
    deeplabv3_paper,
    deeplabv3plus,
    deeplabv3plus_paper,
    dense_aspp,
    torchvision_deeplabv3,
)
from erfscope.zoo.catalog.transformer_networks import (
    dpt,
    segformer,
    segmenter_linear,
    segmenter_mask,
    setr_aspp,
    setr_mla,
    setr_naive,
    setr_pup,
    upernet,
)
from erfscope.zoo.catalog.unet_networks import (
    unet,
    unet_aspp,
    unet_fcn,
    unet_psp,
)
from erfscope.zoo.description import NetworkDescription

_SIDE = 513  # px
# Numbers of classes of data sets.
_VESSELS, _CITYSCAPES, _VOC, _ADE = 2, 19, 21, 150


@dataclass(frozen=True)
class NetworkEntry:
    """A network of the catalog.

    Attributes
    ----------
    title, paper
        Its name in words, and where it is published.
    describe
        Function of the network's options, all by keyword and with defaults, but for the two that every
        network has: `num_classes` and `align_corners`.
    num_classes
        Default number of classes: that of the data set on which the network is best known.
    """

    title: str
    paper: str
    describe: Callable[..., NetworkDescription]
    num_classes: int = _CITYSCAPES

    @property
    def options(self) -> tuple[str, ...]:
        """Names of all options."""
        return (*inspect.signature(self.describe).parameters, "num_classes", "align_corners")


CATALOG: Mapping[str, NetworkEntry] = MappingProxyType(
    {
        "fcn": NetworkEntry("FCN", "Long et al. 2015, arXiv 1411.4038", fcn),
        "fcn-d6": NetworkEntry("FCN-D6", "mmsegmentation, FCN with atrous convolutions", fcn_d6),
        "deeplabv2": NetworkEntry("DeepLabV2", "Chen et al. 2016, arXiv 1606.00915", deeplabv2, _VOC),
        "deeplabv3": NetworkEntry("DeepLabV3", "Chen et al. 2017, arXiv 1706.05587", deeplabv3),
        "deeplabv3-paper": NetworkEntry(
            "DeepLabV3 as in its paper", "Chen et al. 2017, arXiv 1706.05587", deeplabv3_paper, _VOC
        ),
        "deeplabv3-cascade": NetworkEntry(
            "DeepLabV3's cascade", "Chen et al. 2017, arXiv 1706.05587", deeplabv3_cascade, _VOC
        ),
        "deeplabv3plus": NetworkEntry("DeepLabV3+", "Chen et al. 2018, arXiv 1802.02611", deeplabv3plus),
        "deeplabv3plus-paper": NetworkEntry(
            "DeepLabV3+ as in its paper", "Chen et al. 2018, arXiv 1802.02611", deeplabv3plus_paper, _VOC
        ),
        "dense-aspp": NetworkEntry("DenseASPP", "Yang et al. 2018, CVPR", dense_aspp),
        "pspnet": NetworkEntry("PSPNet", "Zhao et al. 2017, arXiv 1612.01105", pspnet),
        "fastfcn-aspp": NetworkEntry("FastFCN with ASPP", "Wu et al. 2019, arXiv 1903.11816", fastfcn_aspp),
        "fastfcn-psp": NetworkEntry("FastFCN with PSP", "Wu et al. 2019, arXiv 1903.11816", fastfcn_psp),
        "fastfcn-enc": NetworkEntry("FastFCN with Enc", "Wu et al. 2019, arXiv 1903.11816", fastfcn_enc),
        "unet": NetworkEntry("U-Net", "Ronneberger et al. 2015, arXiv 1505.04597", unet, _VESSELS),
        "unet-fcn": NetworkEntry(
            "U-Net with FCN", "Ronneberger et al. 2015, arXiv 1505.04597", unet_fcn, _VESSELS
        ),
        "unet-psp": NetworkEntry(
            "U-Net with PSP", "Ronneberger et al. 2015, arXiv 1505.04597", unet_psp, _VESSELS
        ),
        "unet-aspp": NetworkEntry(
            "U-Net with ASPP", "Ronneberger et al. 2015, arXiv 1505.04597", unet_aspp, _VESSELS
        ),
        "encnet": NetworkEntry("EncNet", "Zhang et al. 2018, arXiv 1803.08904", encnet),
        "nonlocal": NetworkEntry("NonLocalNet", "Wang et al. 2018, arXiv 1711.07971", nonlocal_net),
        "ann": NetworkEntry("ANN", "Zhu et al. 2019, arXiv 1908.07678", ann),
        "danet": NetworkEntry("DANet", "Fu et al. 2019, arXiv 1809.02983", danet),
        "lraspp": NetworkEntry("LR-ASPP", "Howard et al. 2019, arXiv 1905.02244", lraspp),
        "upernet": NetworkEntry("UPerNet", "Xiao et al. 2018, arXiv 1807.10221", upernet, _ADE),
        "setr-naive": NetworkEntry("SETR naive", "Zheng et al. 2021, arXiv 2012.15840", setr_naive),
        "setr-pup": NetworkEntry("SETR PUP", "Zheng et al. 2021, arXiv 2012.15840", setr_pup),
        "setr-mla": NetworkEntry("SETR MLA", "Zheng et al. 2021, arXiv 2012.15840", setr_mla),
        "setr-aspp": NetworkEntry("SETR naive with ASPP", "arXiv 2307.14179, Table 8", setr_aspp),
        "segmenter-linear": NetworkEntry(
            "Segmenter, linear", "Strudel et al. 2021, arXiv 2105.05633", segmenter_linear, _ADE
        ),
        "segmenter-mask": NetworkEntry(
            "Segmenter, mask", "Strudel et al. 2021, arXiv 2105.05633", segmenter_mask, _ADE
        ),
        "dpt": NetworkEntry("DPT", "Ranftl et al. 2021, arXiv 2103.13413", dpt, _ADE),
        "segformer": NetworkEntry("SegFormer", "Xie et al. 2021, arXiv 2105.15203", segformer, _ADE),
        "torchvision-deeplabv3": NetworkEntry(
            "DeepLabV3 as torchvision builds it",
            "Chen et al. 2017, arXiv 1706.05587",
            torchvision_deeplabv3,
            _VOC,
        ),
        "torchvision-fcn": NetworkEntry(
            "FCN as torchvision builds it", "Long et al. 2015, arXiv 1411.4038", torchvision_fcn, _VOC
        ),
    }
)


def describe_network(
    name: str, *, num_classes: int | None = None, align_corners: bool = False, **options: Any
) -> NetworkDescription:
    """Return what a network of the catalog is made of; options that are None take their defaults.

    Raises
    ------
    NetworkError
        An unknown name, or an option that the network doesn't have or that can't be.
    """
    entry = CATALOG[check_name("network", name, CATALOG)]
    given = {option: value for option, value in options.items() if value is not None}
    unknown = [option for option in given if option not in entry.options]
    if unknown:
        raise NetworkError(f"{name} takes no {unknown[0]}; it takes {', '.join(entry.options)}")
    network = with_classes(entry.describe(**given), entry.num_classes if num_classes is None else num_classes)
    return with_align_corners(network, align_corners=True) if align_corners else network


def summarize(network: NetworkDescription) -> dict[str, Any]:
    """Return the choices that tell networks apart, JSON-able: what a map's provenance records."""
    skeleton = build_skeleton(network)
    return {
        "backbone": name_backbone(network.backbone),
        "output_stride": skeleton.output_stride,
        "rates": None if skeleton.rates is None else list(skeleton.rates),
        "num_classes": network.num_classes,
        "align_corners": network.align_corners,
    }


def list_networks() -> list[dict[str, Any]]:
    """Return every entry with its defaults, its number of parameters and its multiply-adds, JSON-able."""
    return [
        {"name": name, "title": entry.title, "paper": entry.paper}
        | _count(name)
        | summarize(describe_network(name))
        | {"options": list(entry.options)}
        for name, entry in CATALOG.items()
    ]


@cache
def _count(name: str) -> dict[str, int]:
    network = describe_network(name)
    return {
        "parameters": sum(parameter.numel() for parameter in build_skeleton(network).parameters()),
        "multiply_adds": count_multiply_adds(network),
    }


def count_multiply_adds(network: NetworkDescription) -> int:
    """Count multiply-adds for one image of 513×513 px and 21 classes, as the tables of DeepLab's papers do.

    Those of convolutions, linear layers and products of matrices count; nothing is computed.
    """
    skeleton = build_skeleton(with_classes(network, _VOC)).eval()
    quick = NormShapes()  # type: ignore[no-untyped-call]
    with torch.device("meta"), torch.no_grad(), quick, FlopCounterMode(display=False) as count:
        skeleton(torch.empty(1, 3, _SIDE, _SIDE))
    return int(count.get_total_flops()) // 2
