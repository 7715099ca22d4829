"""All runs of a sweep, one after another, and their table."""

from pathlib import Path
from typing import Any

from erfscope.errors import TrainError
from erfscope.records.flags import Flag, flag_fields
from erfscope.records.sweep import SweepRow
from erfscope.workflows.sweep.sweep_files import keep_plan, write_results
from erfscope.workflows.sweep.sweep_plan import SweepPlan, planned_runs
from erfscope.workflows.sweep.sweep_run import (
    InterruptedSweepError,
    SweepOutput,
    SweepRunner,
    is_done,
    read_result,
)
from erfscope.workflows.sweep.sweep_table import agreement, make_rows, untrained_agreement


def sweep(
    plan: SweepPlan,
    out: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    device: str = "auto",
    output: SweepOutput,
) -> dict[str, Any]:
    """Train, score and measure a network at every rate; runs that the folder holds are not repeated.

    Parameters
    ----------
    out
        Folder for a folder of each run, `plan.json`, `results.json`, `results.csv`, figures, `report.html`.
    shard
        (k, n): do the runs k, k + n, …; the table holds the runs of all shards that are done.
    overwrite
        Begin anew where the folder holds another sweep, or this one.
    device
        "auto", "cpu", "cuda" or "cuda:N".
    output
        Where warnings and progress are printed.

    Returns
    -------
    dict
        JSON-able: out, results (one row a rate, stride), agreement of predicted and measured distances
        (trained, untrained), runs, done, interrupted, flags.

    Raises
    ------
    ErfscopeError
        A network can't be trained, scored or measured as asked.
    """
    keep_plan(plan, out, overwrite=overwrite)
    runs = list(planned_runs(plan))
    runner = SweepRunner(plan, device, output)
    index, count = shard
    interrupted = False
    for planned in runs[index::count]:
        folder = out / planned.name
        if is_done(folder) and not overwrite:
            continue
        try:
            runner.run(planned, folder)
        except InterruptedSweepError:
            interrupted = True
            break
    done = [read_result(out / planned.name) for planned in runs if is_done(out / planned.name)]
    if not done:
        if interrupted:
            return _document(plan, out, [], len(runs), 0, interrupted=True)
        raise TrainError(f"{out} holds no result yet; this shard has no run of {len(runs)}")
    rows = make_rows(done)
    document = _document(plan, out, rows, len(runs), len(done), interrupted=interrupted)
    write_results(document, rows, out)
    return document


def _document(
    plan: SweepPlan, out: Path, rows: list[SweepRow], runs: int, done: int, *, interrupted: bool
) -> dict[str, Any]:
    message = f"{runs - done} of {runs} runs are not done yet"
    flags = [Flag("runs_missing", message)] if done < runs else []
    return {
        "out": str(out),
        "subtitle": _subtitle(plan),
        "results": [row.summary() for row in rows],
        "agreement": {
            "trained": agreement(rows).summary(),
            "untrained": untrained_agreement(rows).summary() if plan.untrained else None,
        },
        "runs": runs,
        "done": done,
        "interrupted": interrupted,
        **flag_fields(flags),
    }


def _subtitle(plan: SweepPlan) -> str:
    """Name network, data and length of training in a line."""
    recipe = plan.recipe
    height, width = recipe.data.size
    first, last = recipe.run.seed, recipe.run.seed + plan.seeds - 1
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    backbone = f" on {recipe.network.backbone}" if recipe.network.backbone else ""
    return (
        f"{recipe.network.model}{backbone}, {recipe.data.name}, crops of {height}×{width} px, "
        f"{recipe.schedule.iterations} iterations, {seeds}"
    )
