"""What a network's graph predicts."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.records.flags import Flag, flag_fields
from erfscope.records.unit import Unit


@dataclass(frozen=True)
class FovPrediction:
    """What the network's own graph predicts of a unit's field of view, at one size. Lengths in px.

    Attributes
    ----------
    pattern
        What the head's atrous convolutions leave in the map: "star" if they are parallel, "grid" if one
        reads another, "none" without any.
    output_stride
        The largest stride of the maps on the unit's way; None if it depends on the image as a whole only.
    read_stride
        Stride of the feature map that the atrous convolutions read.
    rates
        Of the atrous convolutions: ascending in a star, from the image on in a grid.
    projected_center
        (y, x) in the image over which the unit lies.
    lattice
        (dy, dx) from the projected center: positions inside the image at which the unit reads that map,
        one for each combination of taps.
    center_to_center_px, end_to_end_convention_px
        Between the outermost positions of one side, inside the image or not; with the study's 32 px.
    valid_tap_fraction, valid_tap_fraction_map
        For each rate the share of the taps that fall inside the map: of those of this unit, and on average
        over all positions of the map.
    theoretical_rf_px, theoretical_rf_without_global_px
        (h, w) that the receptive field spans within the image: all of it, and without the branches that
        mix the whole map (image pooling, attention).
    recommended_rate, recommended_rates
        Base rate, exact, whose star or grid just covers the shorter side, and the rates for the rounded
        one; None where no formula holds.
    receptive_field, receptive_field_without_global
        (H, W) bool: the pixels themselves.
    """

    model: str
    size: tuple[int, int]
    unit: Unit
    pattern: str
    output_stride: float | None
    projected_center: tuple[float, float] | None
    read_stride: float | None = None
    rates: tuple[int, ...] = ()
    lattice: tuple[tuple[float, float], ...] = ()
    center_to_center_px: float | None = None
    end_to_end_convention_px: float | None = None
    valid_tap_fraction: tuple[float, ...] = ()
    valid_tap_fraction_map: tuple[float, ...] = ()
    theoretical_rf_px: tuple[int, int] | None = None
    theoretical_rf_without_global_px: tuple[int, int] | None = None
    recommended_rate: float | None = None
    recommended_rates: tuple[int, ...] | None = None
    flags: tuple[Flag, ...] = ()
    receptive_field: NDArray[np.bool_] | None = None
    receptive_field_without_global: NDArray[np.bool_] | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        del facts["receptive_field"], facts["receptive_field_without_global"]
        center = self.projected_center
        facts["unit"] = self.unit.summary()
        facts["projected_center"] = None if center is None else {"y_px": center[0], "x_px": center[1]}
        return facts | flag_fields(self.flags)
