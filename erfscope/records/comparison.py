"""Maps compared with each other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.records.arrays import FloatArray
from erfscope.records.flags import Flag, flag_fields

#: Numbers of one map that are compared; the center of mass counts from the projected center.
SCALARS = (
    "effective_diameter_px",
    "center_of_mass_y_px",
    "center_of_mass_x_px",
    "side50_px",
    "side95_above_background_px",
)


@dataclass(frozen=True)
class MapNumbers:
    """`SCALARS` of one map, and its `area_ratio50`; None where there is nothing to measure."""

    values: Mapping[str, float | None]
    stderr: Mapping[str, float | None]

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**self.values, "stderr": dict(self.stderr)}


@dataclass(frozen=True)
class Difference:
    """The second map's number less the first's, and how it compares with the sampling of images.

    `t` has `degrees` of freedom; `p_value` is two-sided and not corrected for how many are tested. None
    where an error isn't known.
    """

    difference: float | None
    stderr: float | None
    t: float | None
    degrees: float | None
    p_value: float | None


@dataclass(frozen=True)
class BlockComparison:
    """Two maps of one size, brought to the same sum and averaged in blocks.

    Attributes
    ----------
    block_px
        Side of a block.
    corners
        (y, x) of the upper left pixel of the compared part, in the first and in the second map.
    size
        (H, W) of that part.
    first, second
        (Y, X) each block's share of its map's sum.
    t
        (Y, X) of the difference; NaN where the error isn't known.
    significant
        (Y, X) by Benjamini and Hochberg's control of the false-discovery rate.
    false_discovery_rate
        At which.
    overlap
        Σ min(first, second): the share of the maps' sums that lies in the same blocks, 0 to 1.
    """

    block_px: int
    corners: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    first: FloatArray
    second: FloatArray
    t: FloatArray
    significant: NDArray[np.bool_]
    false_discovery_rate: float
    overlap: float

    @property
    def share_significant(self) -> float | None:
        """Share of the tested blocks that differ; None if none was tested."""
        tested = np.isfinite(self.t)
        return float(self.significant.sum() / tested.sum()) if tested.any() else None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form: everything but the arrays."""
        return {
            "block_px": self.block_px,
            "blocks": list(self.first.shape),
            "size": list(self.size),
            "corners": [{"y_px": y, "x_px": x} for y, x in self.corners],
            "tested": int(np.isfinite(self.t).sum()),
            "significant": int(self.significant.sum()),
            "share_significant": self.share_significant,
            "false_discovery_rate": self.false_discovery_rate,
            "overlap": self.overlap,
        }


@dataclass(frozen=True)
class PairComparison:
    """A map (`second`) compared with another (`first`), by their positions in the list of maps.

    `paired` tells that both saw the same images in the same groups, so that what the images do to both
    cancels. `blocks` is None where the sizes differ.
    """

    first: int
    second: int
    paired: bool
    scalars: Mapping[str, Difference]
    blocks: BlockComparison | None
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "first": self.first,
            "second": self.second,
            "paired": self.paired,
            "scalars": {name: asdict(difference) for name, difference in self.scalars.items()},
            "blocks": None if self.blocks is None else self.blocks.summary(),
            **flag_fields(self.flags),
        }


@dataclass(frozen=True)
class Comparison:
    """Two or more maps: the numbers of each, and each but the first compared with the first."""

    maps: tuple[MapNumbers, ...]
    pairs: tuple[PairComparison, ...]

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "maps": [numbers.summary() for numbers in self.maps],
            "pairs": [pair.summary() for pair in self.pairs],
        }
