"""torchvision's wheel is built for CUDA; on a CPU-only torch its import needs two operators defined."""

import pytest
import torch


@pytest.fixture(scope="session")
def torchvision():
    lacking = torch.version.cuda is None
    if lacking:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    yield torchvision
    if lacking:
        del library


@pytest.fixture
def offline(monkeypatch):
    """Fail at any attempt to reach another machine."""

    def refuse(*arguments, **_named):
        raise AssertionError(f"the network was asked for {arguments}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
