"""What each layout says about its folders, labels and sequences."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_layouts import HEIGHT, OTHER_FORMS, WIDTH, labels, noise, save

from erfscope.datasets import IGNORE, LAYOUTS, ImageDataset, open_dataset
from erfscope.errors import DatasetError, ImageError

MakeRoot = Callable[[str], Path]
SIZE = (HEIGHT, WIDTH)
GOLDEN = Path(__file__).parents[2] / "golden"
ENDS = ["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "ppm", "pgm", "JPG", "Png"]

# (label id, train id) as the dataset's authors list them, from road to bicycle.
CITYSCAPES_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def label_of(dataset: ImageDataset, index: int) -> list[int]:
    label = dataset[index].label
    assert label is not None
    return [int(value) for value in label.flatten()]


def test_cityscapes_maps_34_ids_to_19(make_root: MakeRoot) -> None:
    dataset = open_dataset("cityscapes", root=make_root("cityscapes"), size=SIZE)
    expected = [CITYSCAPES_IDS.index(k) if k in CITYSCAPES_IDS else IGNORE for k in range(34)]
    assert label_of(dataset, 0)[:34] == expected
    assert len(dataset.classes) == 19
    assert dataset.classes[0] == "road"
    assert dataset.classes[13] == "car"
    assert dataset.classes[18] == "bicycle"


def test_cityscapes_takes_train_ids_where_there_are_no_ids(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    city = root / "gtFine/val/aachen"
    save(city / "aachen_000000_000019_gtFine_labelTrainIds.png", labels([3]))  # ids stand beside it
    (city / "aachen_000001_000019_gtFine_labelIds.png").unlink()
    save(city / "aachen_000001_000019_gtFine_labelTrainIds.png", labels([0, 18, 255]))
    dataset = open_dataset("cityscapes", root=root, size=SIZE)
    assert label_of(dataset, 0)[7] == 0
    assert label_of(dataset, 1)[:3] == [0, 18, IGNORE]


def test_cityscapes_ids_are_legitimate_and_others_are_not(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    stem = root / "gtFine/val/aachen/aachen_000000_000019_gtFine"
    dataset = open_dataset("cityscapes", root=root, size=SIZE)
    save(Path(f"{stem}_labelIds.png"), labels([7, 200, 34]))
    with pytest.raises(ImageError, match=r"labelIds\.png: values 34 \(40 px\), 200 \(40 px\) belong to no"):
        dataset[0]
    Path(f"{stem}_labelIds.png").unlink()
    # A train id beyond the classes is a mistake, also the 19 that some use for what isn't labeled.
    save(Path(f"{stem}_labelTrainIds.png"), labels([0, 19]))
    with pytest.raises(ImageError, match=r"values 19 .* expected 0 to 18, 255"):
        open_dataset("cityscapes", root=root, size=SIZE)[0]


def test_cityscapes_sequences_are_city_and_drive(make_root: MakeRoot) -> None:
    dataset = open_dataset("cityscapes", root=make_root("cityscapes"))
    assert dataset.sequences == ("aachen_000000", "aachen_000001", "bonn_000000", "bonn_000000")
    assert dataset.names[0] == "leftImg8bit/val/aachen/aachen_000000_000019_leftImg8bit.png"


def test_cityscapes_without_labels_or_with_hidden_files(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    (root / "gtFine").rename(root / "elsewhere")
    (root / "leftImg8bit/val/aachen/._aachen_000000_000019_leftImg8bit.png").write_bytes(b"\0")
    (root / "leftImg8bit/val/.cache").mkdir()
    dataset = open_dataset("cityscapes", root=root, size=SIZE)
    assert len(dataset) == 4
    assert dataset[0].label is None


@pytest.mark.parametrize("inner", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_root_may_be_any_of_three_folders(make_root: MakeRoot, inner: str) -> None:
    root = make_root("voc2012")
    dataset = open_dataset("voc2012", root=root / inner)
    assert dataset.names[0] == "JPEGImages/2007_000033.jpg"
    assert dataset.describe()["root"] == str(root / "VOCdevkit/VOC2012")


def test_voc_labels_are_palette_indices(make_root: MakeRoot) -> None:
    dataset = open_dataset("voc2012", root=make_root("voc2012"), size=SIZE)
    assert label_of(dataset, 0)[:4] == [0, 1, 20, IGNORE]
    assert len(dataset.classes) == 21
    assert dataset.classes[15] == "person"


def test_voc_list_with_missing_images(make_root: MakeRoot) -> None:
    root = make_root("voc2012")
    for stem in ("2007_000042", "2007_000123"):
        (root / f"VOCdevkit/VOC2012/JPEGImages/{stem}.jpg").unlink()
    # The list is in reverse order, so this is its first.
    with pytest.raises(DatasetError, match=r"2007_000123\.jpg isn't there \(2 of 4 missing\)"):
        open_dataset("voc2012", root=root)


def test_voc_test_split_has_no_labels(make_root: MakeRoot) -> None:
    root = make_root("voc2012")
    save(root / "VOCdevkit/VOC2012/JPEGImages/2008_000006.jpg", noise(9))
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").write_text("2008_000006\n")
    (root / "VOCdevkit/VOC2012/SegmentationClass").rename(root / "elsewhere")
    dataset = open_dataset("voc2012", root=root, split="test")
    assert dataset.names == ("JPEGImages/2008_000006.jpg",)
    assert dataset[0].label is None


def test_voc_without_the_split_file(make_root: MakeRoot) -> None:
    with pytest.raises(DatasetError, match=r"trainval\.txt can't be read.*there are: val\.txt"):
        open_dataset("voc2012", root=make_root("voc2012"), split="trainval")


def test_ade_labels_count_from_one(make_root: MakeRoot) -> None:
    root = make_root("ade20k")
    dataset = open_dataset("ade20k", root=root, size=SIZE)
    assert label_of(dataset, 0)[: HEIGHT * WIDTH] == [IGNORE, *range(HEIGHT * WIDTH - 1)]
    save(root / "annotations/validation/ADE_val_00000000.png", labels([149, 150, 255]))
    assert label_of(dataset, 0)[:3] == [148, 149, IGNORE]
    save(root / "annotations/validation/ADE_val_00000000.png", labels([149, 151]))
    with pytest.raises(ImageError, match="values 151"):
        dataset[0]


def test_ade_names() -> None:
    classes = LAYOUTS["ade20k"].classes
    assert len(classes) == 150
    # Places that the challenge's own list gives, counted from 0.
    places = {0: "wall", 12: "person", 20: "car", 44: "chest of drawers", 127: "bicycle", 149: "flag"}
    assert {k: classes[k] for k in places} == places


@pytest.mark.parametrize("name", [name for name in LAYOUTS if LAYOUTS[name].needs_root and name != "folder"])
def test_classes_are_in_mmsegmentations_order(name: str) -> None:
    # Written by tests/golden/make_dataset_classes.py from mmsegmentation 1.2.2's dataset classes.
    theirs = json.loads((GOLDEN / "dataset_classes.json").read_text())[name]
    assert list(LAYOUTS[name].classes) == theirs


@pytest.mark.parametrize("split", ["val", "validation"])
def test_ade_takes_both_words_and_the_parent_folder(make_root: MakeRoot, tmp_path: Path, split: str) -> None:
    root = make_root("ade20k").rename(tmp_path / "ADEChallengeData2016")
    for given in (root, tmp_path):
        dataset = open_dataset("ade20k", root=given, split=split)
        assert dataset.names[0] == "images/validation/ADE_val_00000000.jpg"
        assert dataset.describe()["split"] == "validation"
        assert dataset.describe()["root"] == str(root)


def build_augmented(root: Path) -> Path:
    """Add to VOC's four images with labels: 0042 in both label folders, 0500 in that of SBD alone."""
    folder = root / "VOCdevkit/VOC2012"
    save(folder / "JPEGImages/2008_000500.jpg", noise(7))
    for stem in ("2007_000042", "2008_000500"):
        save(folder / f"SegmentationClassAug/{stem}.png", labels([5]))
    (folder / "ImageSets/Segmentation/train.txt").write_text("2007_000042\n")
    return folder / "ImageSets/Segmentation"


