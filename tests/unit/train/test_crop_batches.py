"""Batches: the same from any number of workers, normalized as datasets do, and what is wrong with labels."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import AUGMENT, recipe

from erfscope.datasets import IGNORE, open_dataset
from erfscope.errors import ImageError, TrainError
from erfscope.system.process_group import ProcessGroup
from erfscope.train.crops.crop_batches import Normalizer, epoch_places, read_pair
from erfscope.train.training_setup import make_batches, open_setup

CPU = ProcessGroup(torch.device("cpu"))


@pytest.fixture
def forked():
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def streets(folder, labels=True):
    """Three street scenes as Cityscapes keeps them."""
    for kind, end in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelTrainIds")):
        (folder / kind / "train" / "a").mkdir(parents=True)
        for k in range(3):
            values = np.random.default_rng(k).integers(0, 19, (40, 60), dtype=np.uint8)
            image = Image.fromarray(values if kind == "gtFine" else np.repeat(values[..., None], 3, 2))
            if kind != "gtFine" or labels:
                image.save(folder / kind / "train" / "a" / f"a_00000{k}_000019_{end}.png")
    return folder


def test_workers_give_the_same_batches(forked):
    plan = recipe(augment=AUGMENT, schedule={"iterations": 5})
    setup = open_setup(plan)
    alone, helped = (list(make_batches(setup, CPU, workers)) for workers in (0, 2))
    assert len(alone) == 5
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert alone[0][0].shape == (2, 3, 49, 49)
    assert alone[0][1].shape == (2, 49, 49)
    assert alone[0][1].dtype == torch.int64


def test_later_batches_come_from_any_start():
    plan = recipe(augment=AUGMENT)
    setup = open_setup(plan)
    whole, rest = (list(make_batches(setup, CPU, 0, iteration)) for iteration in (0, 5))
    assert all(torch.equal(one[0], other[0]) for one, other in zip(whole[5:], rest, strict=True))


def test_images_are_normalized_as_by_the_dataset():
    plan = recipe(data={"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}, schedule={"iterations": 3})
    setup = open_setup(plan)
    samples = [setup.training[k] for k in range(6)]
    batch = [
        (image, label)
        for images, labels in make_batches(setup, CPU, 0)
        for image, label in zip(images, labels, strict=True)
    ]
    assert len(batch) == 6
    for image, label in batch:
        found = [s for s in samples if torch.equal(s.image, image) and torch.equal(s.label, label)]
        assert len(found) == 1


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format(channels_last):
    normalize = Normalizer((0, 0, 0), (1, 1, 1), torch.device("cpu"), torch.float64, channels_last)
    images = normalize(torch.randint(0, 256, (2, 5, 6, 3), dtype=torch.uint8))
    assert images.dtype == torch.float64
    assert images.is_contiguous(memory_format=torch.channels_last) is channels_last
    assert images.is_contiguous() is not channels_last


def test_what_is_kept_is_bounded():
    plan = recipe(data={"cache_mb": 0})
    setup = open_setup(plan)
    bounded = list(make_batches(setup, CPU, 0))
    for one, other in zip(bounded, make_batches(open_setup(recipe()), CPU, 0), strict=True):
        assert torch.equal(one[0], other[0])


def test_hard_images_come_more_often():
    dataset = open_dataset("synthetic-leaves", size=25, images=12, split="train")
    holding = [place for place in range(12) if (np.asarray(dataset.source.load(place)[1]) == 4).any()]
    assert 0 < len(holding) < 12
    places = epoch_places(dataset, ["background"], 3)
    assert sorted(places) == sorted([*range(12), *holding, *holding])
    assert epoch_places(dataset, [], 3) == tuple(range(12))
    with pytest.raises(TrainError, match="has no class 'tri'; it has disk, ellipse"):
        epoch_places(dataset, ["tri"], 2)


def test_an_ignored_class_has_no_pixels():
    plan = recipe(loss={"ignore_index": 1})
    labels = torch.stack([label for _, label in make_batches(open_setup(plan), CPU, 0)])
    plain = torch.stack([label for _, label in make_batches(open_setup(recipe()), CPU, 0)])
    assert (plain == 1).any()
    assert torch.equal(labels, torch.where(plain == 1, IGNORE, plain))


class Drawn:
    """A source with one image and any label."""

    names = ("a.png",)

    def __init__(self, label):
        self.label = label

    def load(self, index):
        return Image.new("RGB", (4, 4)), self.label


def test_labels_outside_the_classes_are_named():
    values = np.full((4, 4), IGNORE, np.uint8)
    values[0, :2] = 7, 5
    with pytest.raises(
        TrainError, match="label of a.png holds 5, 7; expected classes 0 to 4, or 255 for none"
    ):
        read_pair(Drawn(Image.fromarray(values)), 0, 5)
    with pytest.raises(TrainError, match="a.png has no label"):
        read_pair(Drawn(None), 0, 5)


def cityscapes(root, **sections):
    return recipe(data={"name": "cityscapes", "root": str(root), "size": 32}, **sections)


def test_images_without_labels_are_told_before_the_first_step(tmp_path):
    plan = cityscapes(streets(tmp_path, labels=False))
    setup = open_setup(replace(plan, data=replace(plan.data, images=None)))
    with pytest.raises(TrainError, match=r"3 of 3 images of cityscapes have no label \(first: .*a_000000"):
        make_batches(setup, CPU, 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_label_of_another_size_is_named(tmp_path, workers, forked):
    root = streets(tmp_path)
    path = next((root / "gtFine").rglob("*000001*"))
    Image.new("L", (10, 10)).save(path)
    plan = cityscapes(root)
    plan = replace(plan, data=replace(plan.data, images=None))
    with pytest.raises(TrainError, match="10×10 px, its image 60×40") as caught:
        list(make_batches(open_setup(plan), CPU, workers))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_image_is_an_error_of_its_own_kind(tmp_path):
    dataset = open_dataset("cityscapes", root=streets(tmp_path), split="train")
    next((tmp_path / "leftImg8bit").rglob("*000002*")).write_bytes(b"<html>")
    with pytest.raises(ImageError, match="not a readable image"):
        read_pair(dataset.source, 2, 19)
