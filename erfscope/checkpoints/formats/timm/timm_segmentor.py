"""One of our heads over a network of timm."""

from dataclasses import replace
from typing import Any

from torch import nn

from erfscope.checkpoints.files.state_dict import StateDict
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.build_filled import (
    build_seeded,
    build_shapes,
    fill,
    find_tensor,
)
from erfscope.checkpoints.fitting.matching import comparable, report_random
from erfscope.checkpoints.fitting.prefixes import under_own_names
from erfscope.checkpoints.formats.timm.timm_backbone import (
    HEADS,
    TimmBackbone,
    features_at,
    head_over,
    rename_for_features,
)
from erfscope.checkpoints.formats.timm.timm_network import count_classes, maker, report_own, training_facts
from erfscope.checkpoints.formats.timm.timm_source import SIZES, TimmSource
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.records.model_info import ModelInfo, WeightsReport
from erfscope.zoo.adjust import with_classes
from erfscope.zoo.build import make_part
from erfscope.zoo.catalog.entries import describe_network
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.initialize import initialize
from erfscope.zoo.segmentor import Segmentor

# Options of catalog networks that change their own backbones.
_OF_BACKBONES = ("backbone", "multi_grid")
_OF_TIMM = ("head", "pretrained", *SIZES)
# Backbones of the catalog over whose maps the heads are described, before they are fitted to timm's.
_WIDE, _NARROW, _NARROW_CHANNELS = "resnet50", "resnet18", (64, 128, 256, 512)


def read_segmentor(source: TimmSource, timm: Any, content: Checkpoint | None) -> Segmentor:
    """Build the head of the option `head` over the network, with its weights.

    A file with the head's tensors fills the whole; one of timm's fills the backbone, and the head is random.
    """
    request = source.request
    described = _describe(request, _WIDE)
    whole = content if content is not None and _holds(content, described) else None
    state = None if content is None or whole is not None else _check_classifier(source, timm, content)
    stride: Any = make_part(described.backbone).output_stride
    arguments = features_at(source, timm, int(stride))
    backbone = TimmBackbone(build_seeded(maker(source, timm, **arguments), request.seed, request.spec))
    if backbone.channels == _NARROW_CHANNELS:
        described = _describe(request, _NARROW)
    described = replace(described, head=head_over(described.head, backbone, request.spec))
    if whole is not None and "num_classes" not in request.options:
        described = _with_classes_of(described, whole)
    network = Segmentor(
        backbone,
        _seeded_head(described, request.seed),
        head_name=described.head_name,
        align_corners=described.align_corners,
    )
    if whole is not None:
        report = fill(network, whole.state, whole, request)
    else:
        report = _of_backbone(_fill_backbone(backbone, state, content, request), network)
    network.info = ModelInfo(
        request.options["head"],
        {
            **{name: value for name, value in request.options.items() if name != "pretrained"},
            "backbone": f"timm:{request.name}",
            "output_stride": network.output_stride,
            "rates": None if network.rates is None else list(network.rates),
            "num_classes": described.num_classes,
            "align_corners": network.align_corners,
        },
        report,
        training=training_facts(backbone.body, request, content, classifier=False),
        format="timm backbone and a head of the catalog",
    )
    return network.eval()


def _describe(request: Request, reference: str) -> NetworkDescription:
    """Describe the head's network over a backbone of the catalog."""
    head = request.options["head"]
    if head not in HEADS:
        raise CheckpointError(
            f"{request.spec}: no head is called {head!r}; expected one of {', '.join(HEADS)}"
        )
    for option in _OF_BACKBONES:
        if option in request.options:
            raise CheckpointError(f"{request.spec}: leave {option} out: the backbone is timm's")
    options = {name: value for name, value in request.options.items() if name not in _OF_TIMM}
    return describe_network(head, backbone=reference, **options)


def _holds(content: Checkpoint, described: NetworkDescription) -> bool:
    """Say whether a file has both our backbone and our head, under whatever prefix."""
    return all(
        any(f".{part}." in f".{name}" for name in content.state)
        for part in ("backbone.body", described.head_name)
    )


def _with_classes_of(described: NetworkDescription, content: Checkpoint) -> NetworkDescription:
    name = f"{described.head_name}.{make_part(described.head).classifier_weight}"
    classifier = find_tensor(content.state, name)
    if classifier is None or classifier.ndim == 0:
        return described
    return with_classes(described, classifier.shape[0])


def _seeded_head(described: NetworkDescription, seed: int) -> nn.Module:
    head = make_part(described.head).to_empty(device="cpu")
    names: Any = getattr(head, "classifier_weights", (head.classifier_weight,))
    initialize(head, names, seed)
    return head


def _check_classifier(source: TimmSource, timm: Any, content: Checkpoint) -> StateDict:
    """Hold a file against the whole classifier: a backbone alone would also take what is of a deeper one.

    Returns the tensors under the classifier's names.
    """
    num_classes = count_classes(timm, source.request.name, content)
    classifier = build_shapes(maker(source, timm, num_classes=num_classes), source.request.spec)
    fill(classifier, content.state, content, source.request)
    return under_own_names(content.state, classifier.state_dict())


def _fill_backbone(
    backbone: TimmBackbone, state: StateDict | None, content: Checkpoint | None, request: Request
) -> WeightsReport:
    body: Any = backbone.body
    if content is not None and state is not None:
        return fill(body, rename_for_features(state, body), content, request)
    return report_own(body) if request.options.get("pretrained") else report_random(body, request.seed)


def _of_backbone(report: WeightsReport, network: Segmentor) -> WeightsReport:
    """Tell a backbone's report as the whole network's, whose head is random."""
    head = (name for name in comparable(network.state_dict()) if not name.startswith("backbone."))
    return replace(
        report,
        matched=tuple(f"backbone.body.{name}" for name in report.matched),
        missing=(*(f"backbone.body.{name}" for name in report.missing), *head),
    )
