"""An effective receptive field, and what became of the images in it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag, flag_fields, read_flags
from erfscope.records.provenance import HasProvenance
from erfscope.records.shard import WHOLE, Shard
from erfscope.records.unit import Unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What became of one image of a run.

    Attributes
    ----------
    name
        The image's name in its dataset.
    group
        Number of the image group, 0 to G - 1, whose partial sum it belongs to.
    status, reason
        "done", or "skipped" and why.
    mass
        Sum over all pixels of its clipped gradient; None if it was skipped.
    index
        Its number in the order of the run, counted over all shards, from 0.
    """

    name: str
    group: int
    status: str
    reason: str = ""
    mass: float | None = None
    index: int = 0


@dataclass(frozen=True, repr=False)
class ErfMap(HasProvenance):
    """An effective receptive field: the clipped input gradients of one unit, summed over images.

    `compute_erf`, `load_erf` and `merge_maps` return one. H and W are the size of the network's input in
    pixels. Image axes are (y, x), y down, pixel centers at integers from 0.

    Attributes
    ----------
    erf
        (H, W) float64, axes (y, x): sum of the clipped gradients, un-normalized, in logits per unit of the
        normalized image.
    unit
        The unit whose gradient was taken: row `y` and column `x` of the output, or of the feature map of
        `layer`.
    projected_center
        (y, x) in pixels of the input: the point over which the unit lies, by the network's graph. The axes
        of the map's file count from it. Without a graph it is the unit itself, or the middle of the
        image for a unit of a layer.
    formula, target
        How gradients are clipped, and of what; see `compute_erf`. "unknown" for an imported map.
    images
        How many images the sums hold; None if unknown.
    gradient_sum, gradient_square_sum
        (H, W) float64, axes (y, x): sums over the images of the gradient before clipping (summed over the
        channels), and of its square; None for an imported map.
    replicates
        (G, H, W), axes (group, y, x): partial sums of `erf` over G disjoint groups of images, from which
        standard errors are computed; None without. float32; float64 as long as images are missing.
    records
        One `ImageRecord` an image, in the order of the run; empty for an imported map.
    images_total
        How many images the whole run takes, all shards together; None if unknown.
    shard
        Which part of the run's images this map is for; `0/1` is all.
    finished
        Whether all images of its shard are in it, or as many as the requested error took.
    provenance
        How the map was made, as JSON can hold it: command, versions, network, weights, dataset, engine,
        host, times.

    Examples
    --------
    >>> import torch
    >>> import erfscope
    >>> model = torch.nn.Conv2d(3, 2, kernel_size=5, padding=2)
    >>> erf = erfscope.compute_erf(model, [torch.ones(3, 33, 41)])
    >>> erf.erf.shape, erf.erf.dtype
    ((33, 41), dtype('float64'))
    >>> erf.unit.y, erf.unit.x, erf.projected_center
    (16, 20, (16.0, 20.0))
    >>> erf
    ErfMap of 33×41 px
      unit     y 16, x 20; projected center y 16, x 20
      images   1 of 1
      formula  paper, target logits
      network  Conv2d
      weights  as given
      data     given list
      engine   graph, float32, cpu
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

    def __repr__(self) -> str:
        """Return some lines in words, without the arrays."""
        height, width = self.size
        lines = (f"  {name:<9}{value}" for name, value in self._facts().items() if value)
        return "\n".join((f"ErfMap of {height}×{width} px", *lines))

    def _facts(self) -> dict[str, str]:
        y, x = self.projected_center
        layer = f" of {self.unit.layer}" if self.unit.layer else ""
        engine = self.provenance.get("engine", {})
        return {
            "unit": f"y {self.unit.y}, x {self.unit.x}{layer}; projected center y {y:g}, x {x:g}",
            "images": self._told_images(),
            "formula": f"{self.formula}, target {self.target}",
            "network": self.network_label,
            "weights": self.weights_label,
            "data": self.data_label,
            "engine": ", ".join(str(engine[key]) for key in ("mode", "precision", "device") if key in engine),
            "flags": "; ".join(map(str, self.flags)),
        }

    def _told_images(self) -> str:
        if self.images is None:
            return "unknown"
        total = "" if self.images_total is None else f" of {self.images_total}"
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self.images}{total}{skipped}"

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the map and of the network's input, px."""
        height, width = self.erf.shape
        return height, width

    @property
    def skipped(self) -> tuple[ImageRecord, ...]:
        """Images that were skipped."""
        return tuple(record for record in self.records if record.status == "skipped")

    @property
    def is_whole(self) -> bool:
        """Whether the map is finished and holds the images of all shards."""
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

    # `save` and `plot` reach into rooms above. Those are imported by name when a method is called, so that
    # records depend on none of them, and a map is measured without h5py and matplotlib.

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the map to an HDF5 file, whole or not at all; `erfscope.load_erf` reads it.

        Parameters
        ----------
        path
            The file, usually with the ending .h5. Missing folders are made.
        overwrite
            Replace the file if it exists.

        Raises
        ------
        MapError
            The file exists and `overwrite` is False, or it can't be written.
        """
        import_module("erfscope.store.write").write_map(self, Path(path), overwrite=overwrite)

    def plot(
        self,
        path: str | Path | None = None,
        *,
        scale: str = "log",
        show: Collection[str] = ("star",),
        overwrite: bool = True,
    ) -> "Figure":
        """Draw the map, and write the figure to a file if one is named.

        Parameters
        ----------
        path
            A .png, .pdf or .svg file; None only draws.
        scale
            Of the colors: "log", "linear" or "power" (square root).
        show
            What is measured and drawn with the map: any of "star", "gaussian" and "prediction" (marks on
            the map), "profiles" and "residual" (panels beside it).
        overwrite
            Replace the file if it exists.

        Returns
        -------
        matplotlib.figure.Figure
            Outside pyplot: no window opens, a notebook shows it.

        Raises
        ------
        MapError
            A scale or something to show that doesn't exist, a map without positive values on a "log" scale,
            or a file that can't be written.
        """
        maps = import_module("erfscope.workflows.maps")
        figure: Figure = maps.plot_erf(self, path, scale=scale, show=show, overwrite=overwrite)
        return figure


def _recorded_flags(convergence: Mapping[str, Any]) -> tuple[Flag, ...]:
    try:
        return read_flags(convergence)
    except (KeyError, TypeError, ValueError) as error:
        message = f"the map's record of its convergence is damaged ({error!r}); compute the map again"
        raise MapError(message) from error
