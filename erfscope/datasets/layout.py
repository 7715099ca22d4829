"""What a layout is: where a dataset keeps its images and labels, as data, and how readers list folders."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from erfscope.errors import DatasetError

IGNORE = 255
"""The label of pixels that belong to no class."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One image of a listing.

    Attributes
    ----------
    image
        POSIX path relative to the layout's folder; also the sample's name.
    label
        POSIX path of the label file relative to the same folder, or None.
    sequence
        The video sequence that the image belongs to; the image's own name where there is none.
    label_map
        256 bytes: the class of each value in the label file.
    """

    image: str
    label: str | None = None
    sequence: str | None = None
    label_map: bytes = bytes(range(256))


@dataclass(frozen=True)
class Listing:
    """The images found under `root`, the layout's own folder, in any order."""

    root: Path
    entries: Sequence[Entry]


Finder = Callable[[Path, str], Listing]
Painter = Callable[[int, int, tuple[int, int]], tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class Layout:
    """One dataset by name: what it holds and how to list or draw it. Making one opens nothing.

    Attributes
    ----------
    name
        What `open_dataset` and the command line call it.
    summary
        One line: the folders that are expected.
    size
        Default (height, width) of a sample, px.
    find
        (root, split) to `Listing`, for layouts on disk; raises `DatasetError`.
    draw
        (seed, index, (H, W)) to an (H, W, 3) image and an (H, W) label, both uint8, for synthetic ones.
    scenes
        How many images a synthetic dataset has unless told otherwise.
    splits
        The splits by the name of their folder or list; empty where there are none.
    aliases
        Other words for the splits.
    classes
        Class names in the order of their label; empty without labels.
    """

    name: str
    summary: str
    size: tuple[int, int]
    find: Finder | None = None
    draw: Painter | None = None
    scenes: int = 0
    splits: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def needs_root(self) -> bool:
        """Whether the images lie on disk."""
        return self.find is not None


def label_map(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Make the table from label-file value to class.

    Parameters
    ----------
    pairs
        (value in the file, class), each 0 to 255; values that aren't named become `IGNORE`.

    Returns
    -------
    bytes
        256 classes, indexed by value.
    """
    table = bytearray([IGNORE] * 256)
    for value, train_id in pairs:
        table[value] = train_id
    return bytes(table)


def visible_names(folder: Path) -> list[str]:
    """Names in a folder, sorted, without those that start with a dot (such as macOS's `._x.jpg`).

    Raises
    ------
    DatasetError
        If the folder can't be listed.
    """
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: {error.strerror}; expected a readable folder") from error


def split_folder(root: Path, parts: str, summary: str) -> Path:
    """Find the folder `root/parts` that a layout needs.

    Raises
    ------
    DatasetError
        If it isn't there, naming what was expected and what lies in its stead.
    """
    folder = root / parts
    if folder.is_dir():
        return folder
    beside = ", ".join(visible_names(root)[:8]) or "nothing"
    raise DatasetError(
        f"{root} has no folder {parts} (it holds {beside}); pass --root the folder of this layout: {summary}"
    )
