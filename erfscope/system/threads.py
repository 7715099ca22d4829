"""Divide the cores that this process may use among processes that read images and threads that compute."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from erfscope.system.environment import asked_threads, granted_cores, place_on_machine

if TYPE_CHECKING:
    import torch


def available_cores() -> int:
    """Return how many cores may be used here (a batch system often grants fewer than there are)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, granted_cores() or cores))


def share_cores(device: "torch.device", workers: int | None, processes: int | None = None) -> tuple[int, int]:
    """Return the numbers of worker processes and of threads, which together never exceed the cores.

    On the CPU an image takes seconds to compute and some 70 ms to decode: a worker is worth its core from
    four cores up; on two it halves the speed. A CUDA device waits for nothing but decoding. OMP_NUM_THREADS
    may ask for fewer threads.

    Parameters
    ----------
    device
        Where the network runs.
    workers
        How many processes should read images; None for as many as pay off. The number returned may be lower.
    processes
        How many processes share the machine, each with its part of the cores; None for as many as were
        started together.
    """
    cores = available_cores()
    if workers is None:
        workers = min(4, cores // 4) if device.type == "cpu" else 8
    workers = min(workers, cores - 1)
    together = place_on_machine()[1] if processes is None else processes
    each = max(1, cores // together)
    workers = min(workers // together, each - 1)
    threads = each - workers
    return workers, min(threads, asked_threads() or threads)


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads within the block."""
    import torch  # here, for what divides the cores needs none

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
