"""`stream`: the same samples with and without workers, whatever is broken, and nothing left behind."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_layouts import noise, save

from erfscope.datasets import ImageDataset, Sample, SkippedImage, open_dataset, stream


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    for seed in range(6):
        save(tmp_path / f"{seed}.png", noise(seed))
    (tmp_path / "2.png").write_bytes(b"<html>")
    return open_dataset("folder", root=tmp_path, size=(9, 8), fit="random-crop")


@pytest.fixture(params=["fork", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> Iterator[str]:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture
def forked() -> Iterator[None]:
    """Workers that see what the test has patched."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def children() -> set[int | None]:
    """Process ids of the workers; those of failed streams go with their tracebacks."""
    gc.collect()
    return {child.pid for child in multiprocessing.active_children()}


def assert_same(first: list[Sample | SkippedImage], second: list[Sample | SkippedImage]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert type(one) is type(other)
        assert one.name == other.name
        if isinstance(one, Sample) and isinstance(other, Sample):
            assert torch.equal(one.image, other.image)
            assert (one.label is None) == (other.label is None)
            assert one.label is None or other.label is None or torch.equal(one.label, other.label)


def test_broken_images_are_skipped_in_their_place(dataset: ImageDataset) -> None:
    items = list(stream(dataset))
    assert [item.name for item in items] == list(dataset.names)
    skipped = items.pop(2)
    assert isinstance(skipped, SkippedImage)
    assert "2.png: not a readable image" in skipped.reason
    assert all(isinstance(item, Sample) for item in items)
    assert torch.equal(items[0].image, dataset[0].image)


@pytest.mark.slow
def test_workers_give_the_same_samples(dataset: ImageDataset, start_method: str) -> None:
    assert_same(list(stream(dataset)), list(stream(dataset, workers=1)))


def test_more_workers_keep_the_order(dataset: ImageDataset, forked: None) -> None:
    # More than there are cores, which torch would warn of.
    assert_same(list(stream(dataset)), list(stream(dataset, workers=(os.cpu_count() or 1) + 1)))


@pytest.mark.usefixtures("forked")
def test_labels_and_drawn_images_come_from_workers(make_root: Callable[[str], Path]) -> None:
    scenes = open_dataset("synthetic-leaves", size=(30, 20), images=3)
    assert_same([scenes[k] for k in range(3)], list(stream(scenes, workers=1)))
    streets = open_dataset("cityscapes", root=make_root("cityscapes"), size=(30, 20))
    items = list(stream(streets, workers=1))
    assert_same([streets[k] for k in range(4)], items)
    assert all(isinstance(item, Sample) and item.label is not None for item in items)


@pytest.mark.parametrize("workers", [0, 1])
def test_indices_are_taken_in_their_order(dataset: ImageDataset, workers: int) -> None:
    names = [item.name for item in stream(dataset, indices=[5, 0, 0, 2], workers=workers)]
    assert names == ["5.png", "0.png", "0.png", "2.png"]
    assert list(stream(dataset, indices=[], workers=workers)) == []


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.usefixtures("forked")
def test_bugs_surface(dataset: ImageDataset, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: ImageDataset, index: int) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(ImageDataset, "read", read)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(stream(dataset, workers=workers))


@pytest.mark.usefixtures("forked")
@pytest.mark.slow
def test_a_dead_worker_surfaces(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageDataset, "read", lambda self, index: os._exit(1))
    with pytest.raises(RuntimeError, match="worker"):
        list(stream(dataset, workers=1))


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_workers_leave_ctrl_c_to_the_main_process(dataset: ImageDataset) -> None:
    before = children()
    items = stream(dataset, indices=[0] * 40, workers=1)
    next(items)
    (worker,) = children() - before
    assert worker is not None
    os.kill(worker, signal.SIGINT)
    assert len(list(items)) == 39


# Images of 0.5 MB, more than a pipe takes, so that a worker is stuck on them when nobody reads.
LEAVE = """
import multiprocessing, os, signal, sys
from erfscope.datasets import open_dataset, stream
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    sys.left = stream(open_dataset("synthetic-leaves", size=400), workers=1)
    next(sys.left)
    print(multiprocessing.active_children()[0].pid, flush=True)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver"])
@pytest.mark.parametrize(("end", "code"), [("return", 0), ("kill", -signal.SIGKILL)])
def test_workers_end_with_the_main_process(method: str, end: str, code: int) -> None:
    # To a file: a worker that outlives the main process would hold a pipe open.
    command = [sys.executable, "-c", LEAVE, method, end]
    with tempfile.TemporaryFile("w+") as out:
        # Minutes if the worker isn't ended; seconds otherwise, of which torch's import takes most.
        assert (
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, timeout=60, check=False).returncode
            == code
        )
        out.seek(0)
        worker = int(out.read())
    deadline = time.monotonic() + 20
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(worker)


def is_running(process: int) -> bool:
    """Tell whether a process is there and not only waiting to be collected."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_stopping_early_leaves_no_process(dataset: ImageDataset) -> None:
    before = children()
    items = stream(dataset, indices=[0] * 40, workers=1)
    next(items)
    assert children() - before
    items.close()
    assert not children() - before


@pytest.mark.parametrize("workers", [0, 1])
def test_the_callers_random_numbers_stay(dataset: ImageDataset, workers: int) -> None:
    before = torch.get_rng_state()
    list(stream(dataset, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("forked")
def test_samples_from_workers_hold_no_file_open(dataset: ImageDataset) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("counts descriptors in /proc")
    before = len(list(descriptors.iterdir()))
    kept = list(stream(dataset, indices=[0] * 50, workers=1))
    assert len(kept) == 50
    # Loader pipes may linger; shared-memory tensors would hold one each.
    assert len(list(descriptors.iterdir())) < before + 20
