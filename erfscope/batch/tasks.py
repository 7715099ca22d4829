"""Split a plan into tasks, each one command line, its result and what it needs, for this machine or SLURM."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from erfscope.batch.batch_plan import Job, Plan
from erfscope.batch.study_files import JobFiles
from erfscope.errors import MapError
from erfscope.records.shard import Shard
from erfscope.store.read import read_progress
from erfscope.system.file_lock import holder

Stage = Literal["compute", "merge", "measure"]
STAGES: tuple[Stage, ...] = ("compute", "merge", "measure")


@dataclass(frozen=True)
class Task:
    """One command of a study.

    Attributes
    ----------
    name
        Unique in the study: `JOB/compute-2`.
    job
        Name of the job.
    stage, index
        The stage that it belongs to, and its number there.
    words
        Arguments of `erfscope`.
    file
        The file that it writes.
    prints
        Whether the file is its stdout.
    needs
        Names of the tasks that must be done before it.
    log
        The file of its other output.
    """

    name: str
    job: str
    stage: Stage
    index: int
    words: tuple[str, ...]
    file: Path
    prints: bool
    needs: tuple[str, ...]
    log: Path

    @property
    def folder(self) -> Path:
        """The job's folder."""
        return self.file.parent


def files_of(plan: Plan, job: str) -> JobFiles:
    """Return the files of a job, by its name."""
    return JobFiles(plan.out / job, plan.shards)


def expand(plan: Plan) -> list[Task]:
    """Return all tasks of a plan, job by job, each after those that it needs."""
    return [task for job in plan.jobs for task in _tasks(plan, job)]


def _tasks(plan: Plan, job: Job) -> Iterator[Task]:
    files = files_of(plan, job.name)
    parts = [_compute(job, files, index) for index in range(files.shards)]
    yield from parts
    before = tuple(part.name for part in parts)
    if files.shards > 1:
        yield _merge(job, files, parts)
        before = (f"{job.name}/merge",)
    for index, measurement in enumerate(plan.measure):
        yield Task(
            name=f"{job.name}/{measurement}",
            job=job.name,
            stage="measure",
            index=index,
            words=(measurement, str(files.map), "--json"),
            file=files.measured(measurement),
            prints=True,
            needs=before,
            log=files.log(measurement),
        )


def _compute(job: Job, files: JobFiles, index: int) -> Task:
    shard = () if files.shards == 1 else ("--shard", str(Shard(index, files.shards)))
    file = files.part(index)
    return Task(
        name=f"{job.name}/compute-{index}",
        job=job.name,
        stage="compute",
        index=index,
        words=("compute", *job.words, *shard, "--out", str(file), "--resume"),
        file=file,
        prints=False,
        needs=(),
        log=files.log("compute", index),
    )


def _merge(job: Job, files: JobFiles, parts: Sequence[Task]) -> Task:
    return Task(
        name=f"{job.name}/merge",
        job=job.name,
        stage="merge",
        index=0,
        # A file that is there isn't the finished map; otherwise this task would be done.
        words=("merge", *(str(part.file) for part in parts), "--out", str(files.map), "--overwrite"),
        file=files.map,
        prints=False,
        needs=tuple(part.name for part in parts),
        log=files.log("merge"),
    )


def unfinished(plan: Plan) -> list[Task]:
    """Return the tasks whose files aren't there, aren't finished or can't be read; no arrays are read.

    The shards of a whole map aren't needed. A measurement that is older than its map has to be repeated.
    """
    left = []
    for job in plan.jobs:
        whole = files_of(plan, job.name).map
        is_whole = is_finished(whole)
        for task in _tasks(plan, job):
            if task.stage == "measure":
                done = is_whole and _is_measured(task.file, whole)
            else:
                done = is_whole or (task.file != whole and is_finished(task.file))
            if not done:
                left.append(task)
    return left


def is_finished(file: Path) -> bool:
    """Whether there is a map with all its images; a damaged one isn't finished."""
    try:
        progress = read_progress(file)
    except MapError:
        return False
    return progress is not None and progress.finished


def is_held(file: Path) -> bool:
    """Whether a process works on a map, as far as this machine can tell."""
    found = holder(file)
    return found is not None and found.alive is not False


def read_results(file: Path) -> dict[str, Any] | None:
    """Return what a measurement printed of its map; None if there is no such file or it is damaged."""
    with suppress(OSError, ValueError, TypeError, LookupError):
        results = json.loads(file.read_text(encoding="utf-8"))["results"][0]
        return results if isinstance(results, dict) else None
    return None


def _is_measured(file: Path, whole: Path) -> bool:
    with suppress(OSError):
        return file.stat().st_mtime >= whole.stat().st_mtime and read_results(file) is not None
    return False
