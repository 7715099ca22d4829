"""Hands a study to SLURM: only what isn't done, and neither running nor queued already."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.batch.plan import Plan
from erfscope.batch.queue import QueuedJob, cancel, submit_script
from erfscope.batch.record import Study
from erfscope.batch.slurm import job_title, write_script
from erfscope.batch.tasks import STAGES, Task, files_of, unfinished
from erfscope.errors import BatchError
from erfscope.store.replace import replacing


@dataclass(frozen=True)
class Submission:
    """A job of SLURM's to be: tasks of one job and stage in one script.

    Attributes
    ----------
    after
        Numbers of jobs, or of tasks in arrays, that must have ended well before.
    replaces
        Number of a queued job that waits for what won't come; None for none.
    """

    tasks: tuple[Task, ...]
    script: Path
    text: str
    after: tuple[str, ...]
    replaces: str | None

    @property
    def title(self) -> str:
        """Name of SLURM's job."""
        return job_title(self.tasks[0])

    def numbers(self, number: str, shards: int) -> dict[str, str]:
        """Return the number of each task, given the job's: compute tasks of several shards are an array."""
        in_array = self.tasks[0].stage == "compute" and shards > 1
        return {task.name: f"{number}_{task.index}" if in_array else number for task in self.tasks}


def submit(
    plan: Plan,
    study: Study,
    queue: Mapping[str, QueuedJob],
    tell: Callable[[Submission, str], None],
) -> None:
    """Write the scripts of what is missing and submit them; each number is written down at once.

    Parameters
    ----------
    queue
        What is running or waiting.
    tell
        Is told of each job that was submitted, and its number.

    Raises
    ------
    BatchError
        A script can't be written or submitted. What was submitted before stays so, and is written down.
    """

    def send(submission: Submission) -> str:
        _write(submission)
        if submission.replaces:
            cancel(submission.replaces)
        number = submit_script(submission.script, submission.after)
        study.remember_submitted(submission.numbers(number, plan.shards))
        tell(submission, number)
        return number

    for_each_missing(plan, study.slurm, queue, send)


def for_each_missing(
    plan: Plan,
    numbers: Mapping[str, str],
    queue: Mapping[str, QueuedJob],
    send: Callable[[Submission], str],
) -> None:
    """Call `send` for each job that SLURM has yet to get, those that others wait for first.

    Parameters
    ----------
    numbers
        SLURM's numbers of tasks that were submitted before.
    send
        Returns the number of what it is given.
    """
    left: dict[str, list[Task]] = {}
    for task in unfinished(plan):
        left.setdefault(task.job, []).append(task)
    for job in plan.jobs:
        tasks = left.get(job.name, [])
        queued = {
            task.name: number
            for task in tasks
            if (number := numbers.get(task.name)) in queue and queue[number].title == job_title(task)
        }
        after: tuple[str, ...] = ()
        for stage in STAGES:
            of_stage = [task for task in tasks if task.stage == stage]
            if of_stage:
                after = _stage(plan, of_stage, queued, after, send)
