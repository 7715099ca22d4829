"""Stream samples in order from worker processes that read ahead; a broken image doesn't end the run."""

import os
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import parent_process
from threading import Thread
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from erfscope.datasets.dataset import ImageDataset, Sample
from erfscope.datasets.layout import Pixels
from erfscope.errors import ImageError
from erfscope.system.signals import SIGNALS

T = TypeVar("T")


@dataclass(frozen=True)
class SkippedImage:
    """An image that can't be used.

    Attributes
    ----------
    name
        The image's name, as in `ImageDataset.names`.
    reason
        One line that names the broken file, image or label, and what is wrong with it.
    """

    name: str
    reason: str


# What a worker sends: index, image, label. Arrays are sent through a pipe; tensors would go through shared
# memory, of which containers have little, and each would hold a file open.
_ReadImage = tuple[int, Pixels, Pixels | None]


@dataclass(frozen=True)
class _PixelsOrSkipped(Dataset[_ReadImage | SkippedImage]):
    images: ImageDataset

    def __getitem__(self, index: int) -> _ReadImage | SkippedImage:
        try:
            return index, *self.images.read(index)
        except ImageError as error:
            return SkippedImage(self.images.names[index], str(error))


def stream(
    dataset: ImageDataset, *, indices: Sequence[int] | None = None, workers: int = 0
) -> Iterator[Sample | SkippedImage]:
    """Yield samples in order.

    Parameters
    ----------
    dataset
        The images to read.
    indices
        Indices of the samples, in order; all by default.
    workers
        Number of processes that read ahead; 0 reads in this process. It doesn't change the samples.

    Yields
    ------
    Sample or SkippedImage
        One for each index; the latter for an image that can't be read.

    Raises
    ------
    RuntimeError
        If a worker dies.
    """
    order = range(len(dataset)) if indices is None else indices
    for item in read_ahead(_PixelsOrSkipped(dataset), order, workers):
        yield item if isinstance(item, SkippedImage) else dataset.to_sample(*item)


def every_nth(items: Iterable[T], places: Sequence[int]) -> Iterator[T]:
    """Yield the items with indices in a range, from an iterable that can be read in its own order only."""
    assert isinstance(places, range)
    return islice(items, places.start, places.stop, places.step)


def read_ahead(items: Dataset[T], order: Sequence[int], workers: int) -> Iterator[T]:
    """Return an iterator over a dataset's items in the given order, read by `workers` processes.

    The processes begin at once, and end when this one does.
    """
    with warnings.catch_warnings():
        # Torch warns if there are more workers than cores, which is the caller's concern; Python warns of
        # forking with threads, but workers use none of torch's.
        warnings.simplefilter("ignore")
        loader = DataLoader(
            items,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_as_is,
            worker_init_fn=_attend_to_main,
            # The loader draws a seed, which would otherwise change the caller's random numbers.
            generator=torch.Generator(),
        )
        return iter(loader)


def _as_is(item: Any) -> Any:
    return item


def _attend_to_main(worker: int) -> None:
    """Let only the main process handle signals, which batch systems and Ctrl-C send to all, and end with it.

    The worker ends also when the main process is killed.
    """
    for each in SIGNALS:
        if each != signal.SIGTERM:
            signal.signal(each, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_heed_main_alone, daemon=True).start()
    Thread(target=_end_with_main, daemon=True).start()


def _heed_main_alone() -> None:
    main = parent_process()
    while main and signal.sigwaitinfo({signal.SIGTERM}).si_pid != main.pid:
        pass
    os._exit(0)


def _end_with_main() -> None:
    main = parent_process()
    if main:
        main.join()
        os._exit(0)  # the worker may be stuck on a full pipe that nobody reads any more
