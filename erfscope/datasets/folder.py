"""Any folder of images: no labels, no classes, no splits."""

import os
from collections.abc import Iterator
from pathlib import Path

from erfscope.datasets.layout import Entry, Layout, Listing
from erfscope.errors import DatasetError

_SUMMARY = "any images, in any subfolders: jpg jpeg png bmp gif tif tiff webp ppm pgm"
_ENDS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def find(root: Path, split: str) -> Listing:
    """List every image below a folder, hidden files and folders left out; the split is ignored.

    Raises
    ------
    DatasetError
        If a folder can't be listed.
    """
    return Listing(root, [Entry(path.relative_to(root).as_posix()) for path in _images(root)])


def _images(root: Path) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=_refuse, followlinks=True):
        # Links are followed, for datasets are often made of them, and one may lead back to its parent.
        identity = Path(folder).stat()
        if (identity.st_dev, identity.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(_ENDS):
                yield Path(folder, name)


def _refuse(error: OSError) -> None:
    raise DatasetError(f"{error.filename}: {error.strerror}; expected a readable folder") from error


FOLDER = Layout(name="folder", summary=_SUMMARY, size=(513, 513), find=find)
