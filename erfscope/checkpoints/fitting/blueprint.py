"""From a description of one of our networks to the network with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from erfscope.checkpoints.files.weights_file import Checkpoint, file_sha256
from erfscope.checkpoints.fitting.matching import comparable, load_weights
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts, WeightsReport
from erfscope.zoo.build import build_network
from erfscope.zoo.description import NetworkDescription


@dataclass(frozen=True)
class Blueprint:
    """A network of ours to build and what is known of it.

    Attributes
    ----------
    options
        The choices that tell it from others of its name.
    content
        The file whose weights it gets; None for random ones.
    described
        Whether that file says itself what network it is, so that every tensor must match.
    trained_settings
        The options that were overridden.
    format, detected_by
        What it was drawn from, and what told so.
    """

    name: str
    description: NetworkDescription
    options: Mapping[str, Any]
    content: Checkpoint | None
    described: bool
    format: str
    detected_by: str
    trained_settings: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingFacts = field(default_factory=TrainingFacts)


def build(blueprint: Blueprint, request: Request) -> Network:
    """Build the network, in eval mode on the CPU, and give it its weights."""
    network = build_network(blueprint.description, seed=request.seed)
    training = blueprint.training
    if blueprint.content is None:
        report = WeightsReport("random", seed=request.seed, missing=tuple(comparable(network.state_dict())))
    else:
        report = load_weights(
            network,
            blueprint.content.state,
            str(blueprint.content.path),
            file_sha256(blueprint.content.path),
            strict=blueprint.described,
            allow_partial=request.allow_partial,
        )
        training = replace(training, hyper_parameters=blueprint.content.hyper_parameters)
    network.info = ModelInfo(
        blueprint.name,
        blueprint.options,
        report,
        trained_settings=blueprint.trained_settings,
        parts=blueprint.description.summary(),
        training=training,
        format=blueprint.format,
        detected_by=blueprint.detected_by,
    )
    return network
