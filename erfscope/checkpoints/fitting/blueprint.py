"""From a description of one of our networks to the network with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from erfscope.checkpoints.files.reading import Checkpoint, file_sha256
from erfscope.checkpoints.fitting.matching import comparable, load_weights
from erfscope.checkpoints.request import Request
from erfscope.records.network import ModelOrigin, TrainingFacts, WeightsReport
from erfscope.zoo.build import build_network
from erfscope.zoo.description import NetworkDescription
from erfscope.zoo.network import Network


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
    trained_with
        The options that were overridden.
    format, recognized_by
        What it was drawn from, and what told so.
    """

    name: str
    description: NetworkDescription
    options: Mapping[str, Any]
    content: Checkpoint | None
    described: bool
    format: str
    recognized_by: str
    trained_with: Mapping[str, Any] = field(default_factory=dict)
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
    network.origin = ModelOrigin(
        blueprint.name,
        blueprint.options,
        report,
        trained_with=blueprint.trained_with,
        parts=blueprint.description.summary(),
        training=training,
        format=blueprint.format,
        recognized_by=blueprint.recognized_by,
    )
    return network
