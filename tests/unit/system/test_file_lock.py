"""One process at a time: a second one is refused, a dead one's lock is taken over."""

import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from erfscope.errors import MapError
from erfscope.system import file_lock
from erfscope.system.file_lock import holder, locked

HOLD = """
import sys, time
from pathlib import Path
from erfscope.system.file_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "erf.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_nothing_is_left(tmp_path):
    path = tmp_path / "new" / "erf.h5"
    assert holder(path) is None
    with locked(path):
        assert holder(path).alive
        assert [each.name for each in path.parent.iterdir()] == ["erf.h5.lock"]
    assert not list(path.parent.iterdir())


def test_a_second_process_is_refused(tmp_path, other):
    path = tmp_path / "erf.h5"
    assert (holder(path).pid, holder(path).alive) == (other.pid, True)
    with pytest.raises(MapError, match=rf"is being written by process {other.pid} on "), locked(path):
        pass
    assert holder(path).pid == other.pid


def test_a_killed_process_is_taken_over_with_what_it_left(tmp_path, other):
    path = tmp_path / "erf.h5"
    (tmp_path / ".erf.h5.77.tmp").write_bytes(b"half")
    (tmp_path / ".erf2.h5.77.tmp").write_bytes(b"of another map")
    other.kill()
    other.wait()
    assert holder(path).alive is False
    with locked(path):
        assert {each.name for each in tmp_path.iterdir()} == {"erf.h5.lock", ".erf2.h5.77.tmp"}


def test_a_killed_process_that_nobody_has_waited_for(tmp_path, other):
    path = tmp_path / "erf.h5"
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert holder(path).alive is False
    with locked(path):
        assert holder(path).alive


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A lock of a process on another machine that has just given a sign of life, its last one."""
    path, marker = tmp_path / "erf.h5", tmp_path / "erf.h5.lock"
    monkeypatch.setattr(file_lock, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(file_lock, "_WAIT_SECONDS", 5.0)
    with locked(path):
        record = marker.read_text()
    host = re.search(r"^host=(.*)$", record, flags=re.MULTILINE)
    marker.write_text(record.replace(host[0], "host=node17"))
    return path


def test_a_process_on_another_machine_is_waited_for_and_then_taken_over(elsewhere):
    assert (holder(elsewhere).host, holder(elsewhere).alive) == ("node17", None)
    told = []
    with locked(elsewhere, told.append):
        assert holder(elsewhere).alive
    assert re.search("held by process .* on node17; waiting a minute for a sign of life", told[0])


@pytest.mark.slow
def test_a_sign_of_life_refuses(elsewhere):
    marker, left = elsewhere.with_name("erf.h5.lock"), Event()

    def live():
        while not left.wait(0.2):
            os.utime(marker)

    thread = Thread(target=live)
    thread.start()
    with pytest.raises(MapError, match="written by process .* on node17"), locked(elsewhere):
        pass
    left.set()
    thread.join()


def test_who_was_taken_over_notices(tmp_path, elsewhere):
    marker, others = tmp_path / "erf.h5.lock", tmp_path / "others"
    record = marker.read_bytes()
    marker.rename(others)
    with locked(elsewhere) as hold:
        hold.check()
        others.replace(marker)
        with pytest.raises(MapError, match="taken over by process .* on node17"):
            hold.check()
    assert marker.read_bytes() == record  # the other's


def test_a_long_silence_is_death_to_who_only_looks(elsewhere):
    os.utime(elsewhere.with_name("erf.h5.lock"), (0, 0))
    assert holder(elsewhere).alive is False


def test_giving_it_up_early(tmp_path):
    path = tmp_path / "erf.h5"
    with locked(path) as hold:
        hold.give_up()
        with locked(path):
            assert holder(path).alive


def test_a_folder_that_cannot_be_written():
    with pytest.raises(MapError, match="can't lock /proc/erf.h5"), locked(Path("/proc/erf.h5")):
        pass
