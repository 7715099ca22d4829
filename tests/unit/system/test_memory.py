"""Memory that is freed stays with the process for the next image."""

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource
import torch
from pathlib import Path
from erfscope.system.memory import kept_memory

def faults():
    for _ in range(12):  # until the heap has room for it
        torch.ones(40_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(40_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

outside = faults()
with kept_memory():
    within, kept = faults(), held()
print(outside, within, kept - held())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
def test_memory_is_kept_for_the_next_image():
    """Large memory that is freed and taken again costs no page faults within the block.

    In a process of its own: in this one the heap is in pieces, and the memory may come from elsewhere.
    """
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    outside, within, given_back = map(int, done.stdout.split())
    # 160 MB are 39,000 pages of 4 KB, or 80 huge ones.
    assert within <= outside / 4
    assert given_back > 100e6
