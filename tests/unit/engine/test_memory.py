"""What is held of one image: at most half of what plain autograd holds."""

import platform
import subprocess
import sys
import weakref

import pytest
import torch
from small_networks import network, noise_images
from torch.utils._python_dispatch import TorchDispatchMode

from erfscope.engine.plan import plan_engine
from erfscope.engine.target import Target
from erfscope.graph.steps import relu


class LiveBytes(TorchDispatchMode):
    """Follows the memory of every tensor that is made within the block."""

    def __init__(self):
        super().__init__()
        self.sizes, self.now, self.peak = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.sizes:
                    self.sizes[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self.forget, storage._cdata)
        return result

    def forget(self, key):
        self.now -= self.sizes.pop(key)


@pytest.mark.parametrize("name", ["deeplabv3", "fcn", "deeplabv3plus", "pspnet"])
def test_half_of_plain_autograd(name, monkeypatch):
    monkeypatch.setattr(relu, "MANY", 2**16)  # this map as a large one
    model = network(name).float().eval()
    size = (257, 257)
    wanted = {"formula": "paper", "target": Target("logits"), "unit": None, "resize": True}
    machine = {"precision": "float32", "device": "cpu", "batch_size": 1, "workers": 0, "engine": "auto"}
    _, engine = plan_engine(model, size, **wanted, **machine)
    image = noise_images(1, size)[0][None]
    with engine.ready() as gradients, LiveBytes() as pruned:
        gradients(image.clone())
    with LiveBytes() as plain:
        leaf = image.clone().requires_grad_()
        torch.autograd.grad(model(leaf)[0, :, 128, 128].sum(), leaf)
    assert pruned.peak <= plain.peak / 2


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
