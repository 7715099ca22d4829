"""From a network alone to what it sees."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from erfscope.checkpoints.load import load_model
from erfscope.engine.engines import trace_unit_map
from erfscope.engine.plan import make_plan
from erfscope.engine.target import Target
from erfscope.errors import ComputeError, one_line
from erfscope.graph.fov.fov_of_unit import predict
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
    plan = make_plan(
        model,
        (height, width),
        formula="paper",
        target=Target("logits"),
        unit=unit,
        resize=resize,
        precision="float32",
        device="cpu",
        batch_size=1,
        workers=0,
    )
    try:
        flow = trace_unit_map(model, plan)
    except Exception as error:  # torch raises anything for what it can't capture
        reason = one_line(error) if plan.graph_allowed else plan.reason
        raise ComputeError(f"{plan.model} can't be captured as a graph: {reason}") from error
    return predict(flow, plan.unit, plan.model, receptive_fields=True)


def predict_file(
    *, network: Mapping[str, Any], size: tuple[int, int], unit: tuple[int, int] | str | None
) -> FovPrediction:
    """Predict for a network by its name or its checkpoint; see `load_model` and `predict_fov`."""
    return predict_fov(load_model(**network), size, unit=unit)
