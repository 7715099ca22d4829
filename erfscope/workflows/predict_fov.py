"""From a network alone to what it sees."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from erfscope.checkpoints.load import load_model
from erfscope.engine.facts import find_facts
from erfscope.engine.plan import capture_unit_map, place_unit
from erfscope.errors import ComputeError, one_line
from erfscope.graph.fov.fov_of_unit import predict_fov_of_unit
from erfscope.model.frozen_eval import frozen_eval
from erfscope.model.network import name_of
from erfscope.model.unit_map import UnitMap
from erfscope.records.fov_prediction import FovPrediction


def predict_fov(
    model: nn.Module,
    size: int | tuple[int, int],
    *,
    unit: tuple[int, int] | str | None = None,
    resize: bool = True,
) -> FovPrediction:
    """Predict from a network's graph what a unit sees: receptive field, lattice, rates for this size.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits; its weights don't matter.
    size
        (H, W) of the image, or the side of a square one, px.
    unit, resize
        The unit, as in `compute_erf`.

    Raises
    ------
    ComputeError
        The network can't be captured as a graph, or doesn't run at that size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    unit_map = UnitMap(model, unit if isinstance(unit, str) else None, resize=resize)
    image = torch.zeros(1, 3, height, width)
    with frozen_eval(unit_map, image.device, image.dtype):
        facts = find_facts(unit_map, image)
        placed = place_unit(unit, facts.shape)
        try:
            graph = capture_unit_map(unit_map, image)
        except Exception as error:  # torch raises anything for what it can't capture
            reason = facts.hindrance or one_line(error)
            raise ComputeError(f"{name_of(model)} can't be captured as a graph: {reason}") from error
    return predict_fov_of_unit(graph, placed, name_of(model), receptive_fields=True)


def predict_file(
    *, network: Mapping[str, Any], size: tuple[int, int], unit: tuple[int, int] | str | None
) -> FovPrediction:
    """Predict for a network by its name or its checkpoint; see `load_model` and `predict_fov`."""
    return predict_fov(load_model(**network), size, unit=unit)
