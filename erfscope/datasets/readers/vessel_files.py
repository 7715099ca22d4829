"""What the three datasets of retinal vessels, STARE, CHASE_DB1 and HRF, share: two forms on disk.

As downloaded, images and masks of two levels lie anywhere below the folder and are told by their names.
Converted by mmsegmentation, they are images/{training,validation}/*.png beside annotations of zeros and ones.
The splits are the converter's, told by the number in a file's name: with a file missing, its own way, which
is to count files, would move images from one split to the other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.datasets.labels import LabelKind, label_map
from erfscope.datasets.layout import Layout
from erfscope.datasets.listing import Listing, names_if_there, pair, split_folder, visible_files
from erfscope.errors import DatasetError

_TRAINING, _VALIDATION = "training", "validation"
_ZEROS_AND_ONES = LabelKind(label_map([(0, 0), (1, 1)], ignored=()))
_TWO_LEVELS = LabelKind(label_map([(0, 0), (255, 1)], ignored=()), "two levels")


@dataclass(frozen=True)
class VesselFiles:
    """How one of the datasets names its files.

    Attributes
    ----------
    summary
        Of the layout.
    image
        Regular expression of the file name of a downloaded image; its first group is the stem.
    labels
        The same of downloaded masks, one for each person who drew some. The first of whom there are any
        counts alone, for one person's masks must not be mixed with another's.
    converted_ends
        Ends of converted label files after the stem, for the same persons.
    last_in_training
        The highest number in the name of an image for training; the others are for validation.
    """

    summary: str
    image: str
    labels: tuple[str, ...]
    converted_ends: tuple[str, ...]
    last_in_training: int

    def find(self, root: Path, split: str) -> Listing:
        """List training or validation, converted or as downloaded.

        Raises
        ------
        DatasetError
            If the folder holds the split in neither form.
        """
        if any((root / "images" / each).is_dir() for each in (_TRAINING, _VALIDATION)):
            return self._converted(root, split)
        return self._downloaded(root, split)

    def _converted(self, root: Path, split: str) -> Listing:
        folder = split_folder(root, f"images/{split}", self.summary)
        masks = {f"annotations/{split}/{name}": name for name in names_if_there(root / "annotations" / split)}
        images = {f"images/{split}/{name}": name for name in names_if_there(folder)}
        ends = [f"(.*){re.escape(end)}" for end in self.converted_ends]
        return pair(root, _by_stem(r"(.*)\.png", images), _of_first(ends, masks, _ZEROS_AND_ONES))

    def _downloaded(self, root: Path, split: str) -> Listing:
        files = {path.relative_to(root).as_posix(): path.name for path in visible_files(root)}
        if not _by_stem(self.image, files):
            raise DatasetError(
                f"{root} has no folder images/{split}, nor images as downloaded in it or below; "
                f"pass --root the folder of this layout: {self.summary}"
            )
        listing = pair(root, _by_stem(self.image, files), _of_first(self.labels, files, _TWO_LEVELS))
        return Listing(
            root,
            [entry for entry in listing.entries if self._split(files[entry.image]) == split],
            [label for label in listing.stray_labels if self._split(files[label]) == split],
        )

    def _split(self, name: str) -> str:
        number = int("0" + "".join(re.findall(r"\d+", name)[:1]))
        return _TRAINING if number <= self.last_in_training else _VALIDATION


def _of_first(
    patterns: Sequence[str], files: Mapping[str, str], kind: LabelKind
) -> dict[str, tuple[str, LabelKind]]:
    found = next(filter(None, (_by_stem(pattern, files) for pattern in patterns)), {})
    return {stem: (path, kind) for stem, path in found.items()}


def _by_stem(pattern: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the path by stem of those of the files, name by path, that the pattern fits."""
    found: dict[str, str] = {}
    for path, name in files.items():
        match = re.fullmatch(pattern, name)
        if match:
            found.setdefault(match[1], path)  # in order: im0001.ppm goes before im0001.ppm.gz
    return found


def vessel_layout(name: str, side: int, files: VesselFiles) -> Layout:
    """Make the layout of such files, with the study's crop."""
    return Layout(
        name=name,
        summary=files.summary,
        size=(side, side),
        find=files.find,
        splits=(_TRAINING, _VALIDATION),
        aliases={"train": _TRAINING, "val": _VALIDATION},
        classes=("background", "vessel"),
    )
