"""One step: what moves, by how much, and that passes add up to a batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from same_outputs import assert_same_outputs
from small_training import recipe
from torch import nn

from erfscope.errors import TrainError
from erfscope.system.process_group import ProcessGroup
from erfscope.system.signals import Stop
from erfscope.train.network.auxiliary import TrainedNetwork, make_auxiliary
from erfscope.train.optimizer import freeze_unread, set_training
from erfscope.train.trainer import Trainer
from erfscope.train.training_setup import make_batches, make_state, open_setup

CPU = ProcessGroup(torch.device("cpu"))
EXACT = {"precision": "float64"}
#: What makes the gradient of a batch the mean of its images' gradients.
ADDITIVE = {"dropout": 0.0, "batch_norm": "frozen"}


def started(**sections):
    setup = open_setup(recipe(**sections))
    return Trainer(setup, CPU, Path("unused"), Stop()), make_batches(setup, CPU, 0)


def trained(steps=3, **sections):
    trainer, batches = started(**sections)
    losses = []
    for _ in range(steps):
        losses.append(float(trainer.step(batches)))
        trainer.state.iteration += 1
    return trainer, losses


def state(trainer):
    return {name: tensor.clone() for name, tensor in trainer.state.model.state_dict().items()}


def assert_close(one, other, tolerance):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert (tensor - other[name]).abs().max() <= tolerance, name


@pytest.mark.slow
def test_passes_add_up_to_a_batch():
    """Two passes of two images are one of four, to the rounding of float64 after five steps."""
    sections = {"network": {**ADDITIVE, "auxiliary_weight": 0.4, "auxiliary_map": 1}, "loss": {"dice": 1.0}}
    whole, whole_losses = trained(5, **sections, run={**EXACT, "batch_size": 4})
    parts, parts_losses = trained(5, **sections, run={**EXACT, "batch_size": 2, "accumulate": 2})
    assert whole_losses == pytest.approx(parts_losses, rel=1e-10)
    assert_close(state(whole), state(parts), 1e-10)
    assert whole_losses[-1] != whole_losses[0]


@pytest.mark.slow
def test_sgd_is_the_rule_itself():
    """v ← 0.9 v + (g + decay · w), w ← w − lr · v, for a weight of the head and one of the backbone."""
    names = ("head.conv_seg.weight", "backbone.layer3.linear_conv.conv.weight")
    plan = {"network": ADDITIVE, "run": EXACT, "schedule": {"policy": "constant"}}
    trainer, batches = started(**plan)
    network = trainer.state.model.network
    name_of = {"head.conv_seg.weight": f"{network.head_name}.conv_seg.weight"}
    watched = {name: dict(network.named_parameters())[name_of.get(name, name)] for name in names}
    weights = {name: p.detach().clone() for name, p in watched.items()}
    speeds = {name: torch.zeros_like(w) for name, w in weights.items()}
    for _ in range(3):
        images, labels = next(batches)
        for name, parameter in watched.items():  # at the same weights, before the step
            trainer.state.model.zero_grad()
            set_training(trainer.state.model, trainer.recipe.network)
            trainer.batch_loss(images, labels).backward()
            speeds[name] = 0.9 * speeds[name] + parameter.grad + 5e-4 * weights[name]
            weights[name] = weights[name] - 0.05 * speeds[name]
        trainer.state.model.zero_grad()
        trainer.step(iter([(images, labels)]))
        trainer.state.iteration += 1
        for name, parameter in watched.items():
            assert (parameter - weights[name]).abs().max() < 1e-12


def test_groups():
    trainer, _ = started(
        optimizer={"decay_norms": False, "head_lr_factor": 10.0, "lr": 0.1, "weight_decay": 0.01},
        network={"auxiliary_weight": 0.4, "auxiliary_map": 0},
    )
    groups = trainer.state.optimizer.param_groups
    told = {id(p): (group["base_lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(told) == len(list(trainer.state.model.parameters()))
    for name, parameter in trainer.state.model.named_parameters():
        lr, decay = told[id(parameter)]
        assert lr == pytest.approx(0.1 if name.startswith("network.backbone.") else 1.0), name
        is_norm_or_bias = ".bn" in name or "norm" in name or name.endswith("bias")
        assert decay == (0.0 if is_norm_or_bias else 0.01), name


def test_the_rate_follows_the_schedule():
    trainer, _ = trained(3, optimizer={"head_lr_factor": 10.0}, schedule={"iterations": 8, "min_lr": 0.0})
    rates = sorted({group["lr"] for group in trainer.state.optimizer.param_groups})
    assert rates == pytest.approx([0.05 * (1 - 2 / 8) ** 0.9, 0.5 * (1 - 2 / 8) ** 0.9])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_other_optimizers_learn(name):
    _, losses = trained(6, optimizer={"name": name, "lr": 1e-3}, schedule={"policy": "constant"})
    assert losses[-1] < losses[0]


def test_gradients_are_clipped():
    """With a norm of almost nothing, nothing moves but by momentum's and decay's almost nothing."""
    trainer, batches = started(
        optimizer={"clip_norm": 1e-9, "weight_decay": 0.0}, network={"batch_norm": "frozen"}
    )
    before = state(trainer)
    trainer.step(batches)
    assert_close(before, state(trainer), 1e-9)


def test_a_frozen_backbone_stays():
    trainer, batches = started(network={"freeze_backbone": True})
    before = state(trainer)
    for _ in range(2):
        trainer.step(batches)
    after = state(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(name.startswith("network.backbone.") for name in moved)


def test_frozen_batch_norms_stay():
    trainer, batches = started(network={"batch_norm": "frozen"})
    before = state(trainer)
    for _ in range(2):
        trainer.step(batches)
    after = state(trainer)
    norms = {name for name in before if ".bn." in name}
    assert norms
    assert all(torch.equal(before[name], after[name]) for name in norms)
    assert any(not torch.equal(before[name], after[name]) for name in before.keys() - norms)


def test_trained_batch_norms_move():
    trainer, _ = trained(1)
    norm = next(m for m in trainer.state.model.modules() if isinstance(m, nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) == 1
    assert norm.running_mean.any()


def test_what_nothing_reads_gets_no_gradient():
    """U-Net's decoder, where ASPP reads the deepest map."""
    unet = {"model": "unet-aspp", "backbone": "unet-s5-d16", "options": {"reads": "deepest"}, "rates": [1]}
    plan = recipe(network=unet)
    network = open_setup(plan).network
    freeze_unread(TrainedNetwork(network, None), (48, 48))
    rest = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert rest == {name for name, _ in network.named_parameters() if name.startswith("backbone.decoder.")}
    assert all(parameter.grad is None for parameter in network.parameters())


