"""What a task's log says of its last run: how it ended, and why."""

import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from erfscope.system.signals import EXIT_RESUMABLE

#: Begins the lines that a runner adds to a log; the scripts for SLURM print the like.
MARK = "erfscope batch:"
_STARTS, _ENDED = "starts", "ended with"
_TAIL = 200_000  # bytes: the last run of a task that keeps talking

_SLURM = re.compile(r"slurmstepd\S*: error: (.*)")
# What SLURM's words mean by its own names of states; the first that fits counts.
_SLURM_STATES = (
    (re.compile(r"oom.kill|out.of.memory|exceeded (job|step) memory", re.IGNORECASE), "OUT_OF_MEMORY"),
    (re.compile("DUE TO TIME LIMIT"), "TIMEOUT"),
    (re.compile("DUE TO NODE FAILURE"), "NODE_FAIL"),
    (re.compile("DUE TO PREEMPTION"), "PREEMPTED"),
    (re.compile("DUE TO JOB REQUEUE"), "REQUEUED"),
    (re.compile("CANCELLED AT"), "CANCELLED"),
)
# After these SLURM runs it again.
_AGAIN = ("REQUEUED", "PREEMPTED")
_PYTHON = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Killed)\b")


@dataclass(frozen=True)
class LastRun:
    """The last run in a log.

    Attributes
    ----------
    code
        Its exit code; None where the log ends before.
    reason
        Why it ended before it was done, "" where it was.
    interrupted
        Whether it was asked to end, and goes on where it stopped.
    """

    code: int | None
    reason: str
    interrupted: bool


def starting(words: Sequence[str]) -> str:
    """Return the line that begins a run in a log."""
    return f"{MARK} {_now()} {_STARTS} {shlex.join(words)}\n"


def ending(code: int) -> str:
    """Return the line that ends a run in a log."""
    return f"{MARK} {_now()} {_ENDED} {code}\n"


def read_last_run(log: Path) -> LastRun | None:
    """Return how the last run in a log ended; None without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    begun = max(
        (n for n, line in enumerate(lines) if line.startswith(MARK) and f" {_STARTS} " in line), default=0
    )
    return _judge(lines[begun:])


def _judge(lines: Sequence[str]) -> LastRun:
    state, words = _slurm_state(lines)
    code = _code(lines)
    if code == 0:
        return LastRun(0, "", False)
    if code == EXIT_RESUMABLE or state in _AGAIN:
        return LastRun(code, f"{state}: {words}" if state else "interrupted", True)
    said = _said(lines)
    if state:
        return LastRun(code, f"{state}: {said or words}", False)
    if said:
        return LastRun(code, said, False)
    return LastRun(code, _last_words(lines, code), False)


def _slurm_state(lines: Sequence[str]) -> tuple[str, str]:
    """Return SLURM's name for how the job ended, and its words; of several lines the first tells most."""
    for line in lines:
        found = _SLURM.search(line)
        if found:
            for pattern, state in _SLURM_STATES:
                if pattern.search(found[1]):
                    return state, found[1].strip("* ")
    return "", ""


def _code(lines: Sequence[str]) -> int | None:
    for line in reversed(lines):
        found = re.fullmatch(rf"{re.escape(MARK)} \S+ {_ENDED} (-?\d+)", line)
        if found:
            return int(found[1])
    return None


def _said(lines: Sequence[str]) -> str:
    """Return what erfscope said last, else the last exception of Python's."""
    for line in reversed(lines):
        if line.startswith("erfscope: "):
            return line.removeprefix("erfscope: ")
    trace = max((n for n, line in enumerate(lines) if line.startswith("Traceback ")), default=None)
    if trace is None:
        return ""
    return next((line for line in lines[trace + 1 :] if _PYTHON.match(line)), "")


def _last_words(lines: Sequence[str], code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    how = "killed, or its machine went down" if code is None else f"exit code {code}"
    said = [line.strip() for line in lines if line.strip() and not line.startswith(MARK)]
    return how + (f"; its last line: {said[-1]}" if said else "")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
