"""The images and labels that a reader finds in a layout's folders, and functions that readers share."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.datasets.labels import LabelKind
from erfscope.errors import DatasetError


@dataclass(frozen=True)
class Entry:
    """One image of a listing.

    Attributes
    ----------
    image
        POSIX path relative to the layout's folder, which is also the sample's name.
    label
        POSIX path of the label file relative to the same folder, or None.
    kind
        What the label file's values mean; None without a label.
    sequence
        The video sequence that the image belongs to; None if there is none.
    """

    image: str
    label: str | None = None
    kind: LabelKind | None = None
    sequence: str | None = None


@dataclass(frozen=True)
class Listing:
    """The images and labels of one split, in any order.

    Attributes
    ----------
    root
        The layout's own folder.
    entries
        The images found.
    stray_labels
        Label files without an image, POSIX paths relative to `root`.
    missing_images
        Images that the split's list names and that aren't there, POSIX paths relative to `root`.
    """

    root: Path
    entries: Sequence[Entry]
    stray_labels: Sequence[str] = ()
    missing_images: Sequence[str] = ()


Finder = Callable[[Path, str], Listing]


def pair_folders(
    root: Path, images_at: str, image_end: str, labels_at: str, kinds: Mapping[str, LabelKind]
) -> Listing:
    """List a folder of images STEM+`image_end` beside a folder of labels STEM+end; either may be missing.

    Parameters
    ----------
    root
        The layout's own folder.
    images_at, labels_at
        POSIX paths of the two folders relative to `root`.
    image_end
        End of an image file's name, such as .jpg.
    kinds
        End of a label file's name -> what its values mean, in order of preference; no end may be the end of a
        later one. Files with other ends are ignored.
    """
    images = [name for name in names_if_there(root / images_at) if name.endswith(image_end)]
    names = names_if_there(root / labels_at)
    labels: dict[str, tuple[str, LabelKind]] = {}
    for end, kind in kinds.items():
        rest = [name for name in names if not name.endswith(end)]
        for name in names:
            if name.endswith(end):
                labels.setdefault(name.removesuffix(end), (f"{labels_at}/{name}", kind))
        names = rest
    return pair(root, {name.removesuffix(image_end): f"{images_at}/{name}" for name in images}, labels)


def pair(root: Path, images: Mapping[str, str], labels: Mapping[str, tuple[str, LabelKind]]) -> Listing:
    """Pair images and labels of the same stem, given paths, and paths and kinds, by stem."""
    entries = [Entry(path, *labels[stem]) if stem in labels else Entry(path) for stem, path in images.items()]
    strays = [path for stem, (path, _) in labels.items() if stem not in images]
    return Listing(root, entries, strays)


def visible_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without those that start with a dot (macOS makes `._x.jpg`).

    Raises
    ------
    DatasetError
        If the folder can't be listed.
    """
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: {error.strerror}; expected a readable folder") from error


def names_if_there(folder: Path) -> list[str]:
    """Return the names in a folder as `visible_names` does; none if there is no such folder."""
    return visible_names(folder) if folder.is_dir() else []


def visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below a folder, but hidden ones and those in hidden folders.

    Raises
    ------
    DatasetError
        If a folder can't be listed.
    """
    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=_refuse, followlinks=True):
        # Links are followed because datasets are often made of them; one may lead back to its parent.
        identity = Path(folder).stat()
        if (identity.st_dev, identity.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise DatasetError(f"{error.filename}: {error.strerror}; expected a readable folder") from error


def split_folder(root: Path, parts: str, summary: str) -> Path:
    """Return the folder `root/parts`, which a layout needs.

    Raises
    ------
    DatasetError
        If it isn't there; the message names what was expected and what is there.
    """
    folder = root / parts
    if folder.is_dir():
        return folder
    beside = ", ".join(visible_names(root)[:8]) or "nothing"
    raise DatasetError(
        f"{root} has no folder {parts} (it holds {beside}); pass --root the folder of this layout: {summary}"
    )
