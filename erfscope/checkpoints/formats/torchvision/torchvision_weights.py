"""torchvision's state dicts by their names and shapes, without torchvision."""

from typing import Any

from torch import nn

from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.blueprint import Blueprint, build
from erfscope.checkpoints.fitting.construct import fill, find_tensor
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network, summarize

_NETWORKS = ("torchvision-deeplabv3", "torchvision-fcn")
_BACKBONES = ("resnet50", "resnet101")
# What weights don't tell, so that it may be chosen.
_OPTIONS = ("output_stride", "rates", "align_corners")


def recognize(content: Checkpoint) -> tuple[str, str] | None:
    """Return catalog name and backbone of the network whose tensors, all of them, the file holds."""
    for name in _NETWORKS:
        num_classes = _num_classes(name, content)
        for backbone in _BACKBONES if num_classes else ():
            skeleton = build_skeleton(describe_network(name, backbone=backbone, num_classes=num_classes))
            if _fits(skeleton, content):
                return name, backbone
    return None


def read_recognized(request: Request, content: Checkpoint, name: str, backbone: str) -> Network:
    """Build the network from the catalog, at torchvision's stride and rates unless others are given."""
    request.refuse_options(
        f"the weights are those of {name}; of its options only {', '.join(_OPTIONS)} can be changed",
        but=_OPTIONS,
    )
    whole: dict[str, Any] = {"backbone": backbone, "num_classes": _num_classes(name, content)}
    trained = describe_network(name, **whole)
    description = describe_network(name, **whole, **request.options)
    before, after = summarize(trained), summarize(description)
    blueprint = Blueprint(
        name=name,
        description=description,
        options=after,
        content=content,
        described=True,
        format="torchvision state dict",
        detected_by=f"all its tensors, which are those of {name} on {backbone}",
        trained_settings={option: value for option, value in before.items() if value != after[option]},
    )
    return build(blueprint, request)


def _num_classes(name: str, content: Checkpoint) -> int:
    """Read the classifier's outputs off the file; 0 if it has no such classifier."""
    classifier = find_tensor(content.state, build_skeleton(describe_network(name)).classifier_weight)
    return classifier.shape[0] if classifier is not None and classifier.ndim == 4 else 0


def _fits(skeleton: nn.Module, content: Checkpoint) -> bool:
    try:
        fill(skeleton, content.state, content, Request(str(content.path)))
    except CheckpointError:
        return False
    return True
