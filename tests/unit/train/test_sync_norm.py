"""Batch norm over several processes; two at once are in `integration`."""

import pytest
import torch
from torch import distributed, nn

from erfscope.system.process_group import ProcessGroup
from erfscope.train.network.sync_norm import GatheredBatchNorm, synchronize_norms

CPU = torch.device("cpu")


@pytest.fixture
def alone():
    """A group of one process."""
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    yield
    distributed.destroy_process_group()


def norms(**options):
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(4, **options).double()
    if plain.affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    gathered = GatheredBatchNorm(4, **options).double()
    gathered.load_state_dict(plain.state_dict())
    return plain, gathered


@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"momentum": None}, {"eps": 0.1, "momentum": 0.3}]
)
def test_a_norm_over_one_process_is_torchs(alone, options):
    plain, gathered = norms(**options)
    for step in range(3):
        images = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        inputs = images.clone().requires_grad_(), images.clone().requires_grad_()
        outputs = plain(inputs[0]), gathered(inputs[1])
        assert torch.allclose(*outputs, atol=1e-12)
        for output in outputs:
            (output**3).sum().backward()
        assert torch.allclose(inputs[0].grad, inputs[1].grad, atol=1e-10)
    for one, other in zip(plain.state_dict().values(), gathered.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=1e-12)
    for one, other in zip(plain.parameters(), gathered.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-10)
    assert torch.allclose(plain.eval()(images), gathered.eval()(images), atol=1e-12)


def test_sums_of_bfloat16_are_taken_in_float32(alone):
    images = 100 + torch.randn(4, 4, 64, 64).bfloat16()
    output = GatheredBatchNorm(4)(images)
    assert output.dtype == torch.bfloat16
    assert abs(float(output.detach().float().mean())) < 0.05


def test_norms_are_replaced_under_their_names():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(4))
    names = list(model.state_dict())
    assert synchronize_norms(model, ProcessGroup(CPU))[1].__class__ is nn.BatchNorm2d
    synchronize_norms(model, ProcessGroup(CPU, rank=0, size=2, local_size=2))
    assert isinstance(model[1], GatheredBatchNorm)
    assert list(model.state_dict()) == names
