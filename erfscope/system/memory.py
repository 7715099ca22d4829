"""Keep memory for the next image, measure how much a process has used, and explain when there is no more."""

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
# Messages of torch, and of oneDNN for a convolution without memory for its workspace.
_OUT_OF_MEMORY = ("can't allocate memory", "could not create a primitive")


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block, memory that is freed stays with the process.

    By default glibc returns the memory of every large tensor and asks for it anew, with a page fault for each
    page: a quarter of the time of a DeepLabV3 on two cores. The memory is given back after the block. With
    other C libraries nothing is changed.
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
    """Raise an error that names a remedy if the block runs out of memory.

    Parameters
    ----------
    what
        Names what is computed, for the message.
    remedy
        What to try instead; by default a smaller size, and on CUDA a smaller batch.

    Raises
    ------
    ComputeError
        There is not enough memory, on the CPU or on CUDA.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        on_cuda = isinstance(error, torch.OutOfMemoryError)
        # On the CPU torch raises a RuntimeError, as it does for anything else.
        on_cpu = isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)
        if not (on_cuda or on_cpu):
            raise
        usual = "a smaller --batch-size or --size" if on_cuda else "a smaller --size"
        raise ComputeError(f"{what} needs more memory than there is; give {remedy or usual}") from error


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that were in use so far: by tensors on a CUDA device, else by the whole process.

    None if the system doesn't measure it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
