"""The named networks, as data, and the one function that builds them."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.backbones.resnet import RESNETS, BasicBlock, ResNet, ResNetDesign, last_stage_rate
from erfscope.zoo.heads.aspp import ASPPDecoderHead, ASPPHead
from erfscope.zoo.heads.fcn import FCNHead
from erfscope.zoo.heads.psp import PSPHead
from erfscope.zoo.heads.torchvision import TorchvisionDeepLabHead, TorchvisionFCNHead
from erfscope.zoo.initialize import initialize
from erfscope.zoo.segmentor import Segmentor

OUTPUT_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class NetworkOptions:
    """Every choice that makes one network, resolved: what a map's provenance records.

    `rates` are those of the head's atrous convolutions; None for a head without them. `multi_grid`
    multiplies the last stage's own rate, one factor a block (DeepLabV3's sense).
    """

    name: str
    backbone: str
    output_stride: int
    rates: tuple[int, ...] | None
    num_classes: int
    align_corners: bool
    multi_grid: tuple[int, ...] | None = None
    separable: bool | None = None


@dataclass(frozen=True)
class NetworkEntry:
    """One row of the catalogue.

    `base_rates` are the head's rates at output stride 16; other strides scale them, so that they stay
    the same in pixels (Eq. 2 of the study). `defaults` holds further options that the head takes.
    """

    title: str
    paper: str
    head: Callable[[NetworkOptions, ResNetDesign], nn.Module]
    output_stride: int
    base_rates: tuple[int, ...] | None = None
    backbone: str = "resnet50-v1c"
    num_classes: int = 19
    head_name: str = "decode_head"
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def rates_at(self, output_stride: int) -> tuple[int, ...] | None:
        """Return the default atrous rates at an output stride, None for a head without them."""
        return self.base_rates and tuple(rate * 16 // output_stride for rate in self.base_rates)


def _head_width(design: ResNetDesign) -> int:
    """Width of mmsegmentation's heads: 128 over basic blocks, 512 over bottlenecks."""
    return 128 if design.block is BasicBlock else 512


