"""The learning rate against mmsegmentation's formulas and torch's own schedule."""

import pytest
import torch
from small_training import recipe

from erfscope.train.optimizer import learning_rate


def rates(base=0.01, **schedule):
    plan = recipe(schedule={"iterations": 50, **schedule}).schedule
    return [learning_rate(plan, base, iteration) for iteration in range(50)]


def test_poly_is_the_hook_of_mmcv():
    """PolyLrUpdaterHook: (base − min) · (1 − t/T)^power + min."""
    for iteration, rate in enumerate(rates(min_lr=1e-4)):
        assert rate == pytest.approx((0.01 - 1e-4) * (1 - iteration / 50) ** 0.9 + 1e-4)


def test_poly_is_the_recursion_of_mmengine():
    """PolyLR: each rate from the one before."""
    rate, found = 0.01, rates(min_lr=1e-4)
    for step in range(1, 50):
        rate = (rate - 1e-4) * (1 - 1 / (50 - step + 1)) ** 0.9 + 1e-4
        assert found[step] == pytest.approx(rate)


def test_poly_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=50, power=0.9)
    for rate in rates(min_lr=0.0):
        assert rate == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_warm_up_is_the_hook_of_mmcv():
    """Linear: rate · (1 − (1 − t/W) · (1 − ratio)), on top of the policy."""
    plain, warm = rates(), rates(warmup=10, warmup_ratio=0.1)
    for iteration in range(10):
        assert warm[iteration] == pytest.approx(plain[iteration] * (1 - (1 - iteration / 10) * (1 - 0.1)))
    assert warm[10:] == plain[10:]


def test_other_policies():
    assert rates(policy="constant") == [0.01] * 50
    steps = rates(policy="step", steps=[20, 40], step_factor=0.1)
    assert steps[:20] == [0.01] * 20
    assert steps[20:40] == pytest.approx([0.001] * 20)
    assert steps[40:] == pytest.approx([0.0001] * 10)


def test_the_floor_is_never_above_the_base():
    assert rates(base=1e-5, min_lr=1e-4) == [1e-5] * 50
