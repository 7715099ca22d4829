"""Losses against slow second derivations in float64, and that they add up over batches."""

import numpy as np
import pytest
import torch
from small_training import recipe

from erfscope.datasets import IGNORE
from erfscope.errors import TrainError
from erfscope.train.losses import Loss, cross_entropy, dice, hard_pixels, reduce_label
from erfscope.train.network.auxiliary import total_loss

CLASSES = 4


def batch(count=3, size=(5, 7), seed=0, void=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, CLASSES, *size, generator=generator, dtype=torch.float64)
    label = torch.randint(0, CLASSES, (count, *size), generator=generator)
    label[torch.rand(label.shape, generator=generator) < void] = IGNORE
    return logits, label


def loss(**fields):
    return Loss.from_recipe(recipe(loss=fields).loss, CLASSES, torch.device("cpu"), torch.float64)


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def slow_cross_entropy(logits, label, weights):
    total = 0.0
    for n, y, x in np.ndindex(*label.shape):
        if label[n, y, x] != IGNORE:
            klass = int(label[n, y, x])
            total -= weights[klass] * np.log(softmax(logits[n, :, y, x].numpy())[klass])
    return total / label.numel()


def slow_dice(logits, label, weights):
    losses = []
    for n in range(len(label)):
        for klass in range(CLASSES):
            common = sizes = 0.0
            for y, x in np.ndindex(*label.shape[1:]):
                if label[n, y, x] != IGNORE:
                    p, t = softmax(logits[n, :, y, x].numpy())[klass], float(label[n, y, x] == klass)
                    common, sizes = common + p * t, sizes + p**2 + t**2
            losses.append(weights[klass] * (1 - (2 * common + 1) / (sizes + 1)))
    return np.mean(losses)


@pytest.mark.parametrize("weights", [(), (0.5, 1.0, 2.0, 0.0)])
def test_cross_entropy_and_dice(weights):
    logits, label = batch()
    each = weights or (1.0,) * CLASSES
    both = loss(cross_entropy=0.7, dice=3.0, class_weights=weights)(logits, label)
    expected = 0.7 * slow_cross_entropy(logits, label, each) + 3.0 * slow_dice(logits, label, each)
    assert float(both) == pytest.approx(expected, rel=1e-12)


def test_dice_without_void_is_mmsegmentations():
    """binary_dice_loss for each class, with all pixels valid: its sums then agree with ours."""
    logits, label = batch(void=0.0)
    shares = logits.softmax(1)
    losses = []
    for klass in range(CLASSES):
        p, t = shares[:, klass].flatten(1), (label == klass).flatten(1).double()
        losses.append(1 - (2 * (p * t).sum(1) + 1) / (p.pow(2).sum(1) + t.pow(2).sum(1) + 1))
    assert float(dice(logits, label, None)) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-12)


def test_what_an_ignored_pixel_holds_changes_nothing():
    logits, label = batch()
    other = torch.where((label == IGNORE)[:, None], logits + 5 * torch.randn_like(logits), logits)
    both = loss(dice=1.0, ohem=True, ohem_kept=5)
    assert float(both(logits, label)) == pytest.approx(float(both(other, label)), rel=1e-12)


def test_nothing_to_learn_costs_nothing():
    logits, label = batch()
    logits.requires_grad_()
    empty = torch.full_like(label, IGNORE)
    for fields in ({}, {"dice": 1.0}, {"ohem": True}):
        found = loss(**fields)(logits, empty)
        found.backward()
        assert float(found.detach()) == 0
        assert not logits.grad.any()


@pytest.mark.parametrize("fields", [{}, {"dice": 2.0}, {"class_weights": (1, 2, 3, 4)}])
def test_losses_are_means_over_images(fields):
    """So that shards of a batch add up to it, however many pixels each has that count."""
    logits, label = batch(4)
    label[0] = IGNORE
    whole = loss(**fields)(logits, label)
    parts = [loss(**fields)(logits[k : k + 2], label[k : k + 2]) for k in (0, 2)]
    assert float(whole) == pytest.approx(float(sum(parts)) / 2, rel=1e-12)


