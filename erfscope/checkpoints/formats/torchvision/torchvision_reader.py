"""Builds torchvision's segmentation networks by their names: `torchvision:deeplabv3_resnet50`."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import Checkpoint, read_checkpoint
from erfscope.checkpoints.fitting.build_filled import build_filled, build_shapes, count_classes
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork
from erfscope.errors import CheckpointError, one_line
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts

_RATES = (12, 24, 36)
#: Of each network: backbone, output stride, atrous rates of the head.
NETWORKS: Mapping[str, tuple[str, int, tuple[int, ...] | None]] = MappingProxyType(
    {
        "deeplabv3_resnet50": ("resnet50", 8, _RATES),
        "deeplabv3_resnet101": ("resnet101", 8, _RATES),
        "deeplabv3_mobilenet_v3_large": ("mobilenet_v3_large", 16, _RATES),
        "fcn_resnet50": ("resnet50", 8, None),
        "fcn_resnet101": ("resnet101", 8, None),
        "lraspp_mobilenet_v3_large": ("mobilenet_v3_large", 16, None),
    }
)
_CLASSES = 21


def read(request: Request, _detection: Detection) -> Network:
    """Build a network with the weights of `--checkpoint`, with torchvision's own, or with random ones.

    Torchvision's own are downloaded only if the option `pretrained` is true. Its normalization of images is
    recorded in any case, its classes only with its own weights.

    Raises
    ------
    CheckpointError
        torchvision is missing or has no such network, or the weights can't be had or don't fit.
    """
    _refuse(request)
    models = import_library("torchvision.models", "torchvision", request.spec)
    weights = models.get_model_weights(request.name).DEFAULT
    pretrained = bool(request.options.get("pretrained"))
    content = _content(request, weights.url, pretrained)
    num_classes = _count(request, models, content)
    network, report = build_filled(lambda: _make(models, request.name, num_classes), content, request)
    backbone, stride, rates = NETWORKS[request.name]
    preset = weights.transforms()
    info = ModelInfo(
        f"torchvision-{request.name.partition('_')[0]}",
        {
            "backbone": backbone,
            "output_stride": stride,
            "rates": None if rates is None else list(rates),
            "num_classes": num_classes,
        },
        report,
        training=TrainingFacts(
            classes=tuple(weights.meta["categories"]) if pretrained else (),
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            hyper_parameters={} if content is None else content.hyper_parameters,
        ),
        format="torchvision",
    )
    return LibraryNetwork(network, info, itemgetter("out"))


def _refuse(request: Request) -> None:
    if request.name not in NETWORKS:
        raise CheckpointError(
            f"{request.spec} is no segmentation network of torchvision; expected one of {', '.join(NETWORKS)}"
        )
    request.refuse_config("torchvision's networks need none")
    request.refuse_options(
        "torchvision fixes it; --model torchvision-deeplabv3 and torchvision-fcn are the same networks and "
        "take --backbone, --output-stride and --rates",
        but=("num_classes", "pretrained"),
    )
    if request.options.get("pretrained") not in (None, True, False):
        raise CheckpointError(f"{request.spec}: the option pretrained is true or false")
    if request.options.get("pretrained"):
        request.refuse_checkpoint("the option pretrained asks for torchvision's own weights")


def _make(models: Any, name: str, num_classes: int) -> nn.Module:
    network: nn.Module = models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    return network


def _content(request: Request, url: str, pretrained: bool) -> Checkpoint | None:
    if pretrained:
        return download(url, request.spec)
    return None if request.checkpoint is None else read_checkpoint(request.checkpoint)


def download(url: str, spec: str) -> Checkpoint:
    """Fetch weights into torch's cache, unless they are there, and read them as plain tensors.

    Raises
    ------
    CheckpointError
        They can't be had, or aren't what the hash in their name says.
    """
    try:
        with redirect_stdout(sys.stderr):  # it says there that it downloads
            state = torch.hub.load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
    except Exception as error:  # of the network, the disk, the hash or the file
        raise CheckpointError(
            f"{spec}: {url} can't be downloaded ({one_line(error)}); fetch it where there is a network, "
            "and give it by --checkpoint"
        ) from error
    path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
    return Checkpoint(path, state, {}, "")


def _count(request: Request, models: Any, content: Checkpoint | None) -> int:
    """Return what was asked for, else the classifier's outputs in the file, else torchvision's number."""
    if "num_classes" in request.options:
        return request.options["num_classes"]  # type: ignore[no-any-return]
    if content is None:
        return _CLASSES
    shapes = build_shapes(lambda: _make(models, request.name, _CLASSES), request.spec)
    return count_classes(shapes, "classifier", content.state) or _CLASSES
