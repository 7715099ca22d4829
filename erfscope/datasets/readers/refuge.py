"""REFUGE: retinas with optic disc and cup, as downloaded or as mmsegmentation's converter leaves them."""

from pathlib import Path

from erfscope.datasets.labels import LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Listing, pair, pair_folders, split_folder, visible_files
from erfscope.errors import DatasetError

_SUMMARY = (
    "as downloaded: folders with training, validation or test in their names, of *.jpg and *.bmp; or "
    "images/{split}/*.png, annotations/{split}/*.png"
)
_SPLITS = ("training", "validation", "test")
_CLASSES = ("background", "Optic Cup", "Optic Disc")
_CONVERTED = LabelKind(label_map([(0, 0), (1, 1), (2, 2)], ignored=()))
# As downloaded the cup is black, the disc gray and all else white.
_DOWNLOADED = LabelKind(label_map([(255, 0), (0, 1), (128, 2)], ignored=()), "brightness")


def find(root: Path, split: str) -> Listing:
    """List one split, converted or as downloaded.

    Raises
    ------
    DatasetError
        If the folder holds the split in neither form.
    """
    if any((root / "images" / each).is_dir() for each in _SPLITS):
        split_folder(root, f"images/{split}", _SUMMARY)
        kinds = {".png": _CONVERTED}
        return pair_folders(root, f"images/{split}", ".png", f"annotations/{split}", kinds)
    paths = [path.relative_to(root) for path in visible_files(root)]
    chosen = [path for path in paths if _is_of(path, split)]
    images = {path.stem: path.as_posix() for path in chosen if path.suffix == ".jpg"}
    if not images:
        raise DatasetError(
            f"{root} has no folder images/{split}, nor one with {split} in its name that holds images; "
            f"pass --root the folder of this layout: {_SUMMARY}"
        )
    labels = {path.stem: (path.as_posix(), _DOWNLOADED) for path in chosen if path.suffix == ".bmp"}
    return pair(root, images, labels)


def _is_of(path: Path, split: str) -> bool:
    """Whether a folder has the split in its name; those of examples and of macOS don't count."""
    folders = "/".join(path.parts[:-1])
    return split in folders.lower() and "Illustration" not in folders and "MACOSX" not in folders


REFUGE = DatasetLayout(
    name="refuge",
    summary=_SUMMARY,
    size=(512, 512),
    find=find,
    splits=_SPLITS,
    aliases={"train": "training", "val": "validation"},
    classes=_CLASSES,
)
