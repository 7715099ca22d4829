"""Any folder of images: no labels, no classes, no splits."""

from pathlib import Path

from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.listing import Entry, Listing, visible_files

_SUMMARY = "any images, in any subfolders: jpg jpeg png bmp gif tif tiff webp ppm pgm"
_ENDS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def find(root: Path, split: str) -> Listing:
    """List every image below a folder, hidden files and folders left out; the split is ignored.

    Raises
    ------
    DatasetError
        If a folder can't be listed.
    """
    images = (path for path in visible_files(root) if path.name.lower().endswith(_ENDS))
    return Listing(root, [Entry(path.relative_to(root).as_posix()) for path in images])


FOLDER = DatasetLayout(name="folder", summary=_SUMMARY, size=(513, 513), find=find)
