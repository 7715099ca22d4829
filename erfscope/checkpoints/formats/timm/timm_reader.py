"""Reads timm's networks: `timm:NAME` as the classifier that it is, or as the backbone of one of our heads."""

from typing import Any, cast

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import Checkpoint, read_checkpoint
from erfscope.checkpoints.fitting.build_filled import build_filled
from erfscope.checkpoints.formats.timm.timm_backbone import TokenClassifier, needs_maps
from erfscope.checkpoints.formats.timm.timm_network import count_classes, maker, report_own, training_facts
from erfscope.checkpoints.formats.timm.timm_segmentor import read_segmentor
from erfscope.checkpoints.formats.timm.timm_source import SIZES, TimmSource, find_source
from erfscope.checkpoints.library import import_library
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo

_WITHOUT_HEAD = ("num_classes", "output_stride", "pretrained", *SIZES)


def read(request: Request, _detection: Detection) -> Network:
    """Build a timm network with the weights of `--checkpoint` or its folder, with timm's own, or random ones.

    Timm's own are downloaded only if the option `pretrained` is true. With the option `head`, a name of the
    catalog, the network is the backbone of that head; timm's weights fill the backbone alone then.

    Raises
    ------
    CheckpointError, NetworkError
        timm is missing or has no such network, it can't be built so, or the weights don't fit.
    """
    timm = import_library("timm", "timm", request.spec)
    request.refuse_config("timm's networks need none")
    if not isinstance(request.options.get("pretrained", False), bool):
        raise CheckpointError(f"{request.spec}: the option pretrained is true or false")
    if request.options.get("pretrained"):
        request.refuse_checkpoint("the option pretrained asks for timm's own weights")
    source = find_source(request, timm)
    file = source.request.checkpoint
    content = None if file is None else read_checkpoint(file)
    if "head" in request.options:
        return read_segmentor(source, timm, content)
    request.refuse_options(
        f"timm's classifier takes {', '.join(_WITHOUT_HEAD)}; with --option head=NAME it is a backbone",
        but=_WITHOUT_HEAD,
    )
    return _read_classifier(source, timm, content)


def _read_classifier(source: TimmSource, timm: Any, content: Checkpoint | None) -> Network:
    request = source.request
    options = {name: value for name, value in request.options.items() if name != "pretrained"}
    if "num_classes" not in options and content is not None:
        options["num_classes"] = count_classes(timm, request.name, content)
    made, report = build_filled(maker(source, timm, **options), content, request)
    network: Any = made
    if request.options.get("pretrained"):
        report = report_own(network)
    info = ModelInfo(
        request.name,
        {**options, "num_classes": network.num_classes},
        report,
        training=training_facts(network, request, content, classifier=True),
        format="timm classifier",
    )
    # Timm's own module, so that layers go by the names that timm gives them.
    named = TokenClassifier(network).eval() if needs_maps(network) else cast("Network", network)
    named.info = info
    return named
