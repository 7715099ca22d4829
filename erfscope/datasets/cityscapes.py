"""Cityscapes: fine annotations, 34 label ids of which 19 are trained on."""

from collections.abc import Iterator
from pathlib import Path

from erfscope.datasets.layout import Entry, Layout, Listing, label_map, split_folder, visible_names

_SUMMARY = "leftImg8bit/{split}/{city}/*_leftImg8bit.png, gtFine/{split}/{city}/*_gtFine_labelIds.png"
_IMAGE_END = "_leftImg8bit.png"
_CLASSES = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
# Both kinds of label file are in use; ids come first because they are what the dataset ships.
_LABEL_KINDS = {
    "_gtFine_labelIds.png": label_map((value, train_id) for train_id, value in enumerate(_CLASSES)),
    "_gtFine_labelTrainIds.png": label_map((k, k) for k in range(len(_CLASSES))),
}


def find(root: Path, split: str) -> Listing:
    """List one split; an image's sequence is CITY_SEQ, the drive that it was cut from.

    Parameters
    ----------
    root
        The folder that holds leftImg8bit and, where there are labels, gtFine.
    split
        train, val or test.

    Raises
    ------
    DatasetError
        If leftImg8bit/{split} isn't there.
    """
    images = split_folder(root, f"leftImg8bit/{split}", _SUMMARY)
    cities = [name for name in visible_names(images) if (images / name).is_dir()]
    return Listing(root, [entry for city in cities for entry in _city(root, split, city)])


def _city(root: Path, split: str, city: str) -> Iterator[Entry]:
    labels_at = root / "gtFine" / split / city
    labels = set(visible_names(labels_at)) if labels_at.is_dir() else set()
    for name in visible_names(root / "leftImg8bit" / split / city):
        if not name.endswith(_IMAGE_END):
            continue
        stem = name.removesuffix(_IMAGE_END)
        image, sequence = f"leftImg8bit/{split}/{city}/{name}", stem.rsplit("_", 1)[0]
        kind = next((end for end in _LABEL_KINDS if stem + end in labels), None)
        if kind is None:
            yield Entry(image, None, sequence)
        else:
            yield Entry(image, f"gtFine/{split}/{city}/{stem}{kind}", sequence, _LABEL_KINDS[kind])


CITYSCAPES = Layout(
    name="cityscapes",
    summary=_SUMMARY,
    size=(769, 769),
    find=find,
    splits=("train", "val", "test"),
    classes=tuple(_CLASSES.values()),
)
