"""Keeps the memory of one image for the next, tells how much a process has used, and that it has no more."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from erfscope.errors import ComputeError

# Parameters of glibc's mallopt, and their defaults.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
# How torch and, where a convolution finds no room for its workspace, oneDNN tell that memory ended.
_WORDS = ("can't allocate memory", "could not create a primitive")


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block, memory that is freed stays with the process.

    By default glibc asks the system for every large tensor anew, and the system hands over each page by
    an interrupt: a quarter of the time of a DeepLabV3 on two cores. Elsewhere than on glibc nothing is
    changed. Afterwards the memory is given back.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_TRIM_THRESHOLD, -1)  # never
    libc.mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        for parameter, default in _DEFAULTS.items():
            libc.mallopt(parameter, default)
        libc.malloc_trim(0)


@contextmanager
def translate_out_of_memory(what: str, remedy: str | None = None) -> Iterator[None]:
    """Say in words where `what` asks for more memory than there is; a smaller batch or size is the remedy.

    Raises
    ------
    ComputeError
        Memory could not be had.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # On the CPU torch raises the same error for memory as for anything else.
        on_cuda = isinstance(error, torch.OutOfMemoryError)
        ended = any(words in str(error) for words in _WORDS)
        if not (on_cuda or isinstance(error, MemoryError) or ended):
            raise
        usual = "a smaller --batch-size or --size" if on_cuda else "a smaller --size"
        raise ComputeError(f"{what} needs more memory than there is; give {remedy or usual}") from error


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes in use so far: by tensors on a CUDA device, by the whole process on the CPU.

    None where the system doesn't tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
