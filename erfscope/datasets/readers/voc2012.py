"""PASCAL VOC 2012 segmentation: 20 classes and background, palette labels, void at 255; also augmented."""

from pathlib import Path

from erfscope.datasets.labels import LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Entry, Listing, names_if_there, visible_names
from erfscope.errors import DatasetError

_SUMMARY = (
    "[VOCdevkit/]VOC2012/: ImageSets/Segmentation/{split}.txt, JPEGImages/*.jpg, SegmentationClass/*.png; "
    "train_aug: also SegmentationClassAug/*.png and trainaug.txt, or aug.txt"
)
_LISTS = Path("ImageSets", "Segmentation")
_AUGMENTED = "train_aug"
_LABEL_FOLDERS = ("SegmentationClass", "SegmentationClassAug")
_CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
_LABELS = LabelKind(label_map((k, k) for k in range(len(_CLASSES))))


def find(root: Path, split: str) -> Listing:
    """List the images that ImageSets/Segmentation/{split}.txt names.

    The augmented training images, train_aug, are those of trainaug.txt (or train_aug.txt), else of train.txt
    and aug.txt. Where VOC has a label of its own it is taken before that of SegmentationClassAug, as
    mmsegmentation does, for the latter lack the borders that count as void.

    Parameters
    ----------
    root
        The VOC2012 folder, or one that holds VOC2012 or VOCdevkit/VOC2012.
    split
        train, val, trainval, test or train_aug.

    Raises
    ------
    DatasetError
        If the folder or the list isn't there.
    """
    folder = _voc_folder(root)
    stems = _augmented_stems(folder) if split == _AUGMENTED else _stems(folder, split)
    images = {name for name in visible_names(folder / "JPEGImages") if name.endswith(".jpg")}
    labels = {
        name.removesuffix(".png"): f"{labels_at}/{name}"
        for labels_at in reversed(_LABEL_FOLDERS[: 2 if split == _AUGMENTED else 1])
        for name in names_if_there(folder / labels_at)
        if name.endswith(".png")
    }
    return Listing(
        folder,
        [_entry(stem, labels.get(stem)) for stem in stems if f"{stem}.jpg" in images],
        stray_labels=[path for stem, path in labels.items() if f"{stem}.jpg" not in images],
        missing_images=[f"JPEGImages/{stem}.jpg" for stem in stems if f"{stem}.jpg" not in images],
    )


def _voc_folder(root: Path) -> Path:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (folder / _LISTS).is_dir():
            return folder
    raise DatasetError(
        f"{root} has no folder ImageSets/Segmentation, itself or in VOC2012 or VOCdevkit/VOC2012;"
        f" pass --root the folder of this layout: {_SUMMARY}"
    )


def _augmented_stems(folder: Path) -> list[str]:
    for name in ("trainaug", "train_aug"):
        if (folder / _LISTS / f"{name}.txt").exists():
            return _stems(folder, name)
    return list(dict.fromkeys(_stems(folder, "train") + _stems(folder, "aug")))


def _stems(folder: Path, name: str) -> list[str]:
    path = folder / _LISTS / f"{name}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        lists = [name for name in visible_names(path.parent) if name.endswith(".txt")]
        raise DatasetError(
            f"{path} can't be read; expected a list of image names (there are: {', '.join(lists) or 'none'})"
        ) from error
    return list(dict.fromkeys(_stem(line) for line in lines if line.strip()))


def _stem(line: str) -> str:
    """Read 2007_000032, or "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png"."""
    return line.split()[0].rsplit("/", 1)[-1].removesuffix(".jpg")


def _entry(stem: str, label: str | None) -> Entry:
    return Entry(f"JPEGImages/{stem}.jpg", label, None if label is None else _LABELS)


VOC2012 = DatasetLayout(
    name="voc2012",
    summary=_SUMMARY,
    size=(513, 513),
    find=find,
    splits=("train", "val", "trainval", "test", _AUGMENTED),
    aliases={"trainaug": _AUGMENTED},
    classes=_CLASSES,
)
