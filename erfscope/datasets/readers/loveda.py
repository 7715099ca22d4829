"""LoveDA, land cover from the air: 7 classes, 0 in a label file means none of them."""

from pathlib import Path

from erfscope.datasets.labels import IGNORE, LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, pair_folders, split_folder

_SUMMARY = "img_dir/{split}/*.png, ann_dir/{split}/*.png"
_CLASSES = ("background", "building", "road", "water", "barren", "forest", "agricultural")
_LABELS = {".png": LabelKind(label_map(((k + 1, k) for k in range(len(_CLASSES))), ignored=(0, IGNORE)))}


def find(root: Path, split: str) -> Listing:
    """List one split.

    Raises
    ------
    DatasetError
        If img_dir/{split} isn't there.
    """
    split_folder(root, f"img_dir/{split}", _SUMMARY)
    return pair_folders(root, f"img_dir/{split}", ".png", f"ann_dir/{split}", _LABELS)


LOVEDA = DatasetLayout(
    name="loveda",
    summary=_SUMMARY,
    size=(512, 512),
    find=find,
    splits=("train", "val", "test"),
    classes=_CLASSES,
)
