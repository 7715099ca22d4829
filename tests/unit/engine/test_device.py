import pytest
import torch

from erfscope.engine import device


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("workers", [None, 0, 1, 4, 100])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_workers_and_threads_never_exceed_the_cores(cores, workers, kind, monkeypatch):
    monkeypatch.setattr(device, "available_cores", lambda: cores)
    processes, threads = device.share_cores(torch.device(kind), workers)
    assert processes >= 0
    assert threads >= 1
    assert processes + threads == cores
    if workers is not None:
        assert processes <= workers


def test_a_worker_is_worth_its_core_from_four_up(monkeypatch):
    for cores, expected in ((1, 0), (2, 0), (4, 1), (16, 4), (64, 4)):
        monkeypatch.setattr(device, "available_cores", lambda cores=cores: cores)
        assert device.share_cores(torch.device("cpu"), None)[0] == expected
