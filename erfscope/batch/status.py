"""Read the state of every job of a study from its files, locks and logs, and from SLURM's queue."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from erfscope.batch.batch_plan import Job, Plan
from erfscope.batch.logs import LastRun, read_last_run
from erfscope.batch.queue import QueuedJob
from erfscope.batch.slurm import job_title
from erfscope.batch.study_record import is_running, read_study
from erfscope.batch.tasks import Task, expand, files_of, is_held, read_results, unfinished
from erfscope.errors import MapError
from erfscope.store.read import MapProgress, read_progress

State = Literal["done", "running", "queued", "failed", "missing"]
#: A job's state is the first of these that one of its tasks has.
STATES: tuple[State, ...] = ("failed", "running", "queued", "missing", "done")

#: The measured numbers of a study: name here -> measurement, and keys of the number in its JSON.
MEASURED: Mapping[str, tuple[str, ...]] = {
    "pattern": ("pattern", "pattern"),
    "star": ("star-distance", "pattern"),
    "center_to_center_px": ("star-distance", "center_to_center_px"),
    "center_to_center_stderr_px": ("star-distance", "center_to_center_stderr_px"),
    "systematic_px": ("star-distance", "systematic_px"),
    "predicted_center_to_center_px": ("star-distance", "predicted_center_to_center_px"),
    "relative_error": ("star-distance", "relative_error"),
    "sigma_x_px": ("fit-gaussian", "sigma_x_px"),
    "sigma_x_stderr_px": ("fit-gaussian", "stderr", "sigma_x_px"),
    "sigma_y_px": ("fit-gaussian", "sigma_y_px"),
    "sigma_y_stderr_px": ("fit-gaussian", "stderr", "sigma_y_px"),
    "effective_diameter_px": ("extent", "effective_diameter_px"),
    "side95_above_background_px": ("extent", "side95_above_background_px"),
}


@dataclass(frozen=True)
class JobStatus:
    """The state of a job.

    Attributes
    ----------
    name, network, dataset, size, rates, folder
        The job, and the folder of its files.
    state
        "done", "running", "queued", "failed" or "missing" (nothing works on it, or is queued to).
    done, skipped, total
        Number of images of the map; total is None while it is unknown.
    reason
        Why it failed or waits; "" otherwise.
    files
        The files that exist: map, shards, measurements.
    measured
        The numbers of `MEASURED`; None if they aren't measured yet.
    """

    name: str
    network: str
    dataset: str
    size: str | None
    rates: tuple[int, ...] | None
    state: State
    done: int
    skipped: int
    total: int | None
    reason: str
    folder: str
    files: tuple[str, ...]
    measured: Mapping[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return all fields, JSON-able, the measured ones beside the others."""
        fields = asdict(self) | {"rates": self.rates and list(self.rates), "files": list(self.files)}
        del fields["measured"]
        return {**fields, **self.measured}


def read_status(plan: Plan, queue: Mapping[str, QueuedJob] | None) -> list[JobStatus]:
    """Return the state of every job of a plan.

    Parameters
    ----------
    queue
        SLURM's running and waiting jobs; None if it can't be asked.

    Raises
    ------
    BatchError
        The study's file is damaged.
    """
    observer = _Observer(queue, read_study(plan).slurm, is_running(plan))
    left = {task.name for task in unfinished(plan)}
    by_job: dict[str, list[Task]] = {}
    for task in expand(plan):
        by_job.setdefault(task.job, []).append(task)
    return [_job_status(plan, job, by_job[job.name], left, observer) for job in plan.jobs]


@dataclass(frozen=True)
class _Observer:
    """Tells the states of tasks that aren't done, by SLURM's queue, locks and logs."""

    queue: Mapping[str, QueuedJob] | None
    numbers: Mapping[str, str]
    batch_runs: bool

    def observe(self, task: Task) -> tuple[State, str]:
        """Return state and reason of a task that isn't done."""
        number = self.numbers.get(task.name)
        queued = (self.queue or {}).get(number or "")
        if queued is not None and queued.title == job_title(task):
            return ("running", "") if queued.running else ("queued", f"SLURM: {queued.reason}")
        if is_held(task.file):
            return "running", ""
        last = _last_run(task)
        if last is not None and last.code is None and self.batch_runs:
            return "running", ""
        damage = _damage(task.file) if task.stage != "measure" else ""
        if damage:
            return "failed", damage
        if last is not None and last.reason and not last.interrupted:
            return "failed", last.reason
        if self.batch_runs:
            return "queued", "a batch runs"
        if number is not None and self.queue is None and (last is None or last.interrupted):
            return "queued", f"job {number} of SLURM, which can't be asked from here"
        return "missing", last.reason if last is not None else ""


def _job_status(
    plan: Plan, job: Job, tasks: Sequence[Task], left: set[str], observer: _Observer
) -> JobStatus:
    seen = [(*observer.observe(task), task) if task.name in left else ("done", "", task) for task in tasks]
    state: State = min((each[0] for each in seen), key=STATES.index)
    reason, task = next(((each[1], each[2]) for each in seen if each[0] == state and each[1]), ("", tasks[0]))
    done, skipped, total = _count(plan, job)
    return JobStatus(
        name=job.name,
        network=job.network,
        dataset=job.dataset,
        size=job.size,
        rates=job.rates,
        state=state,
        done=done,
        skipped=skipped,
        total=total,
        reason=f"{task.name.rpartition('/')[2]}: {reason}" if reason else "",
        folder=str(plan.out / job.name),
        files=tuple(dict.fromkeys(str(task.file) for task in tasks if task.file.exists())),
        measured=_measured([task for task in tasks if task.stage == "measure" and task.name not in left]),
    )


def _count(plan: Plan, job: Job) -> tuple[int, int, int | None]:
    """Return the numbers of images done, skipped and in all: of the map, or of the shards so far."""
    files = files_of(plan, job.name)
    found = [_progress(files.map)]
    if plan.shards > 1 and not (found[0] and found[0].finished):
        found = [_progress(files.part(index)) for index in range(plan.shards)]
    known = [progress for progress in found if progress is not None]
    images_total = next((each.images_total for each in known if each.images_total is not None), job.images)
    return sum(each.done for each in known), sum(each.skipped for each in known), images_total


def _progress(file: Path) -> MapProgress | None:
    try:
        return read_progress(file)
    except MapError:
        return None


def _damage(file: Path) -> str:
    """Return how a map is damaged; "" if it isn't."""
    try:
        read_progress(file)
    except MapError as error:
        return str(error)
    return ""


def _last_run(task: Task) -> LastRun | None:
    """Return the last run of a task, by its own log or by that of the script that measures."""
    own = read_last_run(task.log)
    if task.stage != "measure" or (own is not None and own.code is not None):
        return own
    return read_last_run(task.folder / "measure.log") or own


def _measured(done: Sequence[Task]) -> dict[str, Any]:
    printed = {task.words[0]: read_results(task.file) for task in done}
    return {name: _look_up(printed.get(whose), path) for name, (whose, *path) in MEASURED.items()}


def _look_up(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
