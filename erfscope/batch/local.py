"""Carries out tasks on this machine: so many at once, each on cores of its own."""

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

from erfscope.batch.logs import ending, read_last_run, starting
from erfscope.batch.tasks import Task, is_held
from erfscope.errors import BatchError
from erfscope.system.atomic_files import replacing
from erfscope.system.signals import EXIT_RESUMABLE, Stop

PROGRAM = (sys.executable, "-m", "erfscope")
_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass
class LocalRun:
    """What became of tasks, by their names: done, failed and why, or asked to end before they were done.

    Attributes
    ----------
    stopped
        Whether a signal left something undone; the same tasks go on where they stopped.
    """

    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    stopped: bool = False


@dataclass(frozen=True)
class _Running:
    """A process; `printed` gets its stdout where that is what the task makes."""

    task: Task
    process: subprocess.Popen[bytes]
    place: int
    log: BinaryIO
    printed: Path | None


@dataclass
class LocalRunner:
    """Carries out tasks.

    Attributes
    ----------
    folder
        What commands run in.
    at_once
        How many processes run at once, at least 1.
    stop
        Turns true on a signal: processes are asked to end, and nothing new begins.
    tell
        Is told of a task that begins ("begins"), waits for another process that makes the same ("waits"), or
        has ended ("done", "interrupted", or why it failed).
    program
        How erfscope is called.
    """

    folder: Path
    at_once: int
    stop: Stop
    tell: Callable[[Task, str], None]
    program: Sequence[str] = PROGRAM
    _told: set[str] = field(default_factory=set, init=False)

    def run(self, tasks: Sequence[Task]) -> LocalRun:
        """Carry out tasks, each as soon as those that it needs are done; one that fails stops only its own.

        A need that isn't among the tasks counts as done.

        Raises
        ------
        BatchError
            A process can't be started, or a log can't be written.
        """
        came_out, waiting, running = LocalRun(), list(tasks), list[_Running]()
        cores, asked_to_end = _divide_cores(self.at_once), False
        try:
            while True:
                held = False
                if not self.stop:
                    held = self._fill(running, waiting, cores, came_out)
                elif not asked_to_end:
                    asked_to_end = True
                    for each in running:
                        each.process.terminate()
                if not running and not held:
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for each in [each for each in running if each.process.poll() is not None]:
                    running.remove(each)
                    self._take_in(each, came_out)
        finally:  # of a second Ctrl-C, say
            for each in running:
                each.process.kill()
                each.process.wait()
                each.log.close()
        came_out.stopped = bool(came_out.interrupted or (self.stop and waiting))
        return came_out

    def _fill(
        self, running: list[_Running], waiting: list[Task], cores: Sequence[set[int]], came_out: LocalRun
    ) -> bool:
        """Start tasks while there are any that can start, and places.

        Returns whether one waits for another process, one that a killed batch left behind, say.
        """
        undone = {task.name for task in waiting} | {each.task.name for each in running}
        undone |= came_out.failed.keys() | came_out.interrupted
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

    def _start(self, task: Task, place: int) -> _Running:
        words = (*self.program, *task.words)
        printed = task.file.with_name(f".{task.file.name}.part") if task.prints else None
        try:
            task.folder.mkdir(parents=True, exist_ok=True)
            log = task.log.open("ab", buffering=0)
            log.write(starting(words).encode())
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
        return _Running(task, process, place, log, printed)

    def _take_in(self, ended: _Running, came_out: LocalRun) -> None:
        """Keep what a process made, or say why it made nothing."""
        task, code = ended.task, ended.process.returncode
        if code and self.stop:  # a measurement knows no code of its own for this
            code = EXIT_RESUMABLE
        ended.log.write(ending(code).encode())
        ended.log.close()
        if ended.printed:
            if code == 0:
                with replacing(task.file) as temporary:
                    ended.printed.replace(temporary)
            ended.printed.unlink(missing_ok=True)
        if code == 0:
            came_out.done.add(task.name)
            self.tell(task, "done")
        elif code == EXIT_RESUMABLE:
            came_out.interrupted.add(task.name)
            self.tell(task, "interrupted")
        else:
            last = read_last_run(task.log)
            came_out.failed[task.name] = last.reason if last else f"exit code {code}"
            self.tell(task, came_out.failed[task.name])


def _divide_cores(places: int) -> list[set[int]]:
    """Return the cores of each place: a process's threads follow what it may run on. Empty: any."""
    if not hasattr(os, "sched_getaffinity"):
        return [set() for _ in range(places)]
    cores = sorted(os.sched_getaffinity(0))
    if places > len(cores):
        return [{cores[place % len(cores)]} for place in range(places)]
    bounds = [len(cores) * place // places for place in range(places + 1)]
    return [set(cores[first:last]) for first, last in pairwise(bounds)]


@contextmanager
def _on_cores(cores: set[int]) -> Iterator[None]:
    """Start processes on some cores: they take over where this thread may run."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
