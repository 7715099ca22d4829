"""Reads torchvision's state dicts, told by their names and shapes, without torchvision."""

from typing import Any

from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.build_filled import fill, find_tensor
from erfscope.checkpoints.fitting.zoo_network import build_zoo_network
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network

_NETWORKS = ("torchvision-deeplabv3", "torchvision-fcn")
_BACKBONES = ("resnet50", "resnet101")
# What weights don't tell, so that it can be changed.
_OPTIONS = ("output_stride", "rates", "align_corners")


def find_network(content: Checkpoint) -> tuple[str, str] | None:
    """Return catalog name and backbone of the network whose tensors, all of them, the file holds."""
    for name in _NETWORKS:
        num_classes = _num_classes(name, content)
        for backbone in _BACKBONES if num_classes else ():
            skeleton = build_skeleton(describe_network(name, backbone=backbone, num_classes=num_classes))
            if _fits(skeleton, content):
                return name, backbone
    return None


def read(request: Request, detection: Detection) -> Network:
    """Build the network from the catalog, at torchvision's stride and rates unless others are given.

    Raises
    ------
    CheckpointError, NetworkError
        An option that can't be changed, or can't have that value.
    """
    content: Any = detection.content
    name, backbone = detection.found
    request.refuse_options(
        f"the weights are those of {name}; of its options only {', '.join(_OPTIONS)} can be changed",
        but=_OPTIONS,
    )
    fixed: dict[str, Any] = {"backbone": backbone, "num_classes": _num_classes(name, content)}
    return build_zoo_network(
        request,
        describe_network(name, **fixed, **request.options),
        content,
        name=name,
        format="torchvision state dict",
        trained=describe_network(name, **fixed),
    )


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
