"""Decides when a map is known well enough."""

from collections.abc import Mapping
from typing import Any

from erfscope.engine.accumulation import Sums
from erfscope.engine.image_order import ImageOrder
from erfscope.measure.replicate_groups import count_images
from erfscope.measure.sampling_error import STOPPED, check, has_converged, next_check
from erfscope.records.convergence import Convergence, ErrorCheck
from erfscope.records.flags import Flag


class ConvergenceMonitor:
    """Checks the error of a run's sums at certain numbers of images; see `measure.sampling_error`.

    Parameters
    ----------
    until
        The relative standard error at which the run ends.
    image_order
        The images, in their groups.
    projected_center
        (y, x) in px of the unit's projected center.
    recorded
        A `Convergence`'s summary of an interrupted run's checks.
    """

    def __init__(
        self,
        until: float,
        image_order: ImageOrder,
        projected_center: tuple[float, float],
        recorded: Mapping[str, Any] | None,
    ) -> None:
        self.until, self.image_order, self.projected_center = until, image_order, projected_center
        self.checks: tuple[ErrorCheck, ...] = ()
        if recorded is not None:
            self.checks = Convergence.from_summary(recorded).checks
        self.next_at = next_check(self.checks[-1].images if self.checks else 0)

    def has_converged(self, sums: Sums) -> bool:
        """Check the error if there are images enough, and return whether the map is known well enough."""
        if sums.done >= self.next_at:
            erf, replicates = sums.erf.cpu().numpy(), sums.replicates.cpu().numpy()
            sizes = count_images(sums.records, self.image_order.groups)
            self.checks = (*self.checks, check(erf, self.projected_center, replicates, sizes, sums.done))
            self.next_at = next_check(sums.done)
        return has_converged(self.checks, self.until)

    def summary(self, *, finished: bool) -> dict[str, Any]:
        """Return the JSON form of a `Convergence`, with the flags of a map that was stopped, or wasn't."""
        converged = has_converged(self.checks, self.until)
        flags = (STOPPED,) if converged else ()
        if finished and not converged:
            message = f"all images were used: the error had not stayed below --until {self.until:g}"
            flags = (Flag("error_not_reached", message),)
        return Convergence(self.until, self.checks, converged, flags).summary()
