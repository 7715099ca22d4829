"""Worker processes and threads together take no more cores than a process may use."""

import pytest
import torch

from erfscope.system import threads


@pytest.fixture(autouse=True)
def no_omp_num_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("workers", [None, 0, 1, 4, 100])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_workers_and_threads_never_exceed_the_cores(cores, workers, kind, monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: cores)
    processes, computing = threads.share_cores(torch.device(kind), workers)
    assert processes >= 0
    assert computing >= 1
    assert processes + computing == cores
    if workers is not None:
        assert processes <= workers


def test_a_worker_is_worth_its_core_from_four_up(monkeypatch):
    for cores, expected in ((1, 0), (2, 0), (4, 1), (16, 4), (64, 4)):
        monkeypatch.setattr(threads, "available_cores", lambda cores=cores: cores)
        assert threads.share_cores(torch.device("cpu"), None)[0] == expected


def test_omp_num_threads_asks_for_fewer(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 8)
    for value, expected in (("1", 1), ("3,2", 3), ("64", 8), ("0", 8), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert threads.share_cores(torch.device("cpu"), 0) == (0, expected)
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torchrun's own default
    assert threads.share_cores(torch.device("cpu"), 0) == (0, 4)


def test_slurm_grants_fewer_cores_than_there_are(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert threads.available_cores() == 16
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert threads.available_cores() == 4
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2(x3),1")
    assert threads.available_cores() == 6
    assert threads.share_cores(torch.device("cpu"), 0) == (0, 3)
