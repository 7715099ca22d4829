"""The field of view that a network's graph predicts."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.records.flags import Flag, flag_fields
from erfscope.records.unit import Unit


@dataclass(frozen=True)
class FovPrediction:
    """The field of view of one unit at one input size, as the network's graph predicts it.

    `predict_fov` returns one. Lengths are pixels of the network's input; image axes are (y, x), y down, pixel
    centers at integers from 0.

    Attributes
    ----------
    model, size, unit
        The network's name, (H, W) of its input, and the unit.
    pattern
        The pattern that the head's atrous convolutions leave in the map: "star" if they are parallel, "grid"
        if one reads another, "none" without any.
    output_stride
        Largest stride of the feature maps between image and unit; None if the unit depends on the image as
        a whole only.
    projected_center
        (y, x) of the point in the image over which the unit lies; None if the unit depends on the image as
        a whole only.
    read_stride
        Stride of the feature map that the atrous convolutions read; None without any.
    rates
        Atrous rates: ascending in a star, from the image on in a grid.
    lattice
        (dy, dx) from the projected center of the positions at which the unit reads that feature map, one for
        each combination of taps, as far as they are inside the image.
    center_to_center_px, end_to_end_convention_px
        Distance between the outermost positions of one side, inside the image or not, and the same plus the
        study's 32 px; None without atrous convolutions.
    valid_tap_fraction, valid_tap_fraction_map
        For each rate the share of its taps that fall inside the feature map: of this unit, and on average
        over all positions of the feature map.
    theoretical_rf_px, theoretical_rf_without_global_px
        (h, w) of the smallest box in the image that holds the theoretical receptive field: with all branches,
        and without those that mix the whole feature map (image pooling, attention).
    recommended_rate, recommended_rates
        The exact base rate whose star or grid just covers the shorter side, and all rates for the rounded
        base rate; None where no formula holds.
    flags
        Reasons to doubt the prediction.
    receptive_field, receptive_field_without_global
        (H, W) bool, axes (y, x): the pixels of the two receptive fields.

    Examples
    --------
    >>> import torch
    >>> import erfscope
    >>> dilated = torch.nn.Conv2d(3, 2, kernel_size=3, padding=4, dilation=4)
    >>> prediction = erfscope.predict_fov(dilated, (33, 41))
    >>> prediction.theoretical_rf_px, prediction.projected_center
    ((9, 9), (16.0, 20.0))
    >>> int(prediction.receptive_field.sum())  # pixels that the unit reads
    9
    """

    model: str
    size: tuple[int, int]
    unit: Unit
    pattern: str
    output_stride: float | None
    projected_center: tuple[float, float] | None
    read_stride: float | None = None
    rates: tuple[int, ...] = ()
    lattice: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    center_to_center_px: float | None = None
    end_to_end_convention_px: float | None = None
    valid_tap_fraction: tuple[float, ...] = ()
    valid_tap_fraction_map: tuple[float, ...] = ()
    theoretical_rf_px: tuple[int, int] | None = None
    theoretical_rf_without_global_px: tuple[int, int] | None = None
    recommended_rate: float | None = None
    recommended_rates: tuple[int, ...] | None = None
    flags: tuple[Flag, ...] = ()
    receptive_field: NDArray[np.bool_] | None = field(default=None, repr=False)
    receptive_field_without_global: NDArray[np.bool_] | None = field(default=None, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        del facts["receptive_field"], facts["receptive_field_without_global"]
        center = self.projected_center
        facts["unit"] = self.unit.summary()
        facts["projected_center"] = None if center is None else {"y_px": center[0], "x_px": center[1]}
        return facts | flag_fields(self.flags)
