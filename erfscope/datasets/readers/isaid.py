"""iSAID, aerial images cut into patches of 896 px by mmsegmentation's converter: 15 classes, background."""

from dataclasses import replace
from pathlib import Path

from erfscope.datasets.labels import LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, pair_folders, split_folder

_SUMMARY = "img_dir/{split}/*.png, ann_dir/{split}/*_instance_color_RGB.png, cut into patches"
_CLASSES = (
    "background",
    "ship",
    "store_tank",
    "baseball_diamond",
    "tennis_court",
    "basketball_court",
    "Ground_Track_Field",
    "Bridge",
    "Large_Vehicle",
    "Small_Vehicle",
    "Helicopter",
    "Swimming_pool",
    "Roundabout",
    "Soccer_ball_field",
    "plane",
    "Harbor",
)
# These files hold class numbers despite their name: the converter replaces the colors. 255 pads the patches.
_LABELS = {"_instance_color_RGB.png": LabelKind(label_map((k, k) for k in range(len(_CLASSES))))}


def find(root: Path, split: str) -> Listing:
    """List the patches of one split; P0003_0_896_0_896 is one of image P0003, which is their sequence.

    Raises
    ------
    DatasetError
        If img_dir/{split} isn't there.
    """
    split_folder(root, f"img_dir/{split}", _SUMMARY)
    listing = pair_folders(root, f"img_dir/{split}", ".png", f"ann_dir/{split}", _LABELS)
    return replace(
        listing, entries=[replace(entry, sequence=_scene(entry.image)) for entry in listing.entries]
    )


def _scene(image: str) -> str:
    """Return P0003 of …/P0003_0_896_0_896.png, and of …/P0003.png, an image of the test split left whole."""
    return image.rsplit("/", 1)[1].removesuffix(".png").split("_")[0]


ISAID = DatasetLayout(
    name="isaid",
    summary=_SUMMARY,
    size=(896, 896),
    find=find,
    splits=("train", "val", "test"),
    classes=_CLASSES,
)
