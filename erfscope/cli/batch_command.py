"""`erfscope batch` and `erfscope batch status`."""

from pathlib import Path
from typing import Any

import click

from erfscope.cli.compute_command import compute_command
from erfscope.cli.network_options import network_option_names
from erfscope.cli.output import Output, output_options, print_table
from erfscope.cli.parameters import PATH
from erfscope.system.signals import EXIT_RESUMABLE

EXIT_FAILED = 2


class BatchCommand(click.Command):
    """A command that takes a plan, or the word `status` and a plan."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Pass the words after `status` on to the command of that name."""
        if args[:1] == ["status"]:
            return status_command.make_context(f"{info_name} status", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("status")
@click.argument("plan", type=PATH)
@click.option(
    "--csv", "table", type=PATH, metavar="FILE", help="Also write the study's table to this CSV file."
)
@output_options
def status_command(output: Output, /, plan: Path, table: Path | None) -> None:
    """Show the state of each job of a PLAN: done, running, queued, failed (and why) or missing.

    Also how many images its map has, and what was measured. The states are read from the study's files,
    locks and logs, and from SLURM's queue if there is one.
    """
    from erfscope.batch.run_plan import summarize_status
    from erfscope.batch.study_table import write_table

    document = summarize_status(_read(plan), warn=output.warn)
    if table is not None:
        write_table(document["jobs"], table)
    output.result(document, lambda: _print_status(document))


@click.command("batch", cls=BatchCommand)
@click.argument("plan", type=PATH)
@click.option("--dry-run", is_flag=True, help="List jobs, folders and commands; write nothing.")
@click.option("--jobs", type=click.IntRange(1), metavar="K", help="Run K processes at once.  [default: 1]")
@click.option("--submit", type=click.Choice(["slurm"]), help="Write batch scripts and submit them to SLURM.")
@output_options
def batch_command(output: Output, /, plan: Path, dry_run: bool, jobs: int | None, submit: str | None) -> None:
    r"""Compute and measure all maps of a PLAN (TOML): networks × datasets × sizes × rates.

    Each combination is a job with a folder of its own, and a job that is done isn't repeated: the same
    command goes on where it was stopped, and submits to SLURM only what is neither done, running nor queued.

    \b
    erfscope batch plan.toml --dry-run
    erfscope batch plan.toml --jobs 2
    erfscope batch plan.toml --submit slurm
    erfscope batch status plan.toml --csv table.csv
    """
    if submit and jobs:
        raise click.UsageError(
            "--jobs runs them on this machine, --submit hands them to SLURM; give one of them"
        )
    from erfscope.batch.run_plan import run_here, submit_to_slurm, summarize_plan

    read = _read(plan)
    if dry_run:
        document = summarize_plan(read, slurm=submit is not None)
        output.result(document, lambda: _print_plan(document, output))
        return
    if submit:
        document = submit_to_slurm(read, note=output.note, warn=output.warn)
    else:
        document = run_here(read, at_once=jobs or 1, note=output.note, warn=output.warn)
    output.result(document, lambda: click.echo(_summary(document)))
    if document["interrupted"]:
        output.note("interrupted; the same command goes on")
        click.get_current_context().exit(EXIT_RESUMABLE)
    if document.get("failed"):
        click.get_current_context().exit(EXIT_FAILED)


def _read(plan: Path) -> Any:
    from erfscope.batch.batch_plan import read_plan
    from erfscope.batch.plan_options import PlanOptions

    return read_plan(plan, PlanOptions(compute_command.params, network_option_names()))


def _print_plan(document: dict[str, Any], output: Output) -> None:
    for job in document["jobs"]:
        click.echo(f"{job['name']}  ({job['folder']})")
        for task in job["tasks"]:
            click.echo(f"  {'done:   ' if task['done'] else 'to do:  '}{task['command']}")
    for submission in document.get("submissions", ()):
        click.echo(submission["command"])
        if output.verbosity > 0:
            click.echo(submission["text"])


def _print_status(document: dict[str, Any]) -> None:
    header = (
        "job",
        "state",
        "images",
        "center to center (px)",
        "predicted",
        "σx, σy (px)",
        "pattern",
        "reason",
    )
    print_table(header, [_cells(job) for job in document["jobs"]])
    click.echo(_summary(document))


def _cells(job: dict[str, Any]) -> tuple[str, ...]:
    total = "?" if job["total"] is None else job["total"]
    error = job["relative_error"]
    predicted = _number(job["predicted_center_to_center_px"])
    return (
        job["name"],
        job["state"],
        f"{job['done'] + job['skipped']}/{total}",
        _number(job["center_to_center_px"], job["center_to_center_stderr_px"]),
        predicted if error is None else f"{predicted} ({error:+.2%})",
        f"{_number(job['sigma_x_px'])}, {_number(job['sigma_y_px'])}",
        job["pattern"] or "–",
        job["reason"],
    )


def _number(value: float | None, error: float | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" + ("" if error is None else f" ± {error:.1f}")


def _summary(document: dict[str, Any]) -> str:
    counts = document["counts"]
    states = ", ".join(f"{counts[state]} {state}" for state in counts)
    return f"{len(document['jobs'])} jobs in {document['out']}: {states}"
