"""Run a plan on this machine or by SLURM, or summarize it. Tasks that are done aren't repeated."""

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
    """Return what would be done, and by which commands; nothing is written.

    Parameters
    ----------
    slurm
        Whether SLURM would do it; then the scripts and the commands that submit them are returned, too.

    Raises
    ------
    BatchError, MapError
        A job can't run, or a file of the study can't be read.
    """
    left = unfinished(plan)
    if not (slurm and plan.slurm.container):
        _check(plan, left)
    undone = {task.name for task in left}
    tasks: dict[str, list[dict[str, Any]]] = {job.name: [] for job in plan.jobs}
    for task in expand(plan):
        tasks[task.job].append(_describe_task(task) | {"done": task.name not in undone})
    jobs = [
        {"name": name, "folder": str(files_of(plan, name).folder), "tasks": rows}
        for name, rows in tasks.items()
    ]
    return {**_heading(plan), "jobs": jobs} | ({"submissions": _preview_submissions(plan)} if slurm else {})


def run_here(plan: Plan, *, at_once: int, note: Say, warn: Say) -> dict[str, Any]:
    """Run the tasks that aren't done on this machine.

    Parameters
    ----------
    at_once
        How many processes run at once; they share the cores.
    note, warn
        Called with one line for a task that succeeded, and for one that failed.

    Returns
    -------
    dict
        JSON-able: plan, out, jobs (as `read_status`), counts of their states, failed (tasks and reasons) and
        interrupted (whether a signal left a task undone; the same call goes on).

    Raises
    ------
    BatchError, MapError
        Another batch works on the study, a job can't run, or a file can't be written.
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
        results = LocalRunner(plan.file.parent, at_once, stop, tell, PROGRAM).run(unfinished(plan))
    return {
        **_heading(plan),
        **_job_states(read_status(plan, {})),
        "failed": results.failed,
        "interrupted": results.stopped,
    }


def submit_to_slurm(plan: Plan, *, note: Say, warn: Say) -> dict[str, Any]:
    """Submit the tasks that are neither done nor running nor queued to SLURM.

    Returns
    -------
    dict
        JSON-able: plan, out, submitted (name, number, script, after), jobs, counts and interrupted as
        `run_here`.

    Raises
    ------
    BatchError, MapError
        SLURM isn't here or refuses. Jobs that were submitted before stay submitted.
    """
    submitted: list[dict[str, Any]] = []

    def tell(submission: Submission, number: str) -> None:
        submitted.append(_describe_submission(submission) | {"number": number})
        note(
            f"{number}: {submission.title}"
            + (f", after {', '.join(submission.after)}" if submission.after else "")
        )

    if plan.slurm.container is None:  # what is installed in a container can't be checked from here
        _check(plan, unfinished(plan))
    with stoppable() as stop, open_study(plan, note) as study:
        study.remember_jobs(plan)
        complete = submit(plan, study, read_queue() if study.slurm else {}, stop, tell)
    return {
        **_heading(plan),
        "submitted": submitted,
        **_job_states(read_status(plan, _ask_slurm(plan, warn))),
        "interrupted": not complete,
    }


def summarize_status(plan: Plan, *, warn: Say) -> dict[str, Any]:
    """Return the state of every job: plan, out, jobs and counts as `run_here`.

    Parameters
    ----------
    warn
        Called with one line if SLURM has jobs of the study and can't be asked.
    """
    return {**_heading(plan), **_job_states(read_status(plan, _ask_slurm(plan, warn)))}


def _ask_slurm(plan: Plan, warn: Say) -> Mapping[str, QueuedJob] | None:
    """Return SLURM's queue, empty if the study has no jobs in it; None if it can't be asked."""
    if not read_study(plan).slurm:
        return {}
    try:
        return read_queue()
    except BatchError as error:
        warn(f"{error}; what follows is told from files alone")
        return None


def _check(plan: Plan, left: Sequence[Task]) -> None:
    names = {task.job for task in left if task.stage == "compute"}
    if names:  # the check imports torch
        check_jobs([job for job in plan.jobs if job.name in names], plan.file.name)


def _describe_task(task: Task) -> dict[str, Any]:
    command = shlex.join(("erfscope", *task.words))
    printed = f" > {shlex.quote(str(task.file))}" if task.prints else ""
    return {"name": task.name, "command": command + printed, "file": str(task.file)}


def _preview_submissions(plan: Plan) -> list[dict[str, Any]]:
    numbers = read_study(plan).slurm
    return [
        {
            **_describe_submission(each),
            "command": shlex.join(submission_words(each.script, each.after)),
            "text": each.text,
        }
        for each in preview(plan, numbers, read_queue() if numbers else {})
    ]


def _heading(plan: Plan) -> dict[str, Any]:
    return {"plan": str(plan.file), "out": str(plan.out)}


def _job_states(jobs: Sequence[JobStatus]) -> dict[str, Any]:
    counts = Counter(job.state for job in jobs)
    return {"jobs": [job.summary() for job in jobs], "counts": {**counts}}


def _describe_submission(submission: Submission) -> dict[str, Any]:
    return {"name": submission.title, "script": str(submission.script), "after": list(submission.after)}
