"""What a layout is: where a dataset keeps its images and labels, or how it is drawn, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from erfscope.datasets.listing import Finder

Pixels = npt.NDArray[np.uint8]

Painter = Callable[..., tuple[Pixels, Pixels]]
OptionsCheck = Callable[[tuple[int, int], Mapping[str, Any]], None]


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
        (seed, index, (H, W), **options) to an (H, W, 3) image and an (H, W) label, both uint8, for synthetic
        ones.
    scenes
        How many images a synthetic dataset has unless told otherwise.
    splits
        The splits by the name of their folder or list; empty where there are none.
    aliases
        Other words for the splits.
    classes
        Class names in the order of their label; empty without labels.
    options
        What `draw` can be asked for, by name, with the values that it takes unless asked.
    check
        ((H, W), all options) to None; raises `DatasetError` where they can't be drawn so.
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
    options: Mapping[str, Any] = field(default_factory=dict)
    check: OptionsCheck | None = None

    @property
    def needs_root(self) -> bool:
        """Whether the images lie on disk."""
        return self.find is not None
