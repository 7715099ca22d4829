"""Describes a checkpoint: its format, its network, its training, and how well its weights fit."""

from contextlib import suppress
from typing import Any

import torch

from erfscope.checkpoints.load import load_model
from erfscope.engine.facts import find_facts
from erfscope.errors import ComputeError
from erfscope.model.frozen_eval import frozen_eval
from erfscope.model.network import Network
from erfscope.model.unit_map import UnitMap
from erfscope.records.flags import Flag, flag_fields
from erfscope.workflows.predict_fov import predict_fov

_DEFAULT_SIZE = (512, 512)  # px: at which a network without a crop of its own is captured


def inspect_network(spec: str, **options: Any) -> dict[str, Any]:
    """Load a network and describe it.

    Stride and rates are read from the network's graph; where that can't be captured, from its description.

    Parameters
    ----------
    spec, **options
        As for `load_model`.

    Returns
    -------
    dict
        spec, format and detected_by, network, backbone, num_classes, output_stride, read_stride, rates,
        crop_size (H, W, px), mean and std (R, G, B in 0 to 1), channel_order, classes, parameters (their
        number), weights (the report), trained_settings, hyper_parameters (of Lightning or of erfscope) and
        flags. None for what isn't known.

    Raises
    ------
    CheckpointError, NetworkError
        As `load_model`.
    """
    network = load_model(spec, **options)
    info = network.info
    training = info.training
    graph, flags = _graph_facts(network)
    described = dict(info.options)
    return {
        "spec": spec,
        "format": info.format,
        "detected_by": info.detected_by,
        "network": info.name,
        "backbone": described.get("backbone"),
        "num_classes": described.get("num_classes") or _count_classes(network),
        "output_stride": graph.get("output_stride") or described.get("output_stride"),
        "read_stride": graph.get("read_stride"),
        "rates": list(graph.get("rates") or described.get("rates") or ()),
        "crop_size": training.crop_size,
        "mean": training.mean,
        "std": training.std,
        "channel_order": training.channel_order,
        "classes": list(training.classes),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights": info.weights.summary(),
        "trained_settings": dict(info.trained_settings),
        "hyper_parameters": dict(training.hyper_parameters),
        **flag_fields(flags),
    }


def _size(network: Network) -> tuple[int, int]:
    return network.info.training.crop_size or _DEFAULT_SIZE


def _count_classes(network: Network) -> int | None:
    """Count the logits of a network whose file doesn't tell."""
    logits = UnitMap(network, None, resize=False)
    image = torch.zeros(1, 3, *_size(network))
    # It may return none.
    with suppress(ComputeError), frozen_eval(logits, image.device, image.dtype):
        return find_facts(logits, image).shape[0]
    return None


def _graph_facts(network: Network) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    try:
        prediction = predict_fov(network, _size(network))
    except ComputeError as error:
        message = f"stride and rates are not read from the graph: {error}"
        return {}, (Flag("graph_not_read", message),)
    return prediction.summary(), prediction.flags
