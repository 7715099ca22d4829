"""What a study's folder remembers: what was asked of each job, and which numbers SLURM gave to its tasks."""

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

# Of how a map is computed, not of what is in it: these may change while a study is under way.
_FREE = ("--device", "--workers", "--snapshot-every", "--snapshot-images")


class Study:
    """The file `study.json`. Every change is written at once, whole or not at all."""

    def __init__(self, file: Path, asked: Mapping[str, Any], slurm: Mapping[str, Any]) -> None:
        self._file = file
        self._asked: dict[str, list[str]] = {name: list(words) for name, words in asked.items()}
        self.slurm: dict[str, str] = {task: str(number) for task, number in slurm.items()}

    def remember_jobs(self, plan: Plan) -> None:
        """Write down what is asked of jobs.

        Raises
        ------
        BatchError
            A folder holds a map that was asked for with other options.
        """
        for job in plan.jobs:
            asked, files = _what(job), files_of(plan, job.name)
            before = self._asked.get(job.name, asked)
            if before != asked and files.is_begun():
                raise BatchError(
                    f"{files.folder} was begun with {_difference(before, asked)}; remove it, or give the "
                    "plan another out"
                )
            self._asked[job.name] = asked
        self._write()

    def remember_submitted(self, numbers: Mapping[str, str]) -> None:
        """Write down SLURM's numbers of tasks, by the tasks' names: "12", or "12_3" in an array."""
        self.slurm.update(numbers)
        self._write()

    def _write(self) -> None:
        content = {"jobs": self._asked, "slurm": self.slurm}
        with replacing(self._file) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


@contextmanager
def open_study(plan: Plan, note: Callable[[str], None]) -> Iterator[Study]:
    """Make the study's folder and hold it: one batch at a time works on it.

    Raises
    ------
    BatchError
        Another batch does, its file is damaged, or the folder can't be made.
    """
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BatchError(f"{plan.out} can't be made ({error.strerror}); give the plan another out") from error
    with locked(plan.out / STUDY, note):
        yield read_study(plan)


def read_study(plan: Plan) -> Study:
    """Read what a study's folder remembers; nothing if it is new.

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
    """Whether a batch works on the study, as far as can be told from here."""
    return is_held(plan.out / STUDY)


def _what(job: Job) -> list[str]:
    """Return the options that say what is in the map, each with its value."""
    options: list[str] = []
    for word in job.words:
        if word.startswith("--"):
            options.append(word)
        else:
            options[-1] += f" {word}"
    return [option for option in options if option.partition(" ")[0] not in _FREE]


def _difference(before: list[str], now: list[str]) -> str:
    old, new = (
        ", ".join(option for option in these if option not in those)
        for these, those in ((before, now), (now, before))
    )
    if not old:
        return f"no {new}"
    return f"{old}, not {new}" if new else old
