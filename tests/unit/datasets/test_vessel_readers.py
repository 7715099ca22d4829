"""STARE, CHASE_DB1, HRF and REFUGE: as downloaded and converted, with the converter's splits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_layouts import HEIGHT, WIDTH, labels, noise, save

from erfscope.datasets import ImageDataset, open_dataset
from erfscope.errors import DatasetError, ImageError

MakeRoot = Callable[[str], Path]
SIZE = (HEIGHT, WIDTH)


def open_small(name: str, root: Path, split: str = "val") -> ImageDataset:
    dataset = open_dataset(name, root=root, split=split, size=SIZE)
    assert isinstance(dataset, ImageDataset)
    return dataset


def label_of(dataset: ImageDataset, index: int = 0) -> list[int]:
    label = dataset[index].label
    assert label is not None
    return [int(value) for value in label.flatten()[:3]]


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("stare", ["stare-images/im0001.ppm", "stare-images/im0139.ppm.gz"]),
        ("chase_db1", ["Image_01L.jpg", "Image_10R.jpg"]),
        ("hrf", ["images/01_h.jpg", "images/05_dr.JPG"]),
    ],
)
def test_downloads_are_split_as_by_the_converter(make_root: MakeRoot, name: str, images: list[str]) -> None:
    root = make_root(name)
    training = open_small(name, root, "train")
    assert list(training.names) == images
    assert training.describe()["split"] == "training"
    assert not set(images) & set(open_small(name, root).names)


@pytest.mark.parametrize("name", ["stare", "chase_db1", "hrf"])
@pytest.mark.parametrize("form", ["", ": converted"])
def test_the_first_observer_counts(make_root: MakeRoot, name: str, form: str) -> None:
    dataset = open_small(name, make_root(name + form))
    # The second observer of these files has drawn nothing.
    assert all(label_of(dataset, index) == [0, 1, 1] for index in range(4))
    assert dataset.classes == ("background", "vessel")


@pytest.mark.parametrize(("form", "gone"), [("stare", "labels-ah"), ("stare: converted", "*/*.ah.png")])
def test_observers_are_not_mixed(make_root: MakeRoot, form: str, gone: str) -> None:
    root = make_root(form)
    masks = sorted(root.glob(f"{gone}/*") if form == "stare" else root.glob(f"annotations/{gone}"))
    masks[-1].unlink()
    dataset = open_small("stare", root)
    assert dataset.unlabeled == dataset.names[-1:]
    for mask in masks[:-1]:
        mask.unlink()
    dataset = open_small("stare", root)
    assert not dataset.unlabeled
    assert label_of(dataset) == [0, 0, 0]


def test_stare_lies_in_one_folder_or_several_packed_or_not(make_root: MakeRoot, tmp_path: Path) -> None:
    root, flat = make_root("stare"), tmp_path / "flat"
    flat.mkdir()
    for path in root.rglob("*.*"):
        shutil.copy(path, flat)
    save(flat / "im0163.ppm", noise(99))  # beside im0163.ppm.gz, from which it was unpacked
    dataset = open_small("stare", flat)
    assert dataset.names == ("im0162.ppm", "im0163.ppm", "im0240.ppm", "im0324.ppm.gz")
    assert all(label_of(dataset, index) == [0, 1, 1] for index in range(4))


def test_hrf_from_six_archives(make_root: MakeRoot) -> None:
    root = make_root("hrf")
    (root / "images").rename(root / "healthy")
    (root / "manual1").rename(root / "healthy_manualsegm")
    dataset = open_small("hrf", root)
    assert dataset.names[0] == "healthy/06_dr.JPG"
    assert label_of(dataset) == [0, 1, 1]


def test_converted_masks_must_be_zeros_and_ones(make_root: MakeRoot) -> None:
    root = make_root("hrf: converted")
    save(root / "annotations/validation/x0.png", labels([0, 255]))
    with pytest.raises(ImageError, match=r"x0\.png: values 255 \(60 px\) .* expected 0 to 1;"):
        open_small("hrf", root)[0]


@pytest.mark.parametrize("name", ["stare", "chase_db1", "hrf", "refuge"])
def test_other_folders_are_told_what_is_expected(tmp_path: Path, name: str) -> None:
    save(tmp_path / "photo.png", noise(0))
    with pytest.raises(DatasetError, match=r"no folder images/validation.*--root.*annotations/\{split\}"):
        open_small(name, tmp_path)
    (tmp_path / "images/training").mkdir(parents=True)
    with pytest.raises(DatasetError, match="no folder images/validation"):
        open_small(name, tmp_path)


def test_refuge_masks_are_gray_levels_as_downloaded(make_root: MakeRoot) -> None:
    root = make_root("refuge")
    dataset = open_small("refuge", root)
    assert dataset.classes == ("background", "Optic Cup", "Optic Disc")
    assert label_of(dataset) == [0, 2, 1]
    assert label_of(open_small("refuge", make_root("refuge: converted"))) == [0, 1, 2]
    mask = root / "REFUGE-Validation400-GT/Disc_Cup_Masks/V0000.bmp"
    save(mask, labels([255, 127]))
    with pytest.raises(ImageError, match=r"V0000\.bmp: values 127 .* expected 0, 128, 255;"):
        dataset[0]


def test_refuge_training_images_lie_in_folders_by_finding(make_root: MakeRoot) -> None:
    dataset = open_small("refuge", make_root("refuge"), "train")
    assert dataset.names[0] == "Training400/Glaucoma/n0001.jpg"
    assert len(dataset) == 4
    assert label_of(dataset) == [0, 0, 0]
    with pytest.raises(DatasetError, match="nor one with test in its name"):
        open_small("refuge", make_root("refuge"), "test")
