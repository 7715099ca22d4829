"""How far a map reaches."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag, flag_fields
from erfscope.records.masses import MassStatistics

#: By threshold, "0.2" to "0.99"; None where it isn't reached or an error isn't known.
ByThreshold = Mapping[str, float | None]


@dataclass(frozen=True)
class AreaRatios:
    """The smallest square boxes about the projected center that hold given shares of a map.

    `side_px` is odd; `area_ratio` is the share of the image's area that the box covers. The standard
    errors are those of a side measured between the odd ones.
    """

    area_ratio: ByThreshold
    side_px: ByThreshold
    area_ratio_stderr: ByThreshold
    side_stderr_px: ByThreshold

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {item.name: dict(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True)
class RadialProfile:
    """Mean of the mean map over rings 1 px wide about the projected center.

    Attributes
    ----------
    radius_px
        (R,) whole px; ring r holds the pixels whose centers are nearer to r than to r ± 1.
    mean
        (R,) per pixel and image.
    stderr
        (R,) or None.
    """

    radius_px: FloatArray
    mean: FloatArray
    stderr: FloatArray | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        stderr = None if self.stderr is None else self.stderr.tolist()
        return {"radius_px": self.radius_px.tolist(), "mean": self.mean.tolist(), "stderr": stderr}


@dataclass(frozen=True)
class Extent:
    """What `measure.extent` measured: lengths in px, None where there is nothing to measure.

    Attributes
    ----------
    raw, log
        Of the mean map, and of log10(1 + mean map), as RepLKNet's script takes it.
    effective_diameter_px
        Of the circle with the area (Σ E)² / Σ E².
    effective_diameter_above_background_px
        The same of E − background.
    background
        Of the mean map, along the image's border.
    side95_above_background_px
        Side of the square box about the projected center that holds 95 % of Σ (E − background).
    images
        How the images share the map; None for an imported one.
    """

    raw: AreaRatios
    log: AreaRatios
    effective_diameter_px: float | None
    effective_diameter_stderr_px: float | None
    effective_diameter_above_background_px: float | None
    effective_diameter_above_background_stderr_px: float | None
    background: float | None
    background_stderr: float | None
    side95_above_background_px: float | None
    side95_above_background_stderr_px: float | None
    radial_profile: RadialProfile = field(repr=False)
    images: MassStatistics | None = None
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: the raw map's area ratios at the top, the logarithm's under `log`."""
        facts = {item.name: getattr(self, item.name) for item in fields(self)}
        del facts["raw"]
        facts |= {"log": self.log.summary(), "radial_profile": self.radial_profile.summary()}
        facts["images"] = None if self.images is None else self.images.summary()
        return {**self.raw.summary(), **facts, **flag_fields(self.flags)}
