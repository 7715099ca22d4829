"""Processes that work together: cores, sums and the main process's task; two at once are in `integration`."""

import pytest
import torch

from erfscope.errors import ComputeError, TrainError
from erfscope.system.process_group import ProcessGroup, open_process_group

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cores", "processes", "asked", "expected"),
    [
        (8, 1, None, (2, 6)),
        (8, 2, None, (1, 3)),
        (2, 2, None, (0, 1)),
        (2, 2, 1, (0, 1)),
        (8, 2, 4, (2, 2)),
        (1, 4, None, (0, 1)),
    ],
)
def test_processes_share_the_cores(cores, processes, asked, expected, monkeypatch):
    monkeypatch.setattr("erfscope.system.threads.available_cores", lambda: cores)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert ProcessGroup(CPU, size=processes, local_size=processes).share_cores(asked) == expected


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with open_process_group("cpu") as processes:
        assert processes == ProcessGroup(CPU)
        assert processes.is_main_process
        assert not processes.any(False)
        assert processes.sum(torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(ComputeError), open_process_group("tpu"):
        pass


def test_what_the_first_process_does_may_fail():
    def fail():
        raise TrainError("no")

    with pytest.raises(TrainError, match="no"):
        ProcessGroup(CPU).run_on_main_process(fail)
    ProcessGroup(CPU, rank=1, size=1).run_on_main_process(fail)  # not its task
