"""What is held of one image: at most half of what plain autograd holds."""

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


@pytest.mark.slow
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