def test_nothing_to_train_is_refused():
    plan = recipe(network={"freeze_backbone": True})
    setup = open_setup(plan)
    setup.network.requires_grad_(False)
    with pytest.raises(TrainError, match="all parameters are frozen"):
        make_state(setup, CPU)


def test_dropout():
    trainer, _ = started(network={"model": "fcn", "backbone": "resnet18", "dropout": 0.3})
    assert {m.p for m in trainer.state.model.modules() if isinstance(m, nn.Dropout2d)} == {0.3}
    trainer, _ = started(network={"model": "fcn", "backbone": "resnet18", "dropout": 0.0})
    assert {m.p for m in trainer.state.model.modules() if isinstance(m, nn.Dropout2d)} == {0.0}


def test_dropout_is_a_steps_own():
    """The same step draws the same, whatever torch's generator was at."""
    runs = []
    for seed in (1, 2):
        trainer, batches = started(network={"model": "fcn", "backbone": "resnet18", "dropout": 0.5})
        torch.manual_seed(seed)
        runs.append([float(trainer.step(batches)) for _ in range(2)])
    assert runs[0] == runs[1]


def test_the_average():
    """w ← 0.8 w̄ + 0.2 w, from the first step's weights on; batch norm's statistics, too."""
    trainer, batches = started(run={**EXACT, "ema": 0.8})
    expected = None
    for _ in range(4):
        trainer.step(batches)
        now = {
            n: t.clone() for n, t in trainer.state.model.network.state_dict().items() if t.is_floating_point()
        }
        expected = now if expected is None else {n: 0.8 * expected[n] + 0.2 * now[n] for n in now}
        trainer.state.iteration += 1
    found = trainer.state.network.state_dict()
    assert trainer.state.network is not trainer.state.model.network
    for name, tensor in expected.items():
        assert (found[name] - tensor).abs().max() < 1e-12, name


def test_bfloat16_is_mixed():
    trainer, losses = trained(2, run={"precision": "bfloat16"})
    _, exact = trained(2)
    assert {p.dtype for p in trainer.state.model.parameters()} == {torch.float32}
    assert losses == pytest.approx(exact, rel=0.05)
    assert losses != exact


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_changes_only_bits(channels_last):
    trainer, losses = trained(2, run={"channels_last": channels_last})
    _, exact = trained(2, run=EXACT)
    weight = next(p for p in trainer.state.model.parameters() if p.ndim == 4)
    assert weight.shape == (16, 3, 3, 3)
    assert weight.is_contiguous() is not channels_last
    assert losses == pytest.approx(exact, rel=1e-4)  # of float32, through the norms of a batch of two


def test_an_auxiliary_head_reads_its_map_and_is_left_behind():
    trainer, losses = trained(2, network={"auxiliary_weight": 0.4, "auxiliary_map": 1})
    plain, _ = trained(2)
    assert losses[0] > 0
    assert trainer.state.model.auxiliary.conv_seg.out_channels == 5
    assert trainer.state.model.network.state_dict().keys() == plain.state.model.network.state_dict().keys()
    width = trainer.state.model.network.backbone.channels[1]
    assert trainer.state.model.auxiliary.convs[0].conv.in_channels == width
    assert trainer.state.model.auxiliary.convs[0].conv.out_channels == width // 4


@pytest.mark.parametrize("index", [9, -9])
def test_an_auxiliary_head_needs_its_map(index):
    plan = recipe(network={"auxiliary_weight": 0.4, "auxiliary_map": index})
    with pytest.raises(TrainError, match=f"can't read map {index}: the backbone gives 3 maps"):
        make_auxiliary(open_setup(plan).network, plan.network, 5, 0)


def test_seeds_differ_in_weights_and_order():
    one, other = (trained(1, run={"seed": seed})[1] for seed in (0, 1))
    assert one != other
    assert one == trained(1, run={"seed": 0})[1]


def test_upsampled_logits_are_the_networks_own():
    """What is trained is what the network later returns: its forward, resized as it does it."""
    trainer, batches = started(network={"model": "deeplabv3", "backbone": "resnet18", "rates": [1, 2, 3]})
    images, _ = next(batches)
    network = trainer.state.model.eval().network
    own = trainer.state.model(images)[0]
    enlarged = nn.functional.interpolate(own, size=images.shape[-2:], mode="bilinear", align_corners=True)
    assert_same_outputs(enlarged, network(images))


def test_plain_recipes_are_frozen():
    with pytest.raises(AttributeError):
        recipe().run.seed = 3
    assert replace(recipe().run, seed=3).seed == 3
