"""What `make_mmsegmentation_scores.py` and the tests that read its file both score: the same by rule."""

import numpy as np
import torch
from torch.nn import functional as F

IGNORE = 255
#: By name: classes, those that never occur in a label, those that are never predicted.
SCORED = {
    "all": (5, (), ()),
    "one class": (1, (), ()),
    "two": (2, (), ()),
    "absent from both": (5, (1, 4), (1, 4)),
    "not in labels": (5, (2,), ()),
    "not predicted": (5, (), (0, 3)),
    "never right": (4, (1,), (2,)),
    "many": (19, (7, 11), (11, 12)),
}
SIZE, CLASSES, CROP, STRIDE = (23, 31), 3, (16, 12), (11, 7)
#: By name: mode, scales, flip.
RUNS = {
    "whole": ("whole", (1.0,), False),
    "slide": ("slide", (1.0,), False),
    "scales": ("whole", (0.5, 1.0, 1.75), False),
    "flip": ("whole", (1.0,), True),
    "all": ("slide", (0.75, 1.0, 1.5), True),
}


def label_pairs(name):
    """Return three (prediction, label) of different sizes, uint8, one pixel in six without a class."""
    classes, not_in_labels, not_predicted = SCORED[name]
    rng = np.random.default_rng(len(name) + classes)
    pairs = []
    for size in ((11, 17), (16, 16), (1, 40)):
        label = rng.choice([k for k in range(classes) if k not in not_in_labels], size)
        guess = rng.choice([k for k in range(classes) if k not in not_predicted], size)
        allowed = ~np.isin(label, not_predicted)
        predicted = np.where(allowed & (rng.random(size) < 0.5), label, guess)
        label[rng.random(size) < 1 / 6] = IGNORE
        pairs.append((predicted.astype(np.uint8), label.astype(np.uint8)))
    return pairs


def image():
    """Return a smooth (H, W, 3) float32 image."""
    noise = np.random.default_rng(7).standard_normal((*SIZE, 3)).astype(np.float32)
    return (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)).astype(np.float32)


def logits(images):
    """Map (N, 3, H, W) to logits (N, K, h, w) at half the size, by a convolution that is not symmetric."""
    weight = np.random.default_rng(8).standard_normal((CLASSES, 3, 3, 3)).astype(np.float32)
    return F.conv2d(images, torch.from_numpy(weight), stride=2, padding=1)
