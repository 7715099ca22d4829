"""Networks of timm as backbones of our heads, and classifiers whose feature maps are layers of their own."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.fitting.build_filled import build_shapes
from erfscope.checkpoints.formats.timm.timm_source import TimmSource
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.zoo.description import Part

#: Heads of the catalog that read feature maps, or the last of them, as they are.
HEADS = (
    "ann", "danet", "deeplabv2", "deeplabv3", "deeplabv3-paper", "deeplabv3plus", "deeplabv3plus-paper",
    "dense-aspp", "encnet", "fcn", "fcn-d6", "nonlocal", "pspnet", "torchvision-deeplabv3", "torchvision-fcn",
    "upernet",
)  # fmt: skip
_MAPS = 4
_CHANNELS_LAST = "NHWC"
_WRAPPER = re.compile(r"^(model|body|graph_module)\.")


class TimmBackbone(nn.Module):
    """The last maps, four at most, of a timm network built with `features_only`, finest first.

    Attributes
    ----------
    channels, strides
        Channels and stride of each map.
    output_stride
        The largest stride of the maps.
    """

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.channels = tuple(int(width) for width in body.feature_info.channels()[-_MAPS:])
        self.strides = tuple(int(stride) for stride in body.feature_info.reduction()[-_MAPS:])
        self.output_stride = max(self.strides)
        self._channels_last = getattr(body, "output_fmt", None) == _CHANNELS_LAST

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Image (N, 3, H, W) → maps (N, C, h, w)."""
        maps = self.body(image)[-_MAPS:]
        return [x.permute(0, 3, 1, 2) for x in maps] if self._channels_last else list(maps)


class TokenClassifier(Network):
    """A classifier of timm whose own layers return tokens or channels last; its feature maps are layers, too.

    The layers `maps.0`, `maps.1`, … are what timm calls its intermediate features, and `features` what its
    `forward_features` returns, all (N, C, h, w): any of them can be the unit's. Its own layers lie below
    `network`. It returns timm's class logits (N, K).
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.maps = nn.ModuleList(nn.Identity() for _ in network.feature_info)
        self.features = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) to class logits (N, K)."""
        final, maps = self.network.forward_intermediates(image, output_fmt="NCHW")
        for layer, x in zip(self.maps, maps, strict=True):
            layer(x)
        self.features(self._as_map(final, maps[-1]))
        logits: torch.Tensor = self.network.forward_head(final)
        return logits

    def _as_map(self, final: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        if final.ndim == 4:
            last = getattr(self.network, "output_fmt", None) == _CHANNELS_LAST
            return final.permute(0, 3, 1, 2) if last else final
        height, width = like.shape[-2:]
        tokens = final[:, -height * width :]  # behind those of the class and its like
        return tokens.transpose(1, 2).reshape(len(final), -1, height, width)


def needs_maps(network: Any) -> bool:
    """Say whether a network's own layers hold tokens or channels last, and timm makes maps of them."""
    tokens = hasattr(network, "patch_embed") or getattr(network, "output_fmt", None) == _CHANNELS_LAST
    return tokens and hasattr(network, "forward_intermediates")


def features_at(source: TimmSource, timm: Any, stride: int) -> dict[str, Any]:
    """Return the arguments with which timm builds a network that returns feature maps at an output stride.

    Raises
    ------
    CheckpointError
        It returns no feature maps, or not at that stride.
    """
    spec, wanted = source.request.spec, {"features_only": True}
    own = _reduction(source, timm, wanted)
    if own == stride:
        return wanted
    changed = {**wanted, "output_stride": stride}
    try:
        reached = _reduction(source, timm, changed)
    except CheckpointError:
        reached = None
    if reached != stride:
        raise CheckpointError(
            f"{spec} can't be brought to output stride {stride}; its own is {own}: --output-stride {own}"
        )
    return changed


def _reduction(source: TimmSource, timm: Any, arguments: Mapping[str, Any]) -> int:
    # Never with timm's own weights, which a network without memory can't take.
    make = partial(timm.create_model, source.request.name, **source.arguments, **arguments)
    shapes: Any = build_shapes(make, source.request.spec)
    return int(max(shapes.feature_info.reduction()))


def head_over(head: Part, backbone: TimmBackbone, spec: str) -> dict[str, Any]:
    """Change a head, described over four maps, to read those of a timm network.

    Raises
    ------
    CheckpointError
        It reads maps of several strides, and the network's have one.
    """
    index = head.get("in_index", -1)
    changed = {**head, "in_channels": _at(backbone.channels, index)}
    if head["type"] == "DenseASPPHead":
        changed["channels"] = backbone.channels[-1] // 2
    if "c1_in_channels" in head:
        changed["c1_in_channels"] = backbone.channels[0]
    if "low_level_in_channels" in head:
        changed["low_level_in_channels"] = backbone.channels[: len(head["low_level_in_channels"])]
    reads_many = not isinstance(index, int) or changed.keys() & {"c1_in_channels", "low_level_in_channels"}
    if reads_many and (len(backbone.channels) < _MAPS or backbone.strides[0] != _MAPS):
        raise CheckpointError(
            f"{spec}: the head reads four maps, the first of stride 4, and the network's have the strides "
            f"{', '.join(map(str, backbone.strides))}; take one that reads the last: fcn, deeplabv3, pspnet"
        )
    return changed


def _at(channels: Sequence[int], index: int | Sequence[int]) -> Any:
    if isinstance(index, int):
        return channels[index]
    return tuple(channels[i] for i in index) if max(index) < len(channels) else tuple(channels)


def rename_for_features(state: StateDict, body: nn.Module) -> StateDict:
    """Bring a classifier's names to those that timm gives the same layers under `features_only`.

    There `stages.0.conv` is called `stages_0.conv`, or `model.stages.0.conv`. What the backbone doesn't
    have, such as the classifier, is left out.
    """
    ours = {_without_dots(name): name for name in body.state_dict()}
    return {ours[key]: tensor for name, tensor in state.items() if (key := _without_dots(name)) in ours}


def _without_dots(name: str) -> str:
    return _WRAPPER.sub("", name).replace(".", "_")
