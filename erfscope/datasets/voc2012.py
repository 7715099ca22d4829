"""PASCAL VOC 2012 segmentation: 20 classes and background, palette labels, void at 255."""

from pathlib import Path

from erfscope.datasets.layout import Entry, Layout, Listing, label_map, visible_names
from erfscope.errors import DatasetError

_SUMMARY = (
    "[VOCdevkit/]VOC2012/: ImageSets/Segmentation/{split}.txt, JPEGImages/*.jpg, SegmentationClass/*.png"
)
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
_LABEL_MAP = label_map((k, k) for k in range(len(_CLASSES)))


def find(root: Path, split: str) -> Listing:
    """List the images that ImageSets/Segmentation/{split}.txt names.

    Parameters
    ----------
    root
        The VOC2012 folder, or one that holds VOC2012 or VOCdevkit/VOC2012.
    split
        train, val, trainval or test.

    Raises
    ------
    DatasetError
        If the folder or the list isn't there, or the list names images that aren't.
    """
    folder = _voc_folder(root)
    stems = _split_stems(folder / "ImageSets" / "Segmentation" / f"{split}.txt")
    images = set(visible_names(folder / "JPEGImages"))
    missing = [stem for stem in stems if f"{stem}.jpg" not in images]
    if missing:
        raise DatasetError(
            f"{folder}: {split}.txt names {missing[0]}, but JPEGImages/{missing[0]}.jpg isn't there"
            f" ({len(missing)} of {len(stems)} missing); unpack the whole VOCtrainval archive"
        )
    labels_at = folder / "SegmentationClass"
    labels = set(visible_names(labels_at)) if labels_at.is_dir() else set()
    return Listing(folder, [_entry(stem, f"{stem}.png" in labels) for stem in stems])


def _voc_folder(root: Path) -> Path:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (folder / "ImageSets" / "Segmentation").is_dir():
            return folder
    raise DatasetError(
        f"{root} has no folder ImageSets/Segmentation, itself or in VOC2012 or VOCdevkit/VOC2012;"
        f" pass --root the folder of this layout: {_SUMMARY}"
    )


def _split_stems(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        lists = [name for name in visible_names(path.parent) if name.endswith(".txt")]
        raise DatasetError(
            f"{path} can't be read; expected a list of image names (there are: {', '.join(lists) or 'none'})"
        ) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _entry(stem: str, has_label: bool) -> Entry:
    label = f"SegmentationClass/{stem}.png" if has_label else None
    return Entry(f"JPEGImages/{stem}.jpg", label, label_map=_LABEL_MAP)


VOC2012 = Layout(
    name="voc2012",
    summary=_SUMMARY,
    size=(513, 513),
    find=find,
    splits=("train", "val", "trainval", "test"),
    classes=_CLASSES,
)
