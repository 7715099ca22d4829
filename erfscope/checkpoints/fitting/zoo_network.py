"""Builds one of erfscope's own networks from its description and gives it its weights."""

from dataclasses import replace

from erfscope.checkpoints.files.weights_file import Checkpoint, file_sha256
from erfscope.checkpoints.fitting.matching import load_weights, report_random
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network
from erfscope.records.model_info import ModelInfo, TrainingFacts
from erfscope.zoo.adjust import at_output_stride, with_align_corners, with_rates
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import summarize
from erfscope.zoo.description import NetworkDescription

# What can be changed of a network that its checkpoint describes.
_CHANGEABLE = ("output_stride", "rates", "align_corners")


def build_zoo_network(
    request: Request,
    description: NetworkDescription,
    content: Checkpoint | None,
    *,
    name: str,
    format: str,
    trained: NetworkDescription | None = None,
    training: TrainingFacts | None = None,
) -> Network:
    """Build a network, in eval mode on the CPU, with the weights of a file or with random ones.

    Parameters
    ----------
    request
        Its seed draws random weights; its `allow_partial` lets a file fit in part.
    description
        The network to build.
    content
        The file whose weights it gets; None for random ones.
    name, format
        Recorded in its `ModelInfo`.
    trained
        The network that the file describes, before options were changed: every tensor must match then. None
        where the file describes none.
    training
        What the file tells of the training.

    Raises
    ------
    CheckpointError
        The file doesn't fit the network.
    """
    network = build_network(description, seed=request.seed)
    training = training or TrainingFacts()
    if content is None:
        report = report_random(network, request.seed)
    else:
        report = load_weights(
            network,
            content.state,
            str(content.path),
            file_sha256(content.path),
            strict=trained is not None,
            allow_partial=request.allow_partial,
        )
        training = replace(training, hyper_parameters=content.hyper_parameters)
    now = summarize(description)
    before = now if trained is None else summarize(trained)
    network.info = ModelInfo(
        name,
        {**(request.options if trained is None else {}), **now},
        report,
        trained_settings={option: value for option, value in before.items() if value != now[option]},
        parts=description.summary(),
        training=training,
        format=format,
    )
    return network


def change_trained(trained: NetworkDescription, request: Request) -> NetworkDescription:
    """Change the network that a checkpoint describes by the options of a request.

    Raises
    ------
    CheckpointError, NetworkError
        An option that can't be changed of it, or can't have that value.
    """
    request.refuse_options(
        f"the file says what network it is; of its options only {', '.join(_CHANGEABLE)} can be changed",
        but=_CHANGEABLE,
    )
    options, description = request.options, trained
    if "output_stride" in options:
        description = at_output_stride(description, options["output_stride"])
    if "rates" in options:
        description = with_rates(description, options["rates"])
    if "align_corners" in options:
        description = with_align_corners(description, align_corners=options["align_corners"])
    return description
