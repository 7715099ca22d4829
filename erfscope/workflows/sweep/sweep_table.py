"""The table of a sweep: means over the seeds, with their standard errors."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from scipy.stats import linregress

from erfscope.records.flags import Flag
from erfscope.records.sweep import Agreement, SweepRow, SweepRun

Star = Mapping[str, Any]


def make_rows(runs: Iterable[SweepRun]) -> list[SweepRow]:
    """Make one row of the runs at each base rate and output stride, in the order of the first runs."""
    groups: dict[tuple[int | None, int | None], list[SweepRun]] = {}
    for run in runs:
        groups.setdefault((run.output_stride, run.base_rate), []).append(run)
    return [_row(group) for group in groups.values()]


def agreement(rows: Iterable[SweepRow]) -> Agreement:
    """Compare predicted with measured distances after training."""
    return _agreement((row.predicted_center_to_center_px, row.relative_error) for row in rows)


def untrained_agreement(rows: Iterable[SweepRow]) -> Agreement:
    """Compare predicted with measured distances before training."""
    return _agreement(
        (row.predicted_center_to_center_px, row.untrained.get("relative_error")) for row in rows
    )


def _agreement(pairs: Iterable[tuple[float | None, float | None]]) -> Agreement:
    known = [(distance, error) for distance, error in pairs if distance is not None and error is not None]
    predicted, measured = [d for d, _ in known], [d * (1 + error) for d, error in known]
    line = linregress(predicted, measured) if len(set(predicted)) > 2 else None
    return Agreement(
        points=len(known),
        slope=None if line is None else float(line.slope),
        slope_stderr=None if line is None else float(line.stderr),
        intercept_px=None if line is None else float(line.intercept),
        r_squared=None if line is None else float(line.rvalue) ** 2,
        largest_relative_error=max((abs(error) for _, error in known), default=None),
    )


def _row(runs: Sequence[SweepRun]) -> SweepRow:
    first = runs[0]
    measured, measured_error = _mean_of(
        runs, lambda run: run.star["center_to_center_px"], lambda run: run.star["center_to_center_stderr_px"]
    )
    miou, miou_error = _mean_of(runs, lambda run: run.miou, lambda run: run.miou_image_stderr)
    rate, read, deepest = (
        first.prediction.get(key) for key in ("recommended_rate", "read_stride", "output_stride")
    )
    return SweepRow(
        base_rate=first.base_rate,
        rates=first.rates,
        output_stride=first.output_stride or _whole(deepest),
        predicted_center_to_center_px=first.star["predicted_center_to_center_px"],
        measured_center_to_center_px=measured,
        measured_stderr_px=measured_error,
        relative_error=_mean_error([run.star for run in runs]),
        miou=miou,
        miou_stderr=miou_error,
        seeds=len(runs),
        recommended_rate=rate,
        recommended_rate_at_output_stride=rate * read / deepest if rate and read and deepest else rate,
        ring_mass_shares=_mean_shares([run.star for run in runs]),
        side95_px=_plain_mean(run.side95_px for run in runs),
        checkpoint=first.checkpoint,
        erf=first.erf,
        untrained=_untrained(runs),
        flags=_flags(runs),
    )


def _mean_of(
    runs: Sequence[SweepRun],
    value: Callable[[SweepRun], float | None],
    own_error: Callable[[SweepRun], float | None],
) -> tuple[float | None, float | None]:
    """Return the mean over the seeds and its standard error; for a single seed, the error of its run."""
    values = [found for run in runs if (found := value(run)) is not None]
    if not values:
        return None, None
    if len(values) == 1:
        return values[0], own_error(next(run for run in runs if value(run) is not None))
    return mean(values), stdev(values) / math.sqrt(len(values))


def _plain_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _mean_error(stars: Sequence[Star]) -> float | None:
    """Return the mean relative error; None if one seed has none. The prediction is the same for all."""
    errors = [star["relative_error"] for star in stars]
    return None if None in errors else mean(errors)


def _mean_shares(stars: Sequence[Star]) -> tuple[float, ...]:
    """Return the mean by ring; () if the seeds have different numbers of rings."""
    shares = [[ring["mass_share"] for ring in star["rings"]] for star in stars]
    return tuple(map(mean, zip(*shares, strict=True))) if len({len(each) for each in shares}) == 1 else ()


def _untrained(runs: Sequence[SweepRun]) -> dict[str, Any]:
    if not all(run.untrained for run in runs):
        return {}
    stars = [run.untrained["star"] for run in runs]
    return {
        "measured_center_to_center_px": _plain_mean(star["center_to_center_px"] for star in stars),
        "relative_error": _mean_error(stars),
        "ring_mass_shares": list(_mean_shares(stars)),
        "side95_px": _plain_mean(run.untrained["side95_px"] for run in runs),
    }


def _flags(runs: Sequence[SweepRun]) -> tuple[Flag, ...]:
    """Return the flags of all runs, with the seeds where only some have the flag."""
    flags = []
    for flag in dict.fromkeys(flag for run in runs for flag in run.flags):
        seeds = [str(run.seed) for run in runs if flag in run.flags]
        flags.append(flag if len(seeds) == len(runs) else flag.prefixed(f"seed {', '.join(seeds)}"))
    if any(run.star["pattern"] != run.star["predicted_pattern"] for run in runs if run.base_rate is not None):
        message = "the predicted pattern was not found in every map"
        flags.append(Flag("pattern_not_found", message))
    return tuple(flags)


def _whole(stride: float | None) -> int | None:
    return None if stride is None else round(stride)