@pytest.mark.parametrize("split", ["train_aug", "trainaug"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("trainaug.txt", ["2008_000500", "2007_000042"]),
        (
            "train_aug.txt",
            [f"/JPEGImages/{stem}.jpg /S/{stem}.png" for stem in ("2007_000042", "2008_000500")],
        ),
        ("aug.txt", ["2008_000500"]),
    ],
)
def test_voc_augmented(make_root: MakeRoot, split: str, name: str, lines: list[str]) -> None:
    root = make_root("voc2012")
    lists = build_augmented(root)
    (lists / name).write_text("\n".join(lines))
    dataset = open_dataset("voc2012", root=root, split=split, size=SIZE)
    assert dataset.names == ("JPEGImages/2007_000042.jpg", "JPEGImages/2008_000500.jpg")
    # VOC's own label, which knows what is void, goes before SBD's.
    assert label_of(dataset, 0)[:4] == [0, 1, 20, IGNORE]
    assert label_of(dataset, 1)[:4] == [5, 5, 5, 5]
    assert dataset.describe()["split"] == "train_aug"


def test_voc_augmented_without_its_list(make_root: MakeRoot) -> None:
    root = make_root("voc2012")
    build_augmented(root)
    with pytest.raises(DatasetError, match=r"aug\.txt can't be read.*there are: train\.txt, val\.txt"):
        open_dataset("voc2012", root=root, split="train_aug")


