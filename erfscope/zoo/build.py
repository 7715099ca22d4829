"""From a description to the network."""

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.description import NetworkDescription, Part
from erfscope.zoo.initialize import initialize
from erfscope.zoo.parts import PARTS
from erfscope.zoo.segmentor import Segmentor


def make_part(part: Part) -> nn.Module:
    """Build one part on the meta device: names and shapes without memory or time.

    Raises
    ------
    NetworkError
        There is no part of that type, it takes no such argument, or needs another one.
    """
    arguments = dict(part)
    kind = arguments.pop("type")
    if kind not in PARTS:
        raise NetworkError(f"no part of a network is called {kind!r}; known: {', '.join(sorted(PARTS))}")
    try:
        with torch.device("meta"):
            return PARTS[kind](**arguments)
    # A config from a file may hold anything in any argument's place.
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise NetworkError(f"a {kind} can't be built so: {type(error).__name__} {reason}") from error


def build_skeleton(description: NetworkDescription) -> Segmentor:
    """Build the network on the meta device.

    Raises
    ------
    NetworkError
        As `make_part`, or the head reads a map that the backbone doesn't make.
    """
    network = Segmentor(
        make_part(description.backbone),
        make_part(description.head),
        neck=None if description.neck is None else make_part(description.neck),
        head_name=description.head_name,
        align_corners=description.align_corners,
    )
    if network.neck is None:
        _check_maps(network.backbone, network.head)
    return network


def _check_maps(backbone: nn.Module, head: nn.Module) -> None:
    made, read = getattr(backbone, "channels", None), getattr(head, "in_index", None)
    if made is None or read is None:
        return
    for index in [read] if isinstance(read, int) else read:
        if not -len(made) <= index < len(made):
            names = type(head).__name__, type(backbone).__name__
            raise NetworkError(
                f"{names[0]} reads map {index} (the first is 0), but this {names[1]} makes {len(made)}; "
                "choose a backbone of more stages"
            )


def build_network(description: NetworkDescription, *, seed: int = 0) -> Segmentor:
    """Build the network with random weights from `seed` (see `initialize`), in eval mode, on the CPU."""
    network = build_skeleton(description).to_empty(device="cpu")
    initialize(network, network.classifier_weights, seed)
    return network.eval()
