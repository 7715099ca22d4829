"""Samples in order, read ahead by worker processes; a broken image never ends the run."""

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
        As in `ImageDataset.names`.
    reason
        One line that names the file at fault, image or label, and what is wrong with it.
    """

    name: str
    reason: str


# What a worker hands over: place, image, label. Arrays of bytes go through a pipe; tensors would go through
# shared memory, of which containers have little, and hold a file open each until the reader drops them.
_Read = tuple[int, Pixels, Pixels | None]


@dataclass(frozen=True)
class _Guarded(Dataset[_Read | SkippedImage]):
    images: ImageDataset

    def __getitem__(self, index: int) -> _Read | SkippedImage:
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
        What to read.
    indices
        Which samples, in which order; all by default.
    workers
        Processes that read ahead; 0 reads in this one. Their number doesn't change the samples.

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
    for item in read_ahead(_Guarded(dataset), order, workers):
        yield item if isinstance(item, SkippedImage) else dataset.to_sample(*item)


def every_nth(items: Iterable[T], places: Sequence[int]) -> Iterator[T]:
    """Yield the items of the given numbers, a range: of what can be read in its own order only."""
    assert isinstance(places, range)
    return islice(items, places.start, places.stop, places.step)


def read_ahead(items: Dataset[T], order: Sequence[int], workers: int) -> Iterator[T]:
    """Return an iterator over a dataset's items in an order, as they are, read by so many processes.

    The processes begin at once, and end with this one.
    """
    with warnings.catch_warnings():
        # Torch counts the cores, which is the caller's concern, and Python warns of forking beside threads:
        # workers run none of torch's.
        warnings.simplefilter("ignore")
        loader = DataLoader(
            items,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_as_is,
            worker_init_fn=_attend_to_main,
            # Its own, for the loader draws a seed from it and would otherwise move the caller's numbers.
            generator=torch.Generator(),
        )
        return iter(loader)


def _as_is(item: Any) -> Any:
    return item


def _attend_to_main(worker: int) -> None:
    """Leave signals, which batch systems and Ctrl-C send to every process, to the main one, and end with it,
    also when it is killed.
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
