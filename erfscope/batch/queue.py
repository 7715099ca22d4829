"""Asks SLURM by its commands: what is queued, what is to be queued, what is no longer wanted."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.errors import BatchError

_SECONDS = 120  # a busy controller takes its time, a dead one takes forever
# Pending for a reason that never goes away.
_DOOMED = ("DependencyNeverSatisfied",)


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
        Why it waits, in SLURM's words.
    """

    title: str
    running: bool
    reason: str


def read_queue() -> Mapping[str, QueuedJob] | None:
    """Return the user's jobs by number, "12" or "12_3" in an array; None where there is no squeue.

    Raises
    ------
    BatchError
        squeue fails.
    """
    words = ("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%j")
    try:
        answer = _call(words)
    except FileNotFoundError:
        return None
    queue = {}
    for line in answer.splitlines():
        number, state, reason, title = line.strip().split("|", 3)
        if reason not in _DOOMED:
            queue[number] = QueuedJob(title, state != "PENDING", reason)
    return queue


def submit_script(script: Path, after: Sequence[str]) -> str:
    """Hand a script to sbatch, to begin when jobs have ended well; returns the job's number.

    Raises
    ------
    BatchError
        There is no sbatch, or it refuses.
    """
    try:
        answer = _call(submission_words(script, after))
    except FileNotFoundError:
        raise BatchError("no sbatch is here; submit on a machine of the cluster, or run without --submit") from None
    return answer.strip().partition(";")[0]  # a name of a cluster may follow


def submission_words(script: Path, after: Sequence[str]) -> tuple[str, ...]:
    """Return the command line that submits a script."""
    dependency = (f"--dependency=afterok:{':'.join(after)}",) if after else ()
    return "sbatch", "--parsable", *dependency, str(script)


def cancel(number: str) -> None:
    """Take a job out of the queue; it may have left by itself meanwhile."""
    subprocess.run(("scancel", number), capture_output=True, timeout=_SECONDS, check=False)


def _call(words: Sequence[str]) -> str:
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BatchError(f"{words[0]} doesn't answer; is SLURM's controller down? Try again later") from None
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        what = Path(words[-1]).name if words[0] == "sbatch" else "the question"
        raise BatchError(f"{words[0]} refuses {what}: {'; '.join(lines)}; mend [slurm] in the plan, or ask SLURM")
    return ended.stdout
