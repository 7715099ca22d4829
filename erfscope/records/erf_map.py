"""An effective receptive field, and what became of the images in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag, flag_fields, read_flags
from erfscope.records.provenance import Labeled
from erfscope.records.shard import WHOLE, Shard
from erfscope.records.unit import Unit


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What became of one image: `status` is "done" or "skipped" (`reason` says why).

    `mass` is the sum over all pixels of its clipped gradient, None if it was skipped; `index` is its number
    in the run's order, of all shards together.
    """

    name: str
    group: int
    status: str
    reason: str = ""
    mass: float | None = None
    index: int = 0


@dataclass(frozen=True)
class ErfMap(Labeled):
    """An effective receptive field.

    Attributes
    ----------
    erf
        (H, W) float64, axes (y, x): sum over the images of the clipped gradient, un-normalized.
    unit
        The unit that the gradient was taken of.
    projected_center
        (y, x) in input pixels, from which the file's axes count: the unit's projected center, as the
        network's graph gives it. Where there is no graph, the unit itself, or the image's middle for a
        layer's unit.
    formula, target
        Names from `engine.formulas` and `engine.target`; "unknown" for an imported map.
    images
        How many images the sums hold, None if unknown.
    gradient_sum, gradient_square_sum
        (H, W) float64: sums of the unclipped gradient (summed over channels) and of its
        square; None for an imported map.
    replicates
        (G, H, W) partial sums of `erf` over disjoint image groups, or None: float32, and float64 as long as
        more is to be added to them.
    records
        One per image, in the order of the run; empty for an imported map.
    images_total
        How many images the run takes with all its shards, None if unknown.
    shard
        The share of them that this map is of.
    finished
        Whether all of its images are in it, or as many as were asked for.
    provenance
        JSON-able: command, versions, network, weights, dataset, engine plan, host, times.
    """

    erf: FloatArray
    unit: Unit
    projected_center: tuple[float, float]
    formula: str
    target: str
    images: int | None
    gradient_sum: FloatArray | None = None
    gradient_square_sum: FloatArray | None = None
    replicates: NDArray[np.floating] | None = None
    records: tuple[ImageRecord, ...] = ()
    images_total: int | None = None
    shard: Shard = WHOLE
    finished: bool = True
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.erf.shape
        return height, width

    @property
    def skipped(self) -> tuple[ImageRecord, ...]:
        """Return the images that were skipped."""
        return tuple(record for record in self.records if record.status == "skipped")

    @property
    def is_whole(self) -> bool:
        """Whether nothing is to be added any more: neither images nor shards."""
        return self.finished and self.shard.is_whole

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Say if this is not the whole map, not of one piece, or was stopped by its error."""
        total = "an unknown number of" if self.images_total is None else self.images_total
        seen = f"{len(self.records)} of {total} images"
        merged, convergence = (self.provenance.get(name) for name in ("merged", "convergence"))
        flags = [] if convergence is None else [*_recorded_flags(convergence)]
        if not self.finished:
            remedy = "merge the rest" if merged else "the command that made it goes on with --resume"
            flags.append(Flag("unfinished", f"unfinished: it holds {seen}; {remedy}"))
        elif not self.shard.is_whole:
            message = f"shard {self.shard} alone: it holds {seen}; merge all shards"
            flags.append(Flag("single_shard", message))
        if merged and any(part["versions"] != merged[0]["versions"] for part in merged):
            message = "its shards were computed by different versions of erfscope or its libraries"
            flags.append(Flag("mixed_versions", message))
        return tuple(flags)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays and the list of images."""
        masses = [record.mass for record in self.records if record.mass is not None]
        return {
            "images": self.images,
            "images_total": self.images_total,
            "shard": None if self.shard.is_whole else str(self.shard),
            "finished": self.finished,
            "images_skipped": len(self.skipped),
            "skipped": [{"name": record.name, "reason": record.reason} for record in self.skipped],
            "size": list(self.size),
            "unit": self.unit.summary(),
            "formula": self.formula,
            "target": self.target,
            "replicates": 0 if self.replicates is None else len(self.replicates),
            "sum": float(self.erf.sum()),
            "peak": float(self.erf.max()),
            "largest_image_share": max(masses) / sum(masses) if masses else None,
            **flag_fields(self.flags),
            **self.provenance,
        }


def _recorded_flags(convergence: Mapping[str, Any]) -> tuple[Flag, ...]:
    try:
        return read_flags(convergence)
    except (KeyError, TypeError, ValueError) as error:
        message = f"the map's record of its convergence is damaged ({error!r}); compute the map again"
        raise MapError(message) from error
