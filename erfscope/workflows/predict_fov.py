"""Predicts what a unit of a network sees, without an image."""

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

    Nothing is computed and no image is read: the network is captured by `torch.export`, and what each
    operator reads of its operands is followed from the unit back to the image.

    Parameters
    ----------
    model
        Any module that maps (N, 3, H, W) to logits; its weights don't matter. It is left as it was.
    size
        (H, W) of the image, or the side of a square one, px.
    unit
        (y, x) in the network's output, the name of a layer (its central feature), or None for the center
        (H // 2, W // 2) of the output.
    resize
        Resize low-resolution logits bilinearly to the image's size before the unit is taken.

    Returns
    -------
    FovPrediction
        All lengths are px of the image, offsets (dy, dx) count from `projected_center` (y, x), y down. The
        masks `receptive_field` and `receptive_field_without_global` are (H, W) bool; they are exact where
        every operator has a rule, never too small. `center_to_center_px`, the lattice and the rates are
        those of the head's atrous convolutions, None or empty without any.

    Raises
    ------
    ComputeError
        The network can't be captured as a graph, or doesn't run at that size; or it has no such unit.

    References
    ----------
    arXiv 2307.14179: the star of ASPP, its width, and the rate at which it covers the image. Valid taps are
    counted as in DeepLabV3, arXiv 1706.05587.

    Examples
    --------
    Two parallel atrous convolutions on a map of stride 4 leave a star:

    >>> import torch
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.backbone = torch.nn.Conv2d(3, 4, 5, stride=4, padding=2)
    ...         self.near = torch.nn.Conv2d(4, 2, 3, padding=3, dilation=3)
    ...         self.far = torch.nn.Conv2d(4, 2, 3, padding=6, dilation=6)
    ...
    ...     def forward(self, image):
    ...         features = self.backbone(image)
    ...         return self.near(features) + self.far(features)
    >>> fov = predict_fov(Net(), 97)
    >>> fov.pattern, fov.rates, fov.read_stride
    ('star', (3, 6), 4.0)
    >>> fov.center_to_center_px  # 2 · 6 cells of 4 px
    48.0
    >>> fov.theoretical_rf_px, fov.receptive_field.shape
    ((57, 57), (97, 97))
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
    """Predict for a network's name or checkpoint; see `load_model` and `predict_fov`."""
    return predict_fov(load_model(**network), size, unit=unit)
