"""Checks the arguments of a network of segmentation_models_pytorch, so that nothing is downloaded."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from erfscope.errors import CheckpointError

ARCHITECTURES = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN",
    "UPerNet", "Segformer", "DPT",
)  # fmt: skip
#: Our options and the library's arguments.
ARGUMENTS: Mapping[str, str] = {
    "backbone": "encoder_name",
    "num_classes": "classes",
    "output_stride": "encoder_output_stride",
    "rates": "decoder_atrous_rates",
}
# What timm's networks may be told beside: nothing of these names a file or a place to download from.
_ENCODER_ARGUMENTS = (
    "act_layer", "always_partition", "drop_path_rate", "drop_rate", "dynamic_img_pad", "dynamic_img_size",
    "img_size", "norm_layer", "patch_size", "strict_img_size", "window_size",
)  # fmt: skip
# Of older releases, which the library itself still reads.
_FORMER_ARGUMENTS = ("decoder_use_batchnorm", "psp_use_batchnorm")
_NAME = re.compile(r"[\w.+-]+")
_MAX_LENGTH, _MAX_NUMBER = 64, 65536
# Tables that no file holds, such as the masks of shifted windows, grow with the image.
_MAX_OF = {"upsampling": 64, "img_size": 4096}
_CHANNELS = 3


def check_architecture(name: Any, where: str) -> str:
    """Return the name of an architecture; `CheckpointError` for any other."""
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{where}: segmentation_models_pytorch has no network {str(name)[:60]!r}; expected one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    return str(name)


def check_arguments(arguments: Mapping[str, Any], architecture: type, where: str) -> dict[str, Any]:
    """Return the arguments with which to build an architecture.

    Pretrained weights of the encoder are left out, which the library would download; so is the activation
    after the last convolution, so that logits come out.

    Raises
    ------
    CheckpointError
        An argument that it doesn't have, that might download or read a file, or that can't be; or
        images of other than three channels.
    """
    channels = arguments.get("in_channels", _CHANNELS)
    if channels != _CHANNELS:
        raise CheckpointError(
            f"{where}: the network takes {str(channels)[:60]} channels (in_channels), and erfscope shows RGB "
            "images; it needs a network of 3"
        )
    own = architecture_arguments(architecture)
    known = {*own, *_ENCODER_ARGUMENTS, *_FORMER_ARGUMENTS}
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        raise CheckpointError(
            f"{where}: {architecture.__name__} takes no {str(unknown)[:60]!r}; it takes {', '.join(own)}"
        )
    for name, value in arguments.items():
        _check_value(name, value, where)
    checked = {name: value for name, value in arguments.items() if value is not None}
    _check_encoder(checked.get("encoder_name", own["encoder_name"]), where)
    return {**checked, "encoder_weights": None, "activation": None, "in_channels": _CHANNELS}


def architecture_arguments(architecture: type) -> dict[str, Any]:
    """Return an architecture's own arguments and their defaults."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(architecture).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def name_arguments(options: Mapping[str, Any], architecture: type, spec: str) -> dict[str, Any]:
    """Return options under the library's names; its own names are taken as they are."""
    own = architecture_arguments(architecture)
    for option in options:
        if ARGUMENTS.get(option, option) not in own:
            ours = [name for name, argument in ARGUMENTS.items() if argument in own]
            raise CheckpointError(
                f"{spec}: {architecture.__name__} takes no {option}; it takes {', '.join(ours)}, and of the "
                f"library's own {', '.join(own)}"
            )
    return {ARGUMENTS.get(option, option): value for option, value in options.items()}


def keep_pixels(
    options: Mapping[str, Any], arguments: Mapping[str, Any], architecture: type, where: str
) -> Mapping[str, Any]:
    """Keep the rates the same in pixels of the image at another output stride, unless others are asked for.

    Raises
    ------
    CheckpointError
        A rate would no longer be a whole number.
    """
    own = architecture_arguments(architecture)
    if "output_stride" not in options or "rates" in options or "decoder_atrous_rates" not in own:
        return options
    before, rates = (
        arguments.get(name, own[name]) for name in ("encoder_output_stride", "decoder_atrous_rates")
    )
    stride = options["output_stride"]
    try:
        scaled = [rate * before / stride for rate in rates]
        whole = [int(rate) for rate in scaled]
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{where}: no rates at output stride {stride} follow from its own") from error
    if whole != scaled:
        raise CheckpointError(
            f"{where}: at output stride {stride} the rates {','.join(map(str, rates))} would be "
            f"{','.join(f'{rate:g}' for rate in scaled)}; give whole ones by --rates"
        )
    return {**options, "rates": whole}


def _check_value(name: str, value: Any, where: str) -> None:
    """Refuse sizes that no network has: they would take hours to build, or all memory to run."""
    most = _MAX_OF.get(name, _MAX_NUMBER)
    for number in _leaves(value, f"{where}: {name}"):
        if isinstance(number, (int, float)) and not -most <= number <= most:
            raise CheckpointError(f"{where}: {name} is {number:.6g}; expected at most {most}")


def _leaves(value: Any, what: str) -> Iterable[Any]:
    if not isinstance(value, (list, tuple, dict)):
        return [value]
    if len(value) > _MAX_LENGTH:
        raise CheckpointError(f"{what} holds {len(value)} values; expected at most {_MAX_LENGTH}")
    parts = value.values() if isinstance(value, dict) else value
    return [leaf for part in parts for leaf in _leaves(part, what)]


def _check_encoder(name: Any, where: str) -> None:
    """Refuse what timm would take for a place in the hub or on the disk."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CheckpointError(
            f"{where}: {str(name)[:60]!r} is no encoder's name; expected one such as resnet34 or "
            "tu-convnext_tiny"
        )
