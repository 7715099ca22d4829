"""What `open_dataset` refuses, and that its message names the fact and the remedy in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_layouts import noise, save

from erfscope.datasets import IMAGENET_MEAN, Sample, open_dataset, with_preprocessing
from erfscope.errors import DatasetError, ImageError

MakeRoot = Callable[[str], Path]


def refusal(name: str, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        open_dataset(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_words_list_what_there_is(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    assert "did you mean cityscapes?" in refusal("citiscapes")
    assert "known: train, val, test" in refusal("cityscapes", root=root, split="holdout")
    assert "did you mean val?" in refusal("cityscapes", root=root, split="vall")
    assert "did you mean center-crop" in refusal("cityscapes", root=root, fit="centre-crop")
    message = refusal("qqq")
    assert "did you mean" not in message
    assert "voc2012" in message


def test_no_root_names_both_remedies() -> None:
    message = refusal("cityscapes")
    assert "--root" in message
    assert "ERFSCOPE_DATA" in message


def test_missing_root_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal("voc2012", root=tmp_path / "nowhere")
    assert f"{tmp_path / 'nowhere'} doesn't exist" in message
    assert "--root" in message
    assert "ERFSCOPE_DATA" in message
    monkeypatch.setenv("ERFSCOPE_DATA", str(tmp_path))
    assert f"{tmp_path / 'voc2012'} doesn't exist" in refusal("voc2012")
    (tmp_path / "file").write_text("")
    assert "isn't a folder" in refusal("folder", root=tmp_path / "file")


def test_root_from_the_environment(make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root("cityscapes")
    monkeypatch.setenv("ERFSCOPE_DATA", str(root.parent))
    assert len(open_dataset("cityscapes")) == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cityscapes", "leftImg8bit/val"),
        ("voc2012", "ImageSets/Segmentation"),
        ("ade20k", "images/validation"),
    ],
)
def test_wrong_root_names_the_expected_folder(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "something").mkdir()
    message = refusal(name, root=tmp_path)
    assert expected in message
    assert "--root" in message


def test_wrong_root_says_what_it_holds(make_root: MakeRoot) -> None:
    assert "it holds gtFine, leftImg8bit" in refusal("cityscapes", root=make_root("cityscapes"), split="test")


def test_empty_split_and_empty_folder(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root("cityscapes")
    (root / "leftImg8bit/test").mkdir()
    assert "split test" in refusal("cityscapes", root=root, split="test")
    (tmp_path / "empty").mkdir()
    message = refusal("folder", root=tmp_path / "empty")
    assert "holds no images" in message
    assert "jpg jpeg png" in message


@pytest.mark.parametrize("images", [0, -1, 5])
def test_more_images_than_there_are(make_root: MakeRoot, images: int) -> None:
    assert "ask for 1 to 4" in refusal("folder", root=make_root("folder"), images=images)


@pytest.mark.parametrize("images", [0, 100_001])
def test_number_of_drawn_images(images: int) -> None:
    assert "ask for 1 to 100000" in refusal("synthetic-leaves", images=images)


@pytest.mark.parametrize("size", [0, -3, (0, 5), (4, 5, 6), (4,), 2.5, "ab"])
def test_sizes(size: Any) -> None:
    assert refusal("synthetic-leaves", size=size).startswith(f"size {size}")


def test_side_or_pair(make_root: MakeRoot) -> None:
    root = make_root("folder")
    assert open_dataset("folder", root=root, size=5).size == (5, 5)
    assert open_dataset("folder", root=root, size=[4, np.int64(6)])[0].image.shape == (3, 4, 6)


def test_seed_mean_and_std() -> None:
    assert "at least 0" in refusal("synthetic-leaves", seed=-1)
    assert "mean" in refusal("synthetic-leaves", mean=(0.5, 0.5))
    assert "mean" in refusal("synthetic-leaves", mean=(0.5, 0.5, float("nan")))
    assert "positive" in refusal("synthetic-leaves", std=(1, 1, 0))


def test_normalization_is_per_channel_in_rgb_order(tmp_path: Path) -> None:
    pixels = noise(0)
    save(tmp_path / "x.png", pixels)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    image = open_dataset("folder", root=tmp_path, size=(12, 10), mean=mean, std=std)[0].image
    expected = (pixels / 255 - np.array(mean)) / np.array(std)
    # Three float32 roundings of numbers up to 2.
    assert np.abs(image.permute(1, 2, 0).double().numpy() - expected).max() < 1e-6


def test_label_of_another_size(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    path = root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png"
    save(path, np.zeros((10, 12), np.uint8))
    dataset = open_dataset("cityscapes", root=root)
    with pytest.raises(ImageError, match=r"labelIds\.png: the label is 12×10 px, its image 10×12"):
        dataset[0]
    assert open_dataset("cityscapes", root=root, labels=False)[0].label is None


def test_random_crops_don_t_depend_on_the_subset(make_root: MakeRoot) -> None:
    root = make_root("folder")
    full = open_dataset("folder", root=root, size=4, fit="random-crop", seed=3)
    part = open_dataset("folder", root=root, size=4, fit="random-crop", seed=3, images=2)
    for index, name in enumerate(part.names):
        assert torch.equal(part[index].image, full[full.names.index(name)].image)


def listed(dataset: Any) -> list[Any]:
    return [dataset.names, dataset.describe(), [sample.image.tolist() for sample in dataset]]


@pytest.mark.parametrize("name", ["cityscapes", "synthetic-leaves"])
def test_preprocessing_is_applied_without_listing_again(
    make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = make_root(name) if name == "cityscapes" else None
    given: dict[str, Any] = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "channel_order": "bgr"}
    opened = open_dataset(name, root=root, images=2, size=24)
    expected = open_dataset(name, root=root, images=2, size=(20, 28), **given)
    monkeypatch.setattr("erfscope.datasets.opening.list_split", None)
    changed = with_preprocessing(opened, size=(20, 28), **given)
    assert listed(changed) == listed(expected)
    assert listed(with_preprocessing(opened)) == listed(opened)


def test_preprocessing_is_checked_as_when_opening(make_root: MakeRoot) -> None:
    files = open_dataset("cityscapes", root=make_root("cityscapes"))
    synthetic = open_dataset("synthetic-context", images=1)
    for images, change, message in (
        (files, {"mean": (0.1, 0.2)}, "expected three numbers"),
        (files, {"std": (0.1, 0.2, 0)}, "expected three positive numbers"),
        (files, {"channel_order": "gbr"}, "no channel order 'gbr'"),
        (files, {"size": 0}, "at least 1 px a side"),
        (synthetic, {"size": 8}, "enlarge the images"),
    ):
        with pytest.raises(DatasetError, match=message):
            with_preprocessing(images, **change)


def test_a_plugin_is_called_again_only_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def gray(mean: Any = None, size: Any = None) -> list[Sample]:
        calls.append((mean, size))
        return [Sample(torch.zeros(3, *(size or (8, 9))), None, "gray")]

    monkeypatch.setattr("erfscope.plugins.names", lambda group: ["gray"])
    monkeypatch.setattr("erfscope.plugins.load", lambda group, name: gray)
    opened = open_dataset("gray")
    assert with_preprocessing(opened, channel_order="rgb", mean=IMAGENET_MEAN) is opened
    assert with_preprocessing(opened, size=(4, 5)).size == (4, 5)
    with pytest.raises(DatasetError, match="takes no std"):
        with_preprocessing(opened, std=(1, 1, 1))
    assert calls == [(IMAGENET_MEAN, None), (IMAGENET_MEAN, (4, 5))]
