"""From runs to rows: means over the seeds, with their standard errors."""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from erfscope.records.sweep import SweepRow, SweepRun


def make_rows(runs: Iterable[SweepRun]) -> list[SweepRow]:
    """Gather the runs of each base rate and output stride, in the order of the first ones."""
    groups: dict[tuple[int | None, int | None], list[SweepRun]] = {}
    for run in runs:
        groups.setdefault((run.output_stride, run.base_rate), []).append(run)
    return [_row(group) for group in groups.values()]


def _row(runs: Sequence[SweepRun]) -> SweepRow:
    first = runs[0]
    predicted = first.star["predicted_center_to_center_px"]
    measured, measured_error = _mean_of(
        runs, lambda run: run.star["center_to_center_px"], lambda run: run.star["center_to_center_stderr_px"]
    )
    miou, miou_error = _mean_of(runs, lambda run: run.miou, lambda run: run.miou_image_stderr)
    fits = all(run.star["relative_error"] is not None for run in runs)
    rate, read, deepest = (
        first.prediction.get(key) for key in ("recommended_rate", "read_stride", "output_stride")
    )
    return SweepRow(
        base_rate=first.base_rate,
        rates=first.rates,
        output_stride=first.output_stride or _whole(deepest),
        predicted_center_to_center_px=predicted,
        measured_center_to_center_px=measured,
        measured_stderr_px=measured_error,
        relative_error=(measured - predicted) / predicted if fits and measured and predicted else None,
        miou=miou,
        miou_stderr=miou_error,
        seeds=len(runs),
        recommended_rate=rate,
        recommended_rate_at_output_stride=rate * read / deepest if rate and read and deepest else rate,
        ring_mass_shares=_mean_shares([[r["mass_share"] for r in run.star["rings"]] for run in runs]),
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
    """Mean over the seeds and its standard error; of a single one its own error."""
    values = [found for run in runs if (found := value(run)) is not None]
    if not values:
        return None, None
    if len(values) == 1:
        return values[0], own_error(next(run for run in runs if value(run) is not None))
    return mean(values), stdev(values) / math.sqrt(len(values))


def _plain_mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _mean_shares(shares: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Mean by ring, where all seeds have as many rings."""
    return tuple(map(mean, zip(*shares, strict=True))) if len({len(each) for each in shares}) == 1 else ()


def _untrained(runs: Sequence[SweepRun]) -> dict[str, Any]:
    if not all(run.untrained for run in runs):
        return {}
    lengths = {
        key: _plain_mean(run.untrained[key] for run in runs) for key in ("center_to_center_px", "side95_px")
    }
    shares = _mean_shares([run.untrained["ring_mass_shares"] for run in runs])
    return {**lengths, "ring_mass_shares": list(shares)}


def _flags(runs: Sequence[SweepRun]) -> tuple[str, ...]:
    """Gather what is said of the runs; with the seed where not all of several say it."""
    flags = []
    for flag in dict.fromkeys(flag for run in runs for flag in run.flags):
        seeds = [str(run.seed) for run in runs if flag in run.flags]
        flags.append(flag if len(seeds) == len(runs) else f"seed {', '.join(seeds)}: {flag}")
    if any(run.star["pattern"] != run.star["predicted_pattern"] for run in runs if run.base_rate is not None):
        flags.append("the predicted pattern was not found in every map")
    return tuple(flags)


def _whole(stride: float | None) -> int | None:
    return None if stride is None else round(stride)
