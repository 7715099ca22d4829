"""The patches into which a map is partitioned."""

from dataclasses import asdict, dataclass
from typing import Any

from erfscope.records.flags import Flag, flag_fields


@dataclass(frozen=True)
class Patches:
    """What `measure.patches` found.

    Attributes
    ----------
    size_px
        Side of a patch, px; None where the map isn't partitioned.
    phase
        (y, x) of the first patch border in px, each from 0 to `size_px` − 1: patches begin at rows
        y + k · `size_px`. None where the map isn't partitioned, or all patches are equally strong.
    score
        From 0 to 1; the map is partitioned from `measure.patches.THRESHOLD` on.
    texture_share
        Of the energy of all periodic texture, what repeats with this size and no finer one.
    step_share
        Of the jump across a patch border, what exceeds the jump within a patch.
    tried_px
        The smallest and the largest size looked for; None if the map is too small for any.
    """

    size_px: int | None
    phase: tuple[int, int] | None
    score: float
    texture_share: float = 0.0
    step_share: float = 0.0
    tried_px: tuple[int, int] | None = None
    flags: tuple[Flag, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        facts = asdict(self)
        facts["phase"] = None if self.phase is None else {"y_px": self.phase[0], "x_px": self.phase[1]}
        return {**facts, **flag_fields(self.flags)}
