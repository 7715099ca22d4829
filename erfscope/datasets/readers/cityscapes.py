"""Cityscapes: fine annotations, 34 label ids of which 19 are trained on."""

from dataclasses import replace
from pathlib import Path

from erfscope.datasets.labels import IGNORE, LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, names_if_there, pair_folders, split_folder

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
_IDS = range(34)
# Both kinds of label file are in use; ids come first because they are what the dataset ships. Ids that
# aren't trained on are legitimate; a train id beyond the 19 is not.
_LABELS = {
    "_gtFine_labelIds.png": LabelKind(
        label_map(((value, train_id) for train_id, value in enumerate(_CLASSES)), ignored=(*_IDS, IGNORE))
    ),
    "_gtFine_labelTrainIds.png": LabelKind(label_map((k, k) for k in range(len(_CLASSES)))),
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
    split_folder(root, f"leftImg8bit/{split}", _SUMMARY)
    cities = {*_cities(root / "leftImg8bit" / split), *_cities(root / "gtFine" / split)}
    listings = [_city(root, split, city) for city in sorted(cities)]
    return Listing(
        root,
        [entry for listing in listings for entry in listing.entries],
        [label for listing in listings for label in listing.stray_labels],
    )


def _cities(folder: Path) -> list[str]:
    return [name for name in names_if_there(folder) if (folder / name).is_dir()]


def _city(root: Path, split: str, city: str) -> Listing:
    listing = pair_folders(root, f"leftImg8bit/{split}/{city}", _IMAGE_END, f"gtFine/{split}/{city}", _LABELS)
    entries = [replace(entry, sequence=_drive(entry.image)) for entry in listing.entries]
    return replace(listing, entries=entries)


def _drive(image: str) -> str:
    """Return aachen_000000 of …/aachen_000000_000019_leftImg8bit.png."""
    return image.rsplit("/", 1)[1].rsplit("_", 2)[0]


CITYSCAPES = DatasetLayout(
    name="cityscapes",
    summary=_SUMMARY,
    size=(769, 769),
    find=find,
    splits=("train", "val", "test"),
    classes=tuple(_CLASSES.values()),
)
