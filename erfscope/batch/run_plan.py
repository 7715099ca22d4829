"""A plan carried out, here or by SLURM, or only told. What is done already isn't done again."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from erfscope.batch.batch_plan import Plan
from erfscope.batch.check_jobs import check_jobs
from erfscope.batch.local import PROGRAM, LocalRunner
from erfscope.batch.queue import QueuedJob, read_queue, submission_words
from erfscope.batch.status import JobStatus, read_status
from erfscope.batch.study_record import open_study, read_study
from erfscope.batch.submit import Submission, preview, submit
from erfscope.batch.tasks import Task, expand, files_of, unfinished
from erfscope.errors import BatchError
from erfscope.system.signals import stoppable

Say = Callable[[str], None]


def summarize_plan(plan: Plan, *, slurm: bool) -> dict[str, Any]:
    """Return what would be done, and by which commands; writes nothing.

    Parameters
    ----------
    slurm
        Whether SLURM is to do it: its scripts and their submissions, rather than commands for this machine.

    Raises
    ------
    BatchError, MapError
        What can't be done.
    """
    left = unfinished(plan)
    if not (slurm and plan.slurm.container):
        _check(plan, left)
    undone = {task.name for task in left}
    tasks: dict[str, list[dict[str, Any]]] = {job.name: [] for job in plan.jobs}
    for task in expand(plan):
        tasks[task.job].append(_told(task) | {"done": task.name not in undone})
    jobs = [
        {"name": name, "folder": str(files_of(plan, name).folder), "tasks": rows}
        for name, rows in tasks.items()
    ]
    return {**_heading(plan), "jobs": jobs} | ({"submissions": _would_submit(plan)} if slurm else {})


def run_here(plan: Plan, *, at_once: int, note: Say, warn: Say) -> dict[str, Any]:
    """Carry out on this machine what isn't done yet.

    Parameters
    ----------
    at_once
        How many processes run at once; they share the cores.
    note, warn
        Are told of tasks that end well, and of those that don't.

    Returns
    -------
    dict
        JSON-able: plan, out, jobs (as `read_status`), counts of their states, failed (tasks and reasons),
        interrupted (whether a signal left something; the same call goes on).

    Raises
    ------
    BatchError, MapError
        Another batch works on the study, or what is asked for can't be.
    """

    def tell(task: Task, what: str) -> None:
        if what in ("done", "interrupted"):
            note(f"{task.name}: {what}")
        elif what == "waits":
            note(f"{task.name}: another process makes {task.file}; waiting for it")
        elif what != "begins":
            warn(f"{task.name}: {what} ({task.log})")

    _check(plan, unfinished(plan))
    with stoppable() as stop, open_study(plan, note) as study:
        study.remember_jobs(plan)
        came_out = LocalRunner(plan.file.parent, at_once, stop, tell, PROGRAM).run(unfinished(plan))
    return {
        **_heading(plan),
        **_standing(read_status(plan, {})),
        "failed": came_out.failed,
        "interrupted": came_out.stopped,
    }


def submit_to_slurm(plan: Plan, *, note: Say, warn: Say) -> dict[str, Any]:
    """Write scripts and submit them, for what is neither done nor running nor queued.

    Returns
    -------
    dict
        JSON-able: plan, out, submitted (name, number, script, after), jobs, counts and interrupted as
        `run_here`.

    Raises
    ------
    BatchError, MapError
        SLURM isn't here or refuses. What was submitted before stays so, and a rerun leaves it alone.
    """
    submitted: list[dict[str, Any]] = []

    def tell(submission: Submission, number: str) -> None:
        submitted.append(_submission(submission) | {"number": number})
        note(
            f"{number}: {submission.title}"
            + (f", after {', '.join(submission.after)}" if submission.after else "")
        )

    if plan.slurm.container is None:  # else what there is is not what is here
        _check(plan, unfinished(plan))
    with stoppable() as stop, open_study(plan, note) as study:
        study.remember_jobs(plan)
        complete = submit(plan, study, read_queue() if study.slurm else {}, stop, tell)
    return {
        **_heading(plan),
        "submitted": submitted,
        **_standing(read_status(plan, _ask_slurm(plan, warn))),
        "interrupted": not complete,
    }


def tell_status(plan: Plan, *, warn: Say) -> dict[str, Any]:
    """Return where every job stands: plan, out, jobs and counts as `run_here`.

    Parameters
    ----------
    warn
        Is told where SLURM has something of the study and can't be asked.
    """
    return {**_heading(plan), **_standing(read_status(plan, _ask_slurm(plan, warn)))}


def _ask_slurm(plan: Plan, warn: Say) -> Mapping[str, QueuedJob] | None:
    """Return what SLURM has of the study in its queue; None where it can't be asked."""
    if not read_study(plan).slurm:
        return {}
    try:
        return read_queue()
    except BatchError as error:
        warn(f"{error}; what follows is told from files alone")
        return None


def _check(plan: Plan, left: Sequence[Task]) -> None:
    names = {task.job for task in left if task.stage == "compute"}
    if names:  # else torch would be imported for nothing
        check_jobs([job for job in plan.jobs if job.name in names], plan.file.name)


def _told(task: Task) -> dict[str, Any]:
    command = shlex.join(("erfscope", *task.words))
    printed = f" > {shlex.quote(str(task.file))}" if task.prints else ""
    return {"name": task.name, "command": command + printed, "file": str(task.file)}


def _would_submit(plan: Plan) -> list[dict[str, Any]]:
    numbers = read_study(plan).slurm
    return [
        {
            **_submission(each),
            "command": shlex.join(submission_words(each.script, each.after)),
            "text": each.text,
        }
        for each in preview(plan, numbers, read_queue() if numbers else {})
    ]


def _heading(plan: Plan) -> dict[str, Any]:
    return {"plan": str(plan.file), "out": str(plan.out)}


def _standing(jobs: Sequence[JobStatus]) -> dict[str, Any]:
    counts = Counter(job.state for job in jobs)
    return {"jobs": [job.summary() for job in jobs], "counts": {**counts}}


def _submission(submission: Submission) -> dict[str, Any]:
    return {"name": submission.title, "script": str(submission.script), "after": list(submission.after)}
