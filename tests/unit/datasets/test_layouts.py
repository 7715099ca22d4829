"""Every layout goes through this tester; listing one in LAYOUTS is enough."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_layouts import OTHER_FORMS

from erfscope.datasets import IGNORE, LAYOUTS, ImageDataset, open_dataset
from erfscope.datasets.labels import OUTSIDE

SIZE = (16, 20)
# Some scenes need room.
SIZES = {"synthetic-context": (204, 210)}

Opener = Callable[..., ImageDataset]


@pytest.fixture(params=[*LAYOUTS, *OTHER_FORMS])
def opened(request: pytest.FixtureRequest, make_root: Callable[[str], Path]) -> Opener:
    """Open the layout under test on its small folder, at a small size."""
    name = request.param.split(":")[0]
    root = make_root(request.param) if LAYOUTS[name].needs_root else None

    def open_(**options: Any) -> ImageDataset:
        if root is None and "images" not in options:
            options["images"] = 4
        return open_dataset(name, **{"root": root, "size": SIZES.get(name, SIZE), **options})

    return open_


def test_names_are_sorted_and_unique(opened: Opener) -> None:
    dataset = opened()
    assert len(dataset) == len(dataset.names) == len(dataset.sequences) == 4
    assert list(dataset.names) == sorted(set(dataset.names))
    assert not any("\\" in name or name.startswith("/") for name in dataset.names)


def test_samples_have_the_promised_form(opened: Opener) -> None:
    dataset = opened()
    assert dataset.size == SIZES.get(dataset.name, SIZE)
    for index, name in enumerate(dataset.names):
        sample = dataset[index]
        assert sample.name == name
        assert sample.image.shape == (3, *dataset.size)
        assert sample.image.dtype == torch.float32
        assert sample.image.is_contiguous()
        if not dataset.classes:
            assert sample.label is None
            continue
        assert sample.label is not None
        assert sample.label.shape == dataset.size
        assert sample.label.dtype == torch.int64
        values = set(sample.label.unique().tolist())
        assert values <= {*range(len(dataset.classes)), IGNORE}
        assert values - {IGNORE}
    assert not dataset.unlabeled or not dataset.classes


def test_past_the_end_is_an_index_error(opened: Opener) -> None:
    with pytest.raises(IndexError):
        opened()[4]


@pytest.mark.parametrize("fit", ["center-crop", "resize", "random-crop"])
def test_same_samples_each_time_and_after_pickling(opened: Opener, fit: str) -> None:
    first, second = opened(fit=fit), opened(fit=fit)
    third = pickle.loads(pickle.dumps(first))
    assert first.names == second.names == third.names
    for index in (3, 0):
        assert torch.equal(first[index].image, second[index].image)
        assert torch.equal(first[index].image, third[index].image)


def test_description_is_json(opened: Opener) -> None:
    dataset = opened(images=3, seed=5, mean=(0, 0, 0), std=(1, 1, 1))
    described = json.loads(json.dumps(dataset.describe()))
    assert described == dataset.describe()
    assert described.pop("options", {}) == LAYOUTS[dataset.name].options
    root, split, available = (described.pop(key) for key in ("root", "split", "available"))
    assert described == {
        "name": dataset.name,
        "size": list(dataset.size),
        "fit": "center-crop",
        "seed": 5,
        "images": 3,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "channel_order": "rgb",
    }
    layout = LAYOUTS[dataset.name]
    assert (root is not None) == layout.needs_root
    assert split in layout.splits if layout.splits else split is None
    assert available == (4 if layout.needs_root else 3)


def test_subsets_are_seeded_and_in_order(opened: Opener) -> None:
    full = opened().names
    subsets = [opened(images=2, seed=seed).names for seed in range(10)]
    assert subsets == [opened(images=2, seed=seed).names for seed in range(10)]
    for names in subsets:
        assert list(names) == sorted(names)
        assert set(names) <= set(full)
    # Ten equal draws of 2 out of 4 happen once in 6^9; synthetic images are counted, not drawn from a list.
    drawn = not LAYOUTS[opened().name].needs_root
    assert len(set(subsets)) == 1 if drawn else len(set(subsets)) > 1


def test_labels_can_be_left_unread(opened: Opener) -> None:
    with_labels, without = opened(), opened(labels=False)
    assert without[1].label is None
    assert without.unlabeled == without.names
    assert torch.equal(without[1].image, with_labels[1].image)


def test_labels_can_be_read_alone(opened: Opener) -> None:
    source = opened().source
    (_, label), alone = source.load(2), source.load_label(2)
    assert (label is None) == (alone is None) == (not any(source.labeled))
    assert label is None or alone is None or label.tobytes() == alone.tobytes()
    assert opened(labels=False).source.load_label(2) is None


def test_default_size_is_the_layouts(opened: Opener) -> None:
    dataset = opened(size=None)
    assert dataset.size == LAYOUTS[dataset.name].size
    assert dataset[0].image.shape[1:] == dataset.size


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_describes_itself_without_opening(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout.name == name
    assert layout.summary
    assert "\n" not in layout.summary
    assert min(layout.size) >= 1
    assert len(set(layout.classes)) == len(layout.classes)
    assert set(layout.aliases.values()) <= set(layout.splits)
    # Recipes of every layout say train and val.
    assert not layout.classes or {"train", "val"} <= {*layout.splits, *layout.aliases}
    assert len(layout.classes) < OUTSIDE
    assert not (layout.needs_root and layout.options)
    assert layout.needs_root == (layout.draw is None)
    assert (layout.scenes > 0) == (layout.draw is not None)
