"""A sweep as one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from erfscope.records.flags import Flag
from erfscope.records.sweep import SweepRow
from erfscope.report.html_page import fill_template
from erfscope.report.pictures import inline
from erfscope.report.tables import Table
from erfscope.report.words import NOTHING, number, percent, with_error

_TITLE = "A sweep over atrous rates"
_HEADER = (
    "base rate", "rates", "output stride", "predicted (px)", "measured", "error", "mIoU",
    "95 % of the map within (px)", "rings' shares of the map",
)  # fmt: skip
_MOVED = (
    "base rate", "output stride", "center to center before (px)", "after",
    "95 % of the map within before (px)", "after", "rings' shares before", "after",
)  # fmt: skip
_TRAINING = "What training moves: the side that holds 95 % of the map, and the outermost ring's share of it"
_NOTE = (
    "± is one standard error over the seeds; of a single seed, that of the sampling of images alone. The "
    "error is (measured − predicted) / predicted; without one, the outermost ring lies outside the map."
)


def render_sweep(document: Mapping[str, Any], rows: Sequence[SweepRow], figures: Sequence[Figure]) -> str:
    """Return the HTML text of a sweep's document, its rows, and its figures: distances, mIoU, training."""
    fov, miou, *training = figures
    pictures = [
        inline(
            fov,
            alt="Measured center-to-center distances against predicted ones",
            caption="The star's outermost blobs: measured in maps, predicted from the network's graph.",
        ),
        inline(
            miou,
            alt="mIoU against the base rate",
            caption="Scores by base rate; r* is the study's guideline for this crop.",
        ),
    ]
    pictures += [inline(figure, alt=_TRAINING, caption=f"{_TRAINING}.", wide=True) for figure in training]
    tables = [Table("", _HEADER, tuple(_cells(row) for row in rows), (_NOTE,))]
    if any(row.untrained for row in rows):
        moved = tuple(_moved(row) for row in rows if row.untrained)
        tables.append(Table("Before and after training", _MOVED, moved, ()))
    return fill_template(
        "sweep.html",
        title=_TITLE,
        subtitle=document["subtitle"],
        sentences=sentences(rows, document["agreement"]["trained"]),
        flags=[*document["flags"], *map(str, _row_flags(rows))],
        pictures=pictures,
        tables=tables,
    )


def sentences(rows: Sequence[SweepRow], agreement: Mapping[str, Any]) -> list[str]:
    """Say what came out: which rate scores best and by how much, and how well the prediction holds.

    Parameters
    ----------
    agreement
        An `Agreement`'s summary.
    """
    found = []
    scored = [row for row in rows if row.miou is not None and row.base_rate is not None]
    if len(scored) > 1:
        best, second = sorted(scored, key=lambda row: row.miou or 0, reverse=True)[:2]
        score = with_error(_percent(best.miou), _percent(best.miou_stderr), "%")
        found.append(
            f"Of {len(scored)} networks the one at {_name(best)} scores best, mIoU {score}; "
            f"{_lead(best, second)}"
        )
    if agreement["points"]:
        most = percent(agreement["largest_relative_error"], sign=False)
        line = ""
        if agreement["slope"] is not None:
            slope = f"{agreement['slope']:.4f} ± {agreement['slope_stderr']:.4f}"
            line = f"; the line through them has a slope of {slope}, R² {agreement['r_squared']:.5f}"
        found.append(
            f"Measured and predicted fields of view differ by at most {most}, in the maps that the star fits "
            f"({agreement['points']} of {len(rows)}){line}."
        )
    return found or ["There is nothing to compare yet."]


def _row_flags(rows: Sequence[SweepRow]) -> list[Flag]:
    """Say once what is said of several rows, and of which."""
    found = []
    for flag in dict.fromkeys(flag for row in rows for flag in row.flags):
        named = [_name(row) for row in rows if flag in row.flags]
        found.append(flag if len(named) == len(rows) else flag.prefixed("; ".join(named)))
    return found


def _lead(best: SweepRow, second: SweepRow) -> str:
    """Compare the two best by their standard errors, which one seed alone doesn't have."""
    if best.seeds < 2 or second.seeds < 2 or not (best.miou_stderr or second.miou_stderr):
        return "one seed alone doesn't tell whether another training would say the same."
    spread = ((best.miou_stderr or 0) ** 2 + (second.miou_stderr or 0) ** 2) ** 0.5
    lead = ((best.miou or 0) - (second.miou or 0)) / spread
    return f"{number(lead)} standard errors over the seeds before the next, at {_name(second)}."


def _name(row: SweepRow) -> str:
    rate = "the baseline" if row.base_rate is None else f"base rate {row.base_rate}"
    return rate if row.output_stride is None else f"{rate} and output stride {row.output_stride}"


def _cells(row: SweepRow) -> tuple[str, ...]:
    return (
        "none" if row.base_rate is None else str(row.base_rate),
        ", ".join(map(str, row.rates)) or NOTHING,
        NOTHING if row.output_stride is None else str(row.output_stride),
        number(row.predicted_center_to_center_px),
        with_error(row.measured_center_to_center_px, row.measured_stderr_px, "px"),
        percent(row.relative_error),
        with_error(_percent(row.miou), _percent(row.miou_stderr), "%"),
        number(row.side95_px),
        _shares(row.ring_mass_shares),
    )


def _moved(row: SweepRow) -> tuple[str, ...]:
    before = row.untrained
    return (
        "none" if row.base_rate is None else str(row.base_rate),
        NOTHING if row.output_stride is None else str(row.output_stride),
        number(before["measured_center_to_center_px"]),
        number(row.measured_center_to_center_px),
        number(before["side95_px"]),
        number(row.side95_px),
        _shares(before["ring_mass_shares"]),
        _shares(row.ring_mass_shares),
    )


def _shares(shares: Sequence[float]) -> str:
    return ", ".join(percent(share, places=0, sign=False) for share in shares) or NOTHING


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
