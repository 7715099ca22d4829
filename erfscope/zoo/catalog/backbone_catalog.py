"""The backbones of the catalog by their names, as data."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from erfscope.errors import NetworkError, suggest
from erfscope.zoo.backbones import (
    convnext,
    densenet,
    mit,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    swin,
    unet,
    vit,
    xception,
)
from erfscope.zoo.build import make_part
from erfscope.zoo.description import Part
from erfscope.zoo.parts import PARTS

_FAMILIES: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "ResNet": resnet.PRESETS,
        "MobileNetV2": mobilenet_v2.PRESETS,
        "MobileNetV3": mobilenet_v3.PRESETS,
        "Xception": xception.PRESETS,
        "DenseNet": densenet.PRESETS,
        "UNet": unet.PRESETS,
        "ConvNeXt": convnext.PRESETS,
        "VisionTransformer": vit.PRESETS,
        "SwinTransformer": swin.PRESETS,
        "MixVisionTransformer": mit.PRESETS,
    }
)

BACKBONES: Mapping[str, Part] = MappingProxyType(
    {
        name: MappingProxyType({"type": kind, **arguments})
        for kind, presets in _FAMILIES.items()
        for name, arguments in presets.items()
    }
)

# Arguments that may differ between backbones of one name.
_NO_SIZES = {"drop_path_rate", "drop_rate", "img_size", "norm_cfg", "out_indices"}


def check_name(kind: str, name: str, names: Iterable[str]) -> str:
    """Return the name if it is one of `names`; else `NetworkError` suggests the nearest."""
    if name in (names := list(names)):
        return name
    raise NetworkError(f"no {kind} is called {name!r}; {suggest(name, names)} ('erfscope models' lists all)")


def describe_backbone(name: str, output_stride: int | None = None, **more: Any) -> Part:
    """Return a named backbone's description.

    Parameters
    ----------
    output_stride
        None takes the backbone as it is.
    **more
        Further arguments.

    Raises
    ------
    NetworkError
        An unknown name, or a stride that the backbone can't have.
    """
    part = {**BACKBONES[check_name("backbone", name, BACKBONES)], **more}
    if output_stride is None:
        return part
    change = getattr(PARTS[part["type"]], "at_output_stride", None)
    if change is None:
        fixed = make_part(part).output_stride
        if fixed == output_stride:
            return part
        raise NetworkError(f"the output stride of {name} is {fixed}; leave --output-stride out")
    changed: Part = change(part, output_stride)
    return changed


def describe_backbone_of(kind: str, name: str) -> Part:
    """Return a named backbone's description; `NetworkError` if it isn't of that type."""
    part = describe_backbone(name)
    if part["type"] != kind:
        fitting = [other for other, preset in BACKBONES.items() if preset["type"] == kind]
        raise NetworkError(f"the network can't stand on {name}; choose one of {', '.join(fitting)}")
    return part


def backbone_channels(part: Part) -> tuple[int, ...]:
    """Return the channels of the maps that a backbone makes."""
    channels: tuple[int, ...] = make_part(part).channels  # type: ignore[assignment]
    return channels


def name_backbone(part: Part) -> str:
    """Return the name of the backbone that a description fits best, by its sizes; else its type."""
    sizes = _sizes(part)
    fits = {
        name: len(wanted)
        for name, wanted in ((name, _sizes(preset)) for name, preset in BACKBONES.items())
        if all(sizes.get(key) == value for key, value in wanted.items())
    }
    return max(fits, key=fits.__getitem__, default=str(part["type"]))


def _sizes(part: Part) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in part.items() if key not in _NO_SIZES}
