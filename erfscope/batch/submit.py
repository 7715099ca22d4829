"""Submit a study to SLURM: only tasks that are neither done nor running nor queued."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.batch.batch_plan import Plan
from erfscope.batch.queue import QueuedJob, cancel, submit_script
from erfscope.batch.slurm import job_title, write_script
from erfscope.batch.study_record import Study
from erfscope.batch.tasks import STAGES, Task, files_of, unfinished
from erfscope.errors import BatchError
from erfscope.system.atomic_files import replacing
from erfscope.system.signals import Stop


@dataclass(frozen=True)
class Submission:
    """A SLURM job to submit: tasks of one job and stage in one script.

    Attributes
    ----------
    after
        Numbers of jobs, or of tasks in arrays, that must have succeeded before.
    replaces
        Number of a queued job that waits for another that was replaced; None if there is none.
    """

    tasks: tuple[Task, ...]
    script: Path
    text: str
    after: tuple[str, ...]
    replaces: str | None

    @property
    def title(self) -> str:
        """Name of the SLURM job."""
        return job_title(self.tasks[0])

    def numbers(self, number: str, shards: int) -> dict[str, str]:
        """Return the number of each task, given the job's number: shards are tasks of an array."""
        in_array = self.tasks[0].stage == "compute" and shards > 1
        return {task.name: f"{number}_{task.index}" if in_array else number for task in self.tasks}


class _StoppedError(Exception):
    """A signal came between two submissions."""


def submit(
    plan: Plan,
    study: Study,
    queue: Mapping[str, QueuedJob],
    stop: Stop,
    tell: Callable[[Submission, str], None],
) -> bool:
    """Write the scripts of missing tasks and submit them; each number is recorded at once.

    Returns whether all were submitted.

    Parameters
    ----------
    queue
        The running and waiting jobs.
    stop
        Becomes true on a signal: then nothing more is submitted.
    tell
        Called with each job that was submitted, and its number.

    Raises
    ------
    BatchError
        A script can't be written or submitted. Jobs that were submitted before stay, and are recorded.
    """

    def send(submission: Submission) -> str:
        if stop:
            raise _StoppedError
        _write(submission)
        if submission.replaces:
            cancel(submission.replaces)
        number = submit_script(submission.script, submission.after)
        study.remember_submitted(submission.numbers(number, plan.shards))
        tell(submission, number)
        return number

    try:
        for_each_missing(plan, study.slurm, queue, send)
    except _StoppedError:
        return False
    return True


def for_each_missing(
    plan: Plan,
    numbers: Mapping[str, str],
    queue: Mapping[str, QueuedJob],
    send: Callable[[Submission], str],
) -> None:
    """Call `send` for each job that is yet to be submitted, in the order of dependencies.

    Parameters
    ----------
    numbers
        SLURM's numbers of tasks that were submitted before.
    send
        Submits a job and returns its number.
    """
    missing = unfinished(plan)
    queued = {
        task.name: number
        for task in missing
        if (number := numbers.get(task.name, "")) in queue and queue[number].title == job_title(task)
    }
    for job in plan.jobs:
        of_job = [task for task in missing if task.job == job.name]
        after: tuple[str, ...] = ()
        for stage in STAGES:
            tasks = [task for task in of_job if task.stage == stage]
            if tasks:
                after = _send_stage(plan, tasks, queued, after, send)


def _send_stage(
    plan: Plan,
    tasks: Sequence[Task],
    queued: dict[str, str],
    after: tuple[str, ...],
    send: Callable[[Submission], str],
) -> tuple[str, ...]:
    """Send the missing tasks of one job's stage; return the numbers that the next stage waits for.

    Queued shards stay queued. A job that waits for others is sent again if one of them is new, because SLURM
    can't add a dependency to a queued job.
    """
    before = {task.name: queued[task.name] for task in tasks if task.name in queued}
    is_new = any(number not in queued.values() for number in after)
    if len(before) == len(tasks) and not is_new:
        return tuple(dict.fromkeys(before.values()))
    if tasks[0].stage == "compute":
        left, replaces = tuple(task for task in tasks if task.name not in before), None
    else:
        left, replaces = tuple(tasks), next(iter(before.values()), None)
        before = {}
    script = files_of(plan, tasks[0].job).script(tasks[0].stage)
    number = send(Submission(left, script, write_script(plan, left), after, replaces))
    return (*before.values(), number)


def preview(plan: Plan, numbers: Mapping[str, str], queue: Mapping[str, QueuedJob]) -> list[Submission]:
    """Return what would be submitted; nothing is written, and names stand for the numbers of new jobs."""
    submissions: list[Submission] = []

    def send(submission: Submission) -> str:
        submissions.append(submission)
        return f"<{submission.title}>"

    for_each_missing(plan, numbers, queue, send)
    return submissions


def _write(submission: Submission) -> None:
    try:
        submission.script.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        folder = submission.script.parent
        raise BatchError(f"{folder} can't be made ({error.strerror}); give the plan another out") from error
    with replacing(submission.script) as temporary:
        temporary.write_text(submission.text, encoding="utf-8")
