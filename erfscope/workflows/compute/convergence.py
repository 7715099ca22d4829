"""Ends a run when its map is known well enough."""

from collections.abc import Mapping
from typing import Any

from erfscope.engine.accumulation import Sums
from erfscope.engine.image_order import ImageOrder
from erfscope.measure.replicate_groups import count_images
from erfscope.measure.sampling_error import STOPPED, check, has_converged, next_check
from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.flags import Flag


class Watch:
    """Looks at the sums of a run at certain numbers of images; see `measure.sampling_error`.

    Parameters
    ----------
    until
        The relative standard error at which the run ends.
    image_order
        In whose groups the images fall.
    projected_center
        (y, x) in px of the unit's projected center.
    before
        What the run recorded before it was interrupted, a `Convergence`'s summary.
    """

    def __init__(
        self,
        until: float,
        image_order: ImageOrder,
        projected_center: tuple[float, float],
        before: Mapping[str, Any] | None,
    ) -> None:
        self.until, self.image_order, self.projected_center = until, image_order, projected_center
        self.checks: tuple[ErrorCheck, ...] = ()
        if before is not None:
            self.checks = Convergence.from_summary(before).checks
        self.due = next_check(self.checks[-1].images if self.checks else 0)

    def ends(self, sums: Sums) -> bool:
        """Check if it is time to, and tell whether the map is known well enough."""
        if sums.done >= self.due:
            erf, replicates = sums.erf.cpu().numpy(), sums.replicates.cpu().numpy()
            sizes = count_images(sums.records, self.image_order.groups)
            self.checks = (*self.checks, check(erf, self.projected_center, replicates, sizes, sums.done))
            self.due = next_check(sums.done)
        return self.has_converged

    @property
    def has_converged(self) -> bool:
        """Whether the last checks say so."""
        return has_converged(self.checks, self.until)

    def summary(self, *, finished: bool) -> dict[str, Any]:
        """Return the JSON form of a `Convergence`, with what must be known of a map that came of it."""
        flags = (STOPPED,) if self.has_converged else ()
        if finished and not self.has_converged:
            message = f"all images were used: the error had not stayed below --until {self.until:g}"
            flags = (Flag("error_not_reached", message),)
        return Convergence(self.until, self.checks, self.has_converged, flags).summary()