def test_coco_164k_counts_from_0_and_10k_from_1(make_root: MakeRoot) -> None:
    large = open_dataset("coco-stuff", root=make_root("coco-stuff"), size=SIZE)
    assert label_of(large, 0)[:3] == [0, 1, 2]
    small = open_dataset("coco-stuff", root=make_root("coco-stuff: 10k"), size=SIZE)
    assert label_of(small, 0)[:3] == [IGNORE, 0, 1]
    assert small.names[0].startswith("images/test2014/")


def test_coco_labels_as_shipped(make_root: MakeRoot) -> None:
    root = make_root("coco-stuff")
    for path in root.glob("annotations/*/*_labelTrainIds.png"):
        path.unlink()
    path = root / "annotations/val2017/000000000000.png"
    # person, fire hydrant (10), stop sign (12), wood (181), none: places that COCO-Stuff's own list gives.
    save(path, labels([0, 10, 12, 181, 255]))
    dataset = open_dataset("coco-stuff", root=root, size=SIZE)
    assert label_of(dataset, 0)[:5] == [0, 10, 11, 170, IGNORE]
    assert [dataset.classes[k] for k in (0, 10, 11, 170)] == ["person", "fire hydrant", "stop sign", "wood"]
    save(path, labels([0, 11]))  # street sign, of which COCO has none
    with pytest.raises(ImageError, match="values 11 "):
        dataset[0]


def test_coco_with_both_releases(make_root: MakeRoot) -> None:
    root = make_root("coco-stuff")
    OTHER_FORMS["coco-stuff: 10k"](root)
    with pytest.raises(DatasetError, match="both releases.*--split val2017 or --split test2014"):
        open_dataset("coco-stuff", root=root)
    assert open_dataset("coco-stuff", root=root, split="test2014", size=SIZE)[0].label is not None
    assert open_dataset("coco-stuff", root=root, split="val2017", size=SIZE)[0].label is not None


def test_isaid_patches_of_one_image_belong_together(make_root: MakeRoot) -> None:
    root = make_root("isaid")
    dataset = open_dataset("isaid", root=root, size=SIZE)
    assert dataset.sequences == ("P0003", "P0003", "P0004", "P0007")
    assert label_of(dataset, 0)[:17] == [*range(16), IGNORE]
    # The masks before they are converted are colors.
    save(root / "ann_dir/val/P0003_0_896_0_896_instance_color_RGB.png", noise(0))
    with pytest.raises(ImageError, match="one channel, this one is RGB"):
        dataset[0]


def test_loveda_labels_count_from_one(make_root: MakeRoot) -> None:
    dataset = open_dataset("loveda", root=make_root("loveda"), size=SIZE)
    assert label_of(dataset, 0)[:8] == [IGNORE, *range(7)]


def test_folder_takes_any_extension_and_leaves_hidden_files(make_root: MakeRoot) -> None:
    root = make_root("folder")
    for name in ("._b.png", ".thumbs/x.jpg", "a/.x.jpg", "notes.txt", "a/b/c.npy"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\0")
    dataset = open_dataset("folder", root=root, split="whatever")
    assert dataset.names == ("a.bmp", "a/b/c.tiff", "a/z.jpg", "b.PNG")
    assert dataset.sequences == dataset.names
    assert dataset.classes == ()
    assert dataset.describe()["split"] is None


@pytest.mark.parametrize("end", ENDS)
def test_folder_reads_what_it_lists(tmp_path: Path, end: str) -> None:
    pixels = np.full((HEIGHT, WIDTH), 90, np.uint8)
    save(tmp_path / f"x.{end}", pixels)
    dataset = open_dataset("folder", root=tmp_path, size=SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    values = dataset[0].image * 255
    # One level: what lossy formats may change in a flat picture.
    assert float((values - 90).abs().max()) <= 1.001


def test_folder_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "far/x.png", noise(0))
    root = tmp_path / "root"
    save(root / "sub/y.png", noise(1))
    (root / "linked").symlink_to(tmp_path / "far")
    (root / "sub/back").symlink_to(root)
    assert open_dataset("folder", root=root).names == ("linked/x.png", "sub/y.png")
