"""The description of a dataset: where its files lie, or how its images are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope.datasets.listing import Finder

Pixels = npt.NDArray[np.uint8]

DrawFunction = Callable[..., tuple[Pixels, Pixels]]
OptionsCheck = Callable[[tuple[int, int], Mapping[str, Any]], None]


@dataclass(frozen=True)
class DatasetLayout:
    """One dataset: its name, what it holds, and how to list or draw it.

    Attributes
    ----------
    name
        What `open_dataset` and the command line call it.
    summary
        One line: the folders that are expected, or what synthetic images show.
    size
        Default (height, width) of a sample, px.
    find
        Function of (root, split) that returns a `Listing`, for layouts on disk; raises `DatasetError`.
    draw
        Function of (seed, index, (H, W), **options) that returns an (H, W, 3) image and an (H, W) label, both
        uint8, for synthetic datasets.
    scenes
        Default number of images of a synthetic dataset.
    splits
        Names of the splits, which are those of their folders or lists; empty if there are none.
    aliases
        Other names of the splits.
    classes
        Class names in the order of their label; empty without labels.
    options
        Options of `draw`, with their defaults.
    check
        Function of (H, W) and all options; raises `DatasetError` if no image can be drawn with them.
    """

    name: str
    summary: str
    size: tuple[int, int]
    find: Finder | None = None
    draw: DrawFunction | None = None
    scenes: int = 0
    splits: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    check: OptionsCheck | None = None

    @property
    def needs_root(self) -> bool:
        """Whether the images lie on disk."""
        return self.find is not None
