"""`check_split` finds whatever would waste a training run, and names it; sound folders pass."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from small_layouts import BUILDERS, HEIGHT, OTHER_FORMS, WIDTH, labels, save

from erfscope.datasets import LAYOUTS
from erfscope.datasets.check_split import check_split, usual_splits
from erfscope.datasets.listing import Entry
from erfscope.datasets.opening import choose_split, list_split
from erfscope.errors import DatasetError
from erfscope.records.dataset_check import KINDS, SplitCheck

MakeRoot = Callable[[str], Path]
SIZE = (HEIGHT, WIDTH)
IMAGES, LABELS = "leftImg8bit/val/aachen/aachen_", "gtFine/val/aachen/aachen_"


# No labels; and a list that names images.
_WITHOUT = ("folder", "voc2012")


def cases(check: SplitCheck) -> dict[str, list[tuple[str, str]]]:
    return {finding.kind: list(finding.cases) for finding in check.findings}


@pytest.fixture
def streets(make_root: MakeRoot) -> Path:
    return make_root("cityscapes")


def look(root: Path) -> SplitCheck:
    return check_split("cityscapes", root=root, split="val", size=SIZE)


@pytest.mark.parametrize("form", [*(name for name in LAYOUTS if LAYOUTS[name].needs_root), *OTHER_FORMS])
def test_every_layouts_small_folder_is_sound(make_root: MakeRoot, form: str) -> None:
    name = form.split(":")[0]
    check = check_split(name, root=make_root(form), split="val", size=SIZE)
    assert not check.fatal
    # Few of Cityscapes' pixels make all classes; the two of VOC's four labels don't.
    assert set(cases(check)) <= {"class that never occurs"}
    assert (check.images, check.read) == (4, 4)
    assert check.smallest == check.largest == SIZE
    if LAYOUTS[name].classes:
        assert check.labels == 4
        assert sum(check.pixels) + check.ignored == 4 * HEIGHT * WIDTH
        assert sum(check.shares) == pytest.approx(1)
    else:
        assert check.pixels == ()
        assert check.ignored_share is None
    assert json.loads(json.dumps(check.summary()))["sound"] is True


@pytest.mark.parametrize("name", [name for name in LAYOUTS if not LAYOUTS[name].needs_root])
def test_drawn_scenes_are_sound(name: str) -> None:
    check = check_split(name, images=3, size=210)
    assert not check.fatal
    assert (check.root, check.images, check.read) == (None, 3, 3)
    assert sum(check.pixels) + check.ignored == 3 * 210 * 210


def test_pixels_of_each_class_are_counted(streets: Path) -> None:
    for path in streets.glob("gtFine/val/*/*_labelIds.png"):
        save(path, labels([7]))
    save(streets / f"{LABELS}000000_000019_gtFine_labelIds.png", labels([7, 26, 0]))
    check = look(streets)
    assert check.pixels[check.classes.index("road")] == 400
    assert check.pixels[check.classes.index("car")] == 40
    assert check.shares[check.classes.index("car")] == pytest.approx(40 / 440)
    assert check.images_with[check.classes.index("car")] == 1
    assert check.ignored_share == pytest.approx(40 / 480)
    assert ("sky", "") in cases(check)["class that never occurs"]
    assert len(cases(check)["class that never occurs"]) == 17


def test_files_without_their_other_half(streets: Path) -> None:
    (streets / f"{IMAGES}000000_000019_leftImg8bit.png").unlink()
    (streets / f"{LABELS}000001_000019_gtFine_labelIds.png").unlink()
    (streets / "leftImg8bit/val/bonn").rename(streets / "bonn")
    check = look(streets)
    assert (check.images, check.labels) == (1, 0)
    assert cases(check)["image without label"] == [(f"{IMAGES}000001_000019_leftImg8bit.png", "")]
    assert [what for what, _ in cases(check)["label without image"]] == [
        f"{LABELS}000000_000019_gtFine_labelIds.png",
        "gtFine/val/bonn/bonn_000000_000019_gtFine_labelIds.png",
        "gtFine/val/bonn/bonn_000000_000020_gtFine_labelIds.png",
    ]
    assert [finding.kind for finding in check.fatal] == ["image without label"]


@pytest.mark.parametrize("form", [name for name in (*BUILDERS, *OTHER_FORMS) if name not in _WITHOUT])
def test_every_layout_tells_of_files_without_their_other_half(make_root: MakeRoot, form: str) -> None:
    name, root = form.split(":")[0], make_root(form)

    def listed(place: int) -> Entry:
        entries = list_split(LAYOUTS[name], root, choose_split(LAYOUTS[name], "val")).entries
        return entries[place]

    while label := listed(1).label:  # of COCO-Stuff there are two
        (root / label).unlink()
    bare, gone = listed(1), listed(0)
    (root / gone.image).unlink()
    found = cases(check_split(name, root=root, split="val", size=SIZE))
    assert [what for what, _ in found["image without label"]] == [bare.image]
    assert [what for what, _ in found["label without image"]] == [gone.label]


def test_images_that_the_list_names_and_that_are_not_there(make_root: MakeRoot) -> None:
    root = make_root("voc2012")
    folder = root / "VOCdevkit/VOC2012"
    (folder / "JPEGImages/2007_000042.jpg").unlink()
    check = check_split("voc2012", root=root, split="val", size=SIZE)
    assert cases(check)["image not there"] == [("JPEGImages/2007_000042.jpg", "the split's list names it")]
    assert cases(check)["label without image"] == [("SegmentationClass/2007_000042.png", "")]
    assert (check.images, check.read) == (3, 3)


def test_files_that_cannot_be_read(streets: Path) -> None:
    (streets / f"{IMAGES}000000_000019_leftImg8bit.png").write_bytes(b"<html>")
    (streets / f"{LABELS}000001_000019_gtFine_labelIds.png").write_bytes(b"")
    check = look(streets)
    ((image, why),) = cases(check)["image unreadable"]
    assert image == f"{IMAGES}000000_000019_leftImg8bit.png"
    assert why.startswith("not a readable image")
    assert cases(check)["label unreadable"] == [
        (f"{LABELS}000001_000019_gtFine_labelIds.png", "the file is empty")
    ]
    assert {finding.kind for finding in check.fatal} == {"image unreadable", "label unreadable"}


def test_labels_outside_the_classes_and_of_another_size(streets: Path) -> None:
    save(streets / f"{LABELS}000000_000019_gtFine_labelIds.png", labels([7, 200]))
    save(streets / f"{LABELS}000001_000019_gtFine_labelIds.png", np.full((10, 12), 7, np.uint8))
    check = look(streets)
    ((label, why),) = cases(check)["label outside the classes"]
    assert label == f"{LABELS}000000_000019_gtFine_labelIds.png"
    assert why == "values 200 (60 px) belong to no class; expected 0 to 33, 255"
    ((label, why),) = cases(check)["label and image of different size"]
    assert why == "10×12 px, its image 12×10 px"
    # What can be counted is.
    assert sum(check.pixels) + check.ignored == 4 * 120 - 60


def test_odd_things_are_no_reason_not_to_train(streets: Path) -> None:
    save(streets / f"{LABELS}000000_000019_gtFine_labelIds.png", labels([0]))
    check = check_split("cityscapes", root=streets, split="val", size=(12, 11))
    assert not check.fatal
    found = cases(check)
    assert found["label without any class"] == [
        (f"{LABELS}000000_000019_gtFine_labelIds.png", "every pixel counts as none")
    ]
    assert len(found["image smaller than the crop"]) == 4
    assert found["image smaller than the crop"][0][1] == "12×10 px, the crop is 12×11 px"


def test_splits_that_are_empty_or_not_there(streets: Path) -> None:
    (streets / "leftImg8bit/test").mkdir()
    check = check_split("cityscapes", root=streets, split="test")
    assert [finding.kind for finding in check.fatal] == ["no images"]
    assert (check.images, check.read, check.smallest) == (0, 0, None)
    check = check_split("cityscapes", root=streets, split="train")
    ((what, why),) = cases(check)["split not there"]
    assert what == "train"
    assert "has no folder leftImg8bit/train" in why


def test_a_sample_reads_no_more_but_pairs_all(streets: Path) -> None:
    (streets / f"{LABELS}000001_000019_gtFine_labelIds.png").unlink()
    (streets / "leftImg8bit/val/bonn/bonn_000000_000020_leftImg8bit.png").write_bytes(b"")
    seen = []
    for seed in range(12):
        check = check_split("cityscapes", root=streets, split="val", images=2, seed=seed)
        assert check.read == 2
        assert "image without label" in cases(check)
        seen.append("image unreadable" in cases(check))
    assert set(seen) == {True, False}
    assert check_split("cityscapes", root=streets, split="val", images=99).read == 4


def test_progress_is_told(streets: Path) -> None:
    (streets / f"{IMAGES}000000_000019_leftImg8bit.png").write_bytes(b"")
    told: list[tuple[int, int]] = []
    opened = []

    @contextmanager
    def show(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
        opened.append((label, total))
        yield lambda done, broken: told.append((done, broken))

    check_split("cityscapes", root=streets, split="val", progress=show)
    assert opened == [("cityscapes val", 4)]
    assert told == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_what_is_asked_for_is_checked(streets: Path, tmp_path: Path) -> None:
    for wrong, message in (
        ({"name": "citiscapes"}, "did you mean cityscapes"),
        ({"split": "vall"}, "did you mean val"),
        ({"root": tmp_path / "nowhere"}, "doesn't exist"),
        ({"images": 0}, "0 images.*expected at least 1 image"),
        ({"seed": -1}, "seed -1"),
        ({"size": 0}, "at least 1 px"),
        ({"options": {"x": 1}}, "cityscapes has no options"),
    ):
        with pytest.raises(DatasetError, match=message):
            check_split(**{"name": "cityscapes", "root": streets, "split": "val", **wrong})


def test_usual_splits() -> None:
    assert usual_splits("ade20k") == ("train", "val")
    assert usual_splits("folder") == ("",)


def test_kinds_are_documented_in_order(streets: Path) -> None:
    save(streets / f"{LABELS}000000_000019_gtFine_labelIds.png", labels([0]))
    (streets / f"{LABELS}000001_000019_gtFine_labelIds.png").unlink()
    kinds = [finding.kind for finding in look(streets).findings]
    assert kinds == [kind for kind in KINDS if kind in kinds]
    assert len(kinds) > 1
