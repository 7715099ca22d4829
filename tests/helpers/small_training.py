"""Trainings that take seconds: a small network on a few small scenes."""

from pathlib import Path

import tomli_w

from erfscope.train.recipes.fields import build
from erfscope.train.recipes.recipe import Recipe

VALUES = {
    "network": {"model": "lraspp", "backbone": "mobilenet-v3-small", "align_corners": True},
    "data": {"name": "synthetic-leaves", "size": 49, "images": 6, "val_images": 3},
    "optimizer": {"lr": 0.05},
    "schedule": {"iterations": 8},
    "run": {"batch_size": 2, "workers": 0, "save_every": 3, "log_every": 2},
}
#: All that augmentation can do.
AUGMENT = {
    "frame": [70, 50],
    "scale": [0.5, 2.0],
    "category_ratio": 0.75,
    "flip": 0.5,
    "photometric": True,
}


def values(**sections):
    """Sections of a recipe, those given changed."""
    return {
        name: {**VALUES.get(name, {}), **sections.get(name, {})} for name in VALUES.keys() | sections.keys()
    }


def recipe(**sections) -> Recipe:
    return build(Recipe, values(**sections), "a test's recipe")


def recipe_file(path: Path, **sections) -> Path:
    path.write_bytes(tomli_w.dumps(values(**sections)).encode())
    return path
