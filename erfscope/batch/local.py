"""Run tasks on this machine, several at once, each on cores of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from erfscope.batch.logs import end_line, read_last_run, start_line
from erfscope.batch.tasks import Task, is_held
from erfscope.errors import BatchError
from erfscope.system.atomic_files import replacing
from erfscope.system.signals import EXIT_RESUMABLE, Stop

PROGRAM = (sys.executable, "-m", "erfscope")
_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass
class LocalRun:
    """The results of a run.

    Attributes
    ----------
    done, interrupted
        Names of tasks that are done, and of those that a signal ended before they were.
    failed
        Name -> reason, of the others that have ended.
    stopped
        Whether a signal left a task undone; another run of the same tasks goes on where it stopped.
    """

    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    stopped: bool = False


@dataclass(frozen=True)
class _RunningTask:
    """The process of a task; `printed` is the file of its stdout if the task's result is what it prints."""

    task: Task
    process: subprocess.Popen[bytes]
    place: int
    log: BinaryIO
    printed: Path | None


@dataclass
class LocalRunner:
    """Runs tasks as processes.

    Attributes
    ----------
    folder
        Working folder of the processes.
    at_once
        How many processes run at once, at least 1.
    stop
        Becomes true on a signal: then processes are asked to end, and no other begins.
    tell
        Called with a task and "begins", "waits" (for another process that computes the same), "done",
        "interrupted", or the reason why it failed.
    program
        The command that runs erfscope.
    """

    folder: Path
    at_once: int
    stop: Stop
    tell: Callable[[Task, str], None]
    program: Sequence[str] = PROGRAM
    _told: set[str] = field(default_factory=set, init=False)

    def run(self, tasks: Sequence[Task]) -> LocalRun:
        """Run tasks, each when those that it needs are done; a failed one stops only those that need it.

        Needed tasks that aren't given count as done.

        Raises
        ------
        BatchError
            A process can't be started, or a log can't be written.
        """
        results, waiting, running = LocalRun(), list(tasks), list[_RunningTask]()
        cores, asked_to_end = _divide_cores(self.at_once), False
        try:
            while True:
                held = False
                if not self.stop:
                    held = self._start_ready(running, waiting, cores, results)
                elif not asked_to_end:
                    asked_to_end = True
                    for each in running:
                        each.process.terminate()
                if not running and not held:
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for each in [each for each in running if each.process.poll() is not None]:
                    running.remove(each)
                    self._finish(each, results)
        finally:  # also after a second Ctrl-C
            for each in running:
                each.process.kill()
                each.process.wait()
                each.log.close()
        results.stopped = bool(results.interrupted or (self.stop and waiting))
        return results

    def _start_ready(
        self, running: list[_RunningTask], waiting: list[Task], cores: Sequence[set[int]], results: LocalRun
    ) -> bool:
        """Start the tasks that can start, as long as there are places.

        Returns whether a task waits for another process, which a killed batch left running, say.
        """
        undone = {task.name for task in waiting} | {each.task.name for each in running}
        undone |= results.failed.keys() | results.interrupted
        held = False
        for task in list(waiting):
            places = set(range(len(cores))) - {each.place for each in running}
            if not places:
                break
            if not undone.isdisjoint(task.needs):
                continue
            if is_held(task.file):
                held = True
                self._tell_once(task)
                continue
            waiting.remove(task)
            place = min(places)
            with _on_cores(cores[place]):
                running.append(self._start(task, place))
            self.tell(task, "begins")
        return held

    def _tell_once(self, task: Task) -> None:
        if task.name not in self._told:
            self._told.add(task.name)
            self.tell(task, "waits")

    def _start(self, task: Task, place: int) -> _RunningTask:
        words = (*self.program, *task.words)
        printed = task.file.with_name(f".{task.file.name}.part") if task.prints else None
        try:
            task.folder.mkdir(parents=True, exist_ok=True)
            log = task.log.open("ab", buffering=0)
            log.write(start_line(words).encode())
            with (printed or Path(os.devnull)).open("wb") as stdout:
                process = subprocess.Popen(
                    words,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout if printed else log,
                    stderr=log,
                )
        except OSError as error:
            raise BatchError(f"can't begin {task.name} ({error}); its log is {task.log}") from error
        return _RunningTask(task, process, place, log, printed)

    def _finish(self, ended: _RunningTask, results: LocalRun) -> None:
        """Keep the result of a process that has ended, or record why it failed."""
        task, code = ended.task, ended.process.returncode
        if code and self.stop:  # a measurement has no exit code of its own for an interruption
            code = EXIT_RESUMABLE
        ended.log.write(end_line(code).encode())
        ended.log.close()
        if ended.printed:
            if code == 0:
                with replacing(task.file) as temporary:
                    ended.printed.replace(temporary)
            ended.printed.unlink(missing_ok=True)
        if code == 0:
            results.done.add(task.name)
            self.tell(task, "done")
        elif code == EXIT_RESUMABLE:
            results.interrupted.add(task.name)
            self.tell(task, "interrupted")
        else:
            last = read_last_run(task.log)
            results.failed[task.name] = last.reason if last else f"exit code {code}"
            self.tell(task, results.failed[task.name])


def _divide_cores(places: int) -> list[set[int]]:
    """Return the cores of each place; an empty set stands for any core."""
    if not hasattr(os, "sched_getaffinity"):
        return [set() for _ in range(places)]
    cores = sorted(os.sched_getaffinity(0))
    if places > len(cores):
        return [{cores[place % len(cores)]} for place in range(places)]
    bounds = [len(cores) * place // places for place in range(places + 1)]
    return [set(cores[first:last]) for first, last in pairwise(bounds)]


@contextmanager
def _on_cores(cores: set[int]) -> Iterator[None]:
    """Let processes that start within the block run on these cores: they inherit this thread's affinity."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
