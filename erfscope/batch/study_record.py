"""The file of a study that records the options of each job, and the numbers that SLURM gave to its tasks."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from erfscope.batch.batch_plan import Job, Plan
from erfscope.batch.study_files import STUDY
from erfscope.batch.tasks import files_of, is_held
from erfscope.errors import BatchError
from erfscope.system.atomic_files import replacing
from erfscope.system.file_lock import locked

# These change how a map is computed, not what is in it, so that they may change during a study.
_MAY_CHANGE = ("--device", "--workers", "--snapshot-every", "--snapshot-images")


class Study:
    """The file `study.json`, which is replaced at every change."""

    def __init__(self, file: Path, asked: Mapping[str, Any], slurm: Mapping[str, Any]) -> None:
        self._file = file
        self._asked: dict[str, list[str]] = {name: list(words) for name, words in asked.items()}
        self.slurm: dict[str, str] = {task: str(number) for task, number in slurm.items()}

    def remember_jobs(self, plan: Plan) -> None:
        """Record the options of all jobs.

        Raises
        ------
        BatchError
            A folder holds a map that was begun with other options.
        """
        for job in plan.jobs:
            asked, files = _fixed_options(job), files_of(plan, job.name)
            before = self._asked.get(job.name, asked)
            if before != asked and files.is_begun():
                raise BatchError(
                    f"{files.folder} was begun with {_difference(before, asked)}; remove it, or give the "
                    "plan another out"
                )
            self._asked[job.name] = asked
        self._write()

    def remember_submitted(self, numbers: Mapping[str, str]) -> None:
        """Record SLURM's numbers of tasks, by the tasks' names: "12", or "12_3" in an array."""
        self.slurm.update(numbers)
        self._write()

    def _write(self) -> None:
        content = {"jobs": self._asked, "slurm": self.slurm}
        with replacing(self._file) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


@contextmanager
def open_study(plan: Plan, note: Callable[[str], None]) -> Iterator[Study]:
    """Make the study's folder and lock it, because one batch at a time may work on it.

    Raises
    ------
    MapError
        Another batch holds the lock.
    BatchError
        The study's file is damaged, or the folder can't be made.
    """
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BatchError(f"{plan.out} can't be made ({error.strerror}); give the plan another out") from error
    with locked(plan.out / STUDY, note):
        yield read_study(plan)


def read_study(plan: Plan) -> Study:
    """Read the file of a study; if there is none, an empty one.

    Raises
    ------
    BatchError
        The file is damaged.
    """
    file = plan.out / STUDY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Study(file, content["jobs"], content["slurm"])
    except FileNotFoundError:
        return Study(file, {}, {})
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise BatchError(
            f"{file} is damaged; remove it, and queued jobs by scancel, and begin again"
        ) from error


def is_running(plan: Plan) -> bool:
    """Whether a batch works on the study, as far as this machine can tell."""
    return is_held(plan.out / STUDY)


def _fixed_options(job: Job) -> list[str]:
    """Return the options that decide what is in the map, each with its value."""
    options: list[str] = []
    for word in job.words:
        if word.startswith("--"):
            options.append(word)
        else:
            options[-1] += f" {word}"
    return [option for option in options if option.partition(" ")[0] not in _MAY_CHANGE]


def _difference(before: list[str], now: list[str]) -> str:
    old, new = (
        ", ".join(option for option in these if option not in those)
        for these, those in ((before, now), (now, before))
    )
    if not old:
        return f"no {new}"
    return f"{old}, not {new}" if new else old
