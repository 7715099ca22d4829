"""Signals set a mark; a second Ctrl-C ends at once; elsewhere than in the main thread none arrive."""

import os
import signal
import time
from threading import Thread

import pytest

from erfscope.system.signals import stoppable


def test_a_signal_sets_a_mark():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
        assert stop.name == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_ctrl_c_ends_at_once():
    before = signal.getsignal(signal.SIGINT)  # under nohup and in a background job it is ignored
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_handlers_stay():
    found = []

    def enter():
        with stoppable() as stop:
            found.append(bool(stop))

    before = signal.getsignal(signal.SIGTERM)
    thread = Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_deadline_leaves_a_first_signal_alone(number):
    """Two threads learn of it, in either order."""
    for _ in range(20):
        with stoppable(in_time=True) as stop:
            os.kill(os.getpid(), number)
            while not stop:
                time.sleep(0.001)
        assert stop.name == signal.Signals(number).name
    assert signal.set_wakeup_fd(-1) == -1
