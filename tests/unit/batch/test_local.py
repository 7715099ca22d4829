"""Tasks on this machine, with a small script in erfscope's place."""

import os
import time
from pathlib import Path

import pytest

from erfscope.batch.local import LocalRunner
from erfscope.batch.tasks import Task
from erfscope.errors import BatchError
from erfscope.system.file_lock import locked
from erfscope.system.signals import Stop

PROGRAM = """\
#!/bin/bash
case $1 in
make) echo made >"$2" ;;
print) echo "$2" ;;
half) echo half; exit 2 ;;
fail) echo "erfscope: $2" >&2; exit 2 ;;
meet) echo $$ >"$2"; until [ -s "$3" ]; do sleep 0.02; done; grep Cpus_allowed_list /proc/self/status >&2 ;;
work) trap 'echo saved; exit 75' TERM; echo $$ >"$2"; while :; do sleep 0.02; done ;;
measure) echo $$ >"$2"; while :; do sleep 0.02; done ;;
esac
"""
CORES = getattr(os, "sched_getaffinity", lambda pid: set())(0)


@pytest.fixture
def folder(tmp_path):
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return tmp_path


def task(folder, name, *words, needs=(), prints=False):
    file = folder / "job" / f"{name}.out"
    return Task(
        name, "job", "compute", 0, (*words,), file, prints, tuple(needs), folder / "job" / f"{name}.log"
    )


def run(folder, tasks, *, at_once=1, stop=None, tell=lambda task, what: None):
    return LocalRunner(
        folder, at_once, Stop() if stop is None else stop, tell, [str(folder / "program")]
    ).run(tasks)


def wait_for(path):
    for _ in range(1000):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def test_each_waits_for_what_it_needs_and_a_failure_stops_only_its_own(folder):
    told = []
    tasks = [
        task(folder, "merge", "make", "merged", needs=["a", "b"]),
        task(folder, "a", "make", "a"),
        task(folder, "b", "make", "b"),
        task(folder, "bad", "fail", "no such data"),
        task(folder, "measure bad", "make", "never", needs=["bad"]),
    ]

    results = run(folder, tasks, tell=lambda task, what: told.append((task.name, what)))
    assert results.done == {"a", "b", "merge"}
    assert results.failed == {"bad": "no such data"}
    assert not results.stopped
    assert not (folder / "never").exists()
    order = [name for name, what in told if what == "begins"]
    assert order == ["a", "b", "merge", "bad"]
    assert ("bad", "no such data") in told
    assert (folder / "job" / "bad.log").read_text().count("erfscope batch:") == 2


def test_a_need_that_is_no_task_is_done(folder):
    assert run(folder, [task(folder, "merge", "make", "merged", needs=["before"])]).done == {"merge"}


def test_logs_are_appended(folder):
    for _ in range(2):
        run(folder, [task(folder, "a", "make", "a")])
    assert (folder / "job" / "a.log").read_text().count(" ended with 0\n") == 2


def test_what_is_printed_is_kept_whole_or_not_at_all(folder):
    tasks = [task(folder, "good", "print", "{}", prints=True), task(folder, "bad", "half", prints=True)]
    run(folder, tasks)
    assert {path.name for path in (folder / "job").iterdir()} == {"good.out", "good.log", "bad.log"}
    assert (folder / "job" / "good.out").read_text() == "{}\n"


@pytest.mark.skipif(len(CORES) < 2, reason="there is but one core to share")
def test_so_many_run_at_once_on_cores_of_their_own(folder):
    one, other = str(folder / "one"), str(folder / "other")
    tasks = [task(folder, "one", "meet", one, other), task(folder, "other", "meet", other, one)]
    assert run(folder, tasks, at_once=2).done == {"one", "other"}
    seen = [
        line.split()[1]
        for name in ("one", "other")
        for line in (folder / "job" / f"{name}.log").read_text().splitlines()
        if line.startswith("Cpus_allowed_list")
    ]
    cores = [_numbers(each) for each in seen]
    assert cores[0] | cores[1] == CORES
    assert not cores[0] & cores[1]
    assert os.sched_getaffinity(0) == CORES


def _numbers(text):
    ends = [each.split("-") for each in text.split(",")]
    return {core for first, *last in ends for core in range(int(first), int((last or [first])[0]) + 1)}


def test_more_than_cores_share_them(folder):
    tasks = [task(folder, str(n), "make", str(n)) for n in range(2 * len(CORES) + 1)]
    assert len(run(folder, tasks, at_once=len(tasks)).done) == len(tasks)


def test_a_signal_is_passed_on_and_nothing_new_begins(folder):
    stop = Stop()
    begun = [folder / "begun", folder / "measuring"]

    def tell(task, what):
        if task.name == "measure" and what == "begins":
            assert all(map(wait_for, begun))
            stop.name = "SIGTERM"

    tasks = [
        task(folder, "work", "work", str(begun[0])),
        task(folder, "measure", "measure", str(begun[1]), prints=True),
        task(folder, "later", "make", "later"),
    ]
    results = run(folder, tasks, at_once=2, stop=stop, tell=tell)
    assert results.stopped
    assert results.interrupted == {"work", "measure"}
    assert results.failed == {}
    assert not (folder / "later").exists()
    log = (folder / "job" / "work.log").read_text()
    assert "saved\n" in log
    assert log.endswith("ended with 75\n")


def test_another_process_that_makes_the_same_is_waited_for(folder):
    mine = task(folder, "a", "make", "a")
    told = []
    with locked(mine.file) as hold:

        def tell(task, what):
            told.append(what)
            if what == "waits":
                hold.give_up()

        assert run(folder, [mine], tell=tell).done == {"a"}
    assert told == ["waits", "begins", "done"]


def test_no_process_is_left_after_an_error(folder):
    def tell(task, what):
        if what == "begins":
            wait_for(folder / "begun")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, [task(folder, "work", "work", str(folder / "begun"))], tell=tell)
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "begun").read_text()), 0)


def test_what_cant_begin_is_told(folder):
    Path(folder / "job").write_text("in the folder's place")
    with pytest.raises(BatchError, match="can't begin a"):
        run(folder, [task(folder, "a", "make", "a")])
