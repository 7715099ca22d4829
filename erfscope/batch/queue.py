"""SLURM's queue: list jobs, submit and cancel them, by its commands."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.errors import BatchError

_SECONDS = 120  # a busy controller may take long; a dead one never answers
# A job that is pending for this reason never starts.
_NEVER_STARTS = ("DependencyNeverSatisfied",)


@dataclass(frozen=True)
class QueuedJob:
    """A job, or one task of an array, in SLURM's queue.

    Attributes
    ----------
    title
        Its name.
    running
        Whether it has begun.
    reason
        SLURM's reason why it waits.
    """

    title: str
    running: bool
    reason: str


def read_queue() -> Mapping[str, QueuedJob]:
    """Return the user's jobs that run or wait, by number: "12", or "12_3" in an array.

    Raises
    ------
    BatchError
        There is no squeue, or it fails.
    """
    answer = _call(("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%j"))
    queue = {}
    for line in answer.splitlines():
        number, state, reason, title = line.strip().split("|", 3)
        if reason not in _NEVER_STARTS:
            queue[number] = QueuedJob(title, state != "PENDING", reason)
    return queue


def submit_script(script: Path, after: Sequence[str]) -> str:
    """Submit a script that starts when the jobs `after` have succeeded; return the job's number.

    Raises
    ------
    BatchError
        There is no sbatch, or it refuses.
    """
    answer = _call(submission_words(script, after))
    return answer.strip().partition(";")[0]  # the name of a cluster may follow


def submission_words(script: Path, after: Sequence[str]) -> tuple[str, ...]:
    """Return the command line that submits a script."""
    dependency = (f"--dependency=afterok:{':'.join(after)}",) if after else ()
    return "sbatch", "--parsable", *dependency, str(script)


def cancel(number: str) -> None:
    """Cancel a job; it may have left the queue by itself."""
    subprocess.run(("scancel", number), capture_output=True, timeout=_SECONDS, check=False)


def _call(words: Sequence[str]) -> str:
    program = words[0]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise BatchError(
            f"no {program} is here; go to a machine of the cluster, or leave SLURM out"
        ) from None
    except subprocess.TimeoutExpired:
        raise BatchError(f"{program} hasn't answered for {_SECONDS} s; is SLURM's controller down?") from None
    if ended.returncode:
        said = "; ".join(ended.stderr.strip().splitlines())[-300:] or f"exit code {ended.returncode}"
        what = f"refuses {words[-1]}" if program == "sbatch" else "fails"
        raise BatchError(f"{program} {what}: {said}")
    return ended.stdout
