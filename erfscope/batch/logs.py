"""Read from a task's log how its last run ended, and why."""

import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from erfscope.system.signals import EXIT_RESUMABLE

#: Starts the lines that a runner adds to a log; the scripts for SLURM print the same.
MARK = "erfscope batch:"
_STARTS, _ENDED = "starts", "ended with"
_TAIL = 200_000  # bytes: enough for the last run of a task that prints much

_SLURM = re.compile(r"slurmstepd\S*: error: (.*)")
# SLURM's messages and its names of the states that they mean; the first that matches counts.
_SLURM_STATES = (
    (re.compile(r"oom.kill|out.of.memory|exceeded (job|step) memory", re.IGNORECASE), "OUT_OF_MEMORY"),
    (re.compile("DUE TO TIME LIMIT"), "TIMEOUT"),
    (re.compile("DUE TO NODE FAILURE"), "NODE_FAIL"),
    (re.compile("DUE TO PREEMPTION"), "PREEMPTED"),
    (re.compile("DUE TO JOB REQUEUE"), "REQUEUED"),
    (re.compile("CANCELLED AT"), "CANCELLED"),
)
# After these states SLURM runs the job again.
_AGAIN = ("REQUEUED", "PREEMPTED")
_PYTHON = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Killed)\b")


@dataclass(frozen=True)
class LastRun:
    """The last run in a log.

    Attributes
    ----------
    code
        Its exit code; None if the log ends without one.
    reason
        Why it ended before it was done; "" if it was done.
    interrupted
        Whether a signal ended it, so that another run goes on where it stopped.
    """

    code: int | None
    reason: str
    interrupted: bool


def start_line(words: Sequence[str]) -> str:
    """Return the line that begins a run in a log."""
    return f"{MARK} {_now()} {_STARTS} {shlex.join(words)}\n"


def end_line(code: int) -> str:
    """Return the line that ends a run in a log."""
    return f"{MARK} {_now()} {_ENDED} {code}\n"


def read_last_run(log: Path) -> LastRun | None:
    """Read how the last run in a log ended; None if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    begun = max(
        (n for n, line in enumerate(lines) if line.startswith(MARK) and f" {_STARTS} " in line), default=0
    )
    return _summarize(lines[begun:])


def _summarize(lines: Sequence[str]) -> LastRun:
    state, words = _slurm_state(lines)
    code = _exit_code(lines)
    if code == 0:
        return LastRun(0, "", False)
    if code == EXIT_RESUMABLE or state in _AGAIN:
        return LastRun(code, f"{state}: {words}" if state else "interrupted", True)
    message = _last_message(lines)
    if state:
        return LastRun(code, f"{state}: {message or words}", False)
    return LastRun(code, message or _describe_end(lines, code), False)


def _slurm_state(lines: Sequence[str]) -> tuple[str, str]:
    """Return SLURM's name of the state in which the job ended, and its message; the first says most."""
    for line in lines:
        found = _SLURM.search(line)
        if found:
            for pattern, state in _SLURM_STATES:
                if pattern.search(found[1]):
                    return state, found[1].strip("* ")
    return "", ""


def _exit_code(lines: Sequence[str]) -> int | None:
    for line in reversed(lines):
        found = re.fullmatch(rf"{re.escape(MARK)} \S+ {_ENDED} (-?\d+)", line)
        if found:
            return int(found[1])
    return None


def _last_message(lines: Sequence[str]) -> str:
    """Return the last error message of erfscope, else the last exception of Python."""
    for line in reversed(lines):
        if line.startswith("erfscope: "):
            return line.removeprefix("erfscope: ")
    trace = max((n for n, line in enumerate(lines) if line.startswith("Traceback ")), default=None)
    if trace is None:
        return ""
    return next((line for line in lines[trace + 1 :] if _PYTHON.match(line)), "")


def _describe_end(lines: Sequence[str], code: int | None) -> str:
    """Describe the end of a run without an error message: exit code, and last line if there is one."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    how = "killed, or its machine went down" if code is None else f"exit code {code}"
    others = [line.strip() for line in lines if line.strip() and not line.startswith(MARK)]
    return how + (f"; its last line: {others[-1]}" if others else "")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