def _fcn(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    rates = options.rates or (1, 1)
    return FCNHead(design.channels[-1], _head_width(design), options.num_classes, rates)


def _aspp(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    return ASPPHead(
        design.channels[-1],
        _head_width(design),
        options.num_classes,
        options.rates or (),
        align_corners=options.align_corners,
    )


def _aspp_decoder(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    return ASPPDecoderHead(
        design.channels[-1],
        _head_width(design),
        options.num_classes,
        options.rates or (),
        low_level_in_channels=design.channels[0],
        low_level_channels=12 if design.block is BasicBlock else 48,
        align_corners=options.align_corners,
        separable=bool(options.separable),
    )


def _psp(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    return PSPHead(
        design.channels[-1], _head_width(design), options.num_classes, align_corners=options.align_corners
    )


def _torchvision_deeplab(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    return TorchvisionDeepLabHead(design.channels[-1], options.num_classes, options.rates or ())


def _torchvision_fcn(options: NetworkOptions, design: ResNetDesign) -> nn.Module:
    return TorchvisionFCNHead(design.channels[-1], options.num_classes)


CATALOG: Mapping[str, NetworkEntry] = MappingProxyType(
    {
        "fcn": NetworkEntry("FCN", "Long et al. 2015, arXiv 1411.4038", _fcn, 8),
        "fcn-d6": NetworkEntry("FCN-D6", "mmsegmentation, FCN with atrous convolutions", _fcn, 16, (6, 6)),
        "deeplabv3": NetworkEntry("DeepLabV3", "Chen et al. 2017, arXiv 1706.05587", _aspp, 8, (6, 12, 18)),
        "deeplabv3plus": NetworkEntry(
            "DeepLabV3+",
            "Chen et al. 2018, arXiv 1802.02611",
            _aspp_decoder,
            8,
            (6, 12, 18),
            defaults=MappingProxyType({"separable": True}),
        ),
        "pspnet": NetworkEntry("PSPNet", "Zhao et al. 2017, arXiv 1612.01105", _psp, 8),
        "torchvision-deeplabv3": NetworkEntry(
            "DeepLabV3 as torchvision builds it",
            "Chen et al. 2017, arXiv 1706.05587",
            _torchvision_deeplab,
            8,
            (6, 12, 18),
            backbone="resnet50",
            num_classes=21,
            head_name="classifier",
        ),
        "torchvision-fcn": NetworkEntry(
            "FCN as torchvision builds it",
            "Long et al. 2015, arXiv 1411.4038",
            _torchvision_fcn,
            8,
            backbone="resnet50",
            num_classes=21,
            head_name="classifier",
        ),
    }
)


def find_entry(name: str) -> NetworkEntry:
    """Return the catalogue's entry of that name; `NetworkError` suggests the nearest names."""
    return CATALOG[_known("network", name, tuple(CATALOG))]


def resolve_options(
    name: str,
    *,
    backbone: str | None = None,
    output_stride: int | None = None,
    rates: Sequence[int] | None = None,
    num_classes: int | None = None,
    align_corners: bool = False,
    multi_grid: Sequence[int] | None = None,
    separable: bool | None = None,
) -> NetworkOptions:
    """Fill in the catalogue's defaults and check what was asked for.

    Raises
    ------
    NetworkError
        An unknown name, or an option that the network doesn't have or that can't be.
    """
    entry = find_entry(name)
    backbone = _known("backbone", backbone or entry.backbone, tuple(RESNETS))
    stride = entry.output_stride if output_stride is None else output_stride
    if stride not in OUTPUT_STRIDES:
        raise NetworkError(f"output stride {stride} can't be built; choose one of 8, 16, 32")
    classes = entry.num_classes if num_classes is None else num_classes
    if classes < 1:
        raise NetworkError(f"a network needs at least one class, not {classes}; give --num-classes 1 or more")
    if separable is not None and "separable" not in entry.defaults:
        raise NetworkError(f"{name} has no separable convolutions; leave the option out")
    return NetworkOptions(
        name=name,
        backbone=backbone,
        output_stride=stride,
        rates=_resolve_rates(name, entry, stride, rates),
        num_classes=classes,
        align_corners=align_corners,
        multi_grid=_resolve_multi_grid(backbone, multi_grid),
        separable=entry.defaults.get("separable") if separable is None else separable,
    )


def build_skeleton(options: NetworkOptions) -> Segmentor:
    """Build the network on the meta device: names and shapes without memory or time."""
    entry, design = CATALOG[options.name], RESNETS[options.backbone]
    grid_rates = None
    if options.multi_grid is not None:
        unit = last_stage_rate(options.output_stride)
        grid_rates = [unit * factor for factor in options.multi_grid]
    with torch.device("meta"):
        return Segmentor(
            ResNet(design, options.output_stride, grid_rates),
            entry.head(options, design),
            head_name=entry.head_name,
            align_corners=options.align_corners,
        )


def build_network(options: NetworkOptions, *, seed: int = 0) -> Segmentor:
    """Build the network with random weights from `seed` (see `initialize`), in eval mode, on the CPU."""
    network = build_skeleton(options).to_empty(device="cpu")
    initialize(network, network.classifier_weight, seed)
    return network.eval()


def _known(kind: str, name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    raise NetworkError(f"no {kind} is called {name!r}; {hint} ('erfscope models' lists all)")


def _resolve_rates(
    name: str, entry: NetworkEntry, stride: int, rates: Sequence[int] | None
) -> tuple[int, ...] | None:
    if rates is None:
        return entry.rates_at(stride)
    if entry.base_rates is None:
        raise NetworkError(f"{name} has no atrous rates in its head; leave --rates out")
    if not rates or min(rates) < 1:
        raise NetworkError(f"atrous rates must be whole numbers from 1 up, not {list(rates)}")
    in_a_row = entry.head is _fcn
    if in_a_row and len(rates) == 1:
        return (rates[0],) * len(entry.base_rates)
    return tuple(rates)


def _resolve_multi_grid(backbone: str, multi_grid: Sequence[int] | None) -> tuple[int, ...] | None:
    if multi_grid is None:
        return None
    blocks = RESNETS[backbone].depths[-1]
    if len(multi_grid) != blocks or min(multi_grid) < 1:
        raise NetworkError(
            f"a multi-grid of {backbone} needs {blocks} whole numbers from 1 up, not {list(multi_grid)}"
        )
    return tuple(multi_grid)


def list_networks() -> list[dict[str, Any]]:
    """Return every entry with its defaults and its number of parameters, JSON-able."""
    rows = []
    for name, entry in CATALOG.items():
        options = resolve_options(name)
        parameters = sum(parameter.numel() for parameter in build_skeleton(options).parameters())
        rows.append({"title": entry.title, "paper": entry.paper, "parameters": parameters, **asdict(options)})
    return rows
