"""A map as a figure shows it: its scale, and what was measured in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from erfscope.records.arrays import FloatArray
from erfscope.records.erf_map import ErfMap
from erfscope.records.gaussian import GaussianFit
from erfscope.records.star import StarMeasurement

#: What a figure can show besides the map: three overlays and two panels.
SHOWABLE = ("star", "gaussian", "prediction", "profiles", "residual")


@dataclass(frozen=True)
class Findings:
    """What was measured in a map, and what was predicted; what is None or empty is not drawn.

    Attributes
    ----------
    residual
        (H, W), the map less the fitted Gaussian, in the map's units.
    prediction
        Summary of a `FovPrediction`.
    """

    star: StarMeasurement | None = None
    gaussian: GaussianFit | None = None
    residual: FloatArray | None = None
    prediction: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MapView:
    """A map with its findings, on one scale; `show` names what to draw, of `SHOWABLE`."""

    erf: ErfMap
    scale: str
    show: frozenset[str] = frozenset()
    findings: Findings = field(default_factory=Findings)

    @cached_property
    def image(self) -> FloatArray:
        """(H, W): mean over the images, or the sum where their number is unknown."""
        return self.per_image(self.erf.erf)

    def per_image(self, values: FloatArray) -> FloatArray:
        """Bring an array of the map's units to those of `image`."""
        return values / (self.erf.images or 1)

    @property
    def quantity(self) -> str:
        """What the values of `image` are."""
        return "mean contribution per image" if self.erf.images else "contribution, of any scale"

    @property
    def scale_label(self) -> str:
        """How a figure names its scale."""
        return f"{'square-root' if self.scale == 'power' else self.scale} scale"

    @property
    def title(self) -> str:
        """Two lines: whose map it is, and of what."""
        erf = self.erf
        origin = [erf.network_label, erf.weights_label]
        where = f"unit of {erf.unit.layer}" if erf.unit.layer else ""
        of_all = "" if erf.is_whole or erf.images_total is None else f" of {erf.images_total}"
        count = f"{erf.images}{of_all} images" if erf.images else ""
        facts = [erf.data_label, count, f"{erf.formula} formula, {erf.target}", where]
        return "\n".join(" · ".join(part for part in line if part) for line in (origin, facts))