@pytest.mark.parametrize(("probability", "kept"), [(0.7, 1), (0.3, 1), (0.3, 20), (0.0, 6), (0.7, 1000)])
def test_hard_pixels(probability, kept):
    """mmsegmentation's OHEMPixelSampler, step by step."""
    logits, label = batch()
    valid = label != IGNORE
    own = np.array(
        [
            softmax(logits[n, :, y, x].numpy())[int(label[n, y, x])]
            for n, y, x in np.ndindex(*label.shape)
            if valid[n, y, x]
        ]
    )
    threshold = max(np.sort(own)[min(kept * len(label), len(own) - 1)], probability)
    expected = np.zeros(label.shape, bool)
    expected[valid.numpy()] = own < threshold
    assert np.array_equal(hard_pixels(logits, label, probability, kept).numpy(), expected)
    found = float(loss(ohem=True, ohem_probability=probability, ohem_kept=kept)(logits, label))
    assert found == pytest.approx(float((cross_entropy(logits, label, None) * torch.tensor(expected)).mean()))


def test_easy_pixels_are_left_out():
    label = batch(void=0.0)[1]
    sure = torch.nn.functional.one_hot(label, CLASSES).permute(0, 3, 1, 2) * 20.0
    sure[0, :, 0, 0] = 0.0
    assert int(hard_pixels(sure, label, 0.7, 1).sum()) >= 1
    assert bool(hard_pixels(sure, label, 0.7, 1)[0, 0, 0])
    assert int(hard_pixels(sure, label, 0.7, 1).sum()) <= 3


@pytest.mark.parametrize(
    ("full", "part", "align"), [(17, 3, True), (16, 4, False), (24, 3, False), (9, 9, True)]
)
def test_reduced_labels_lie_where_bilinear_enlarging_has_its_samples(full, part, align):
    """Coordinates reduced so are those from which enlarging gives them back, to half a pixel's rounding."""
    label = torch.arange(full * full).view(1, full, full)
    rows, columns = (
        reduce_label(each, (part, part), align_corners=align) for each in (label // full, label % full)
    )
    for places in (rows[0, :, 0], columns[0, 0]):
        small = places.double().view(1, 1, 1, -1)
        enlarged = torch.nn.functional.interpolate(
            small, size=(1, full), mode="bilinear", align_corners=align
        )
        inside = slice(full // part, -(full // part) or None) if part > 1 else slice(None)
        assert (enlarged.flatten() - torch.arange(full))[inside].abs().max() <= 0.5


def test_the_heads_losses_add_up():
    logits, label = batch(2, (8, 8))
    small = logits[..., ::2, ::2].contiguous()
    both = loss(dice=1.0)
    found = total_loss((logits, small), label, both, auxiliary_weight=0.4, align_corners=False)
    enlarged = torch.nn.functional.interpolate(small, size=(8, 8), mode="bilinear")
    expected = both(logits, label) + 0.4 * cross_entropy(enlarged, label, None).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_labels_are_reduced_on_request():
    logits, label = batch(2, (8, 8))
    small = logits[..., ::2, ::2].contiguous()
    found = total_loss((small,), label, loss(supervise="labels"), auxiliary_weight=0.0, align_corners=False)
    reduced = reduce_label(label, (4, 4), align_corners=False)
    assert float(found) == pytest.approx(float(cross_entropy(small, reduced, None).mean()), rel=1e-12)


def test_bfloat16_logits_are_judged_in_float32():
    logits, label = batch(2, (8, 8))
    found = total_loss((logits.bfloat16(),), label, loss(), auxiliary_weight=0.0, align_corners=False)
    assert found.dtype == torch.float32


def test_wrong_losses_are_refused():
    with pytest.raises(TrainError, match="3 class weights for 4 classes"):
        loss(class_weights=(1, 1, 1))
    with pytest.raises(TrainError, match="nothing to minimize"):
        loss(cross_entropy=0.0)
