"""The two forms on disk of the retinal vessel datasets STARE, CHASE_DB1 and HRF.

As downloaded, images and masks of two levels lie anywhere below the folder and are recognized by their names.
Converted by mmsegmentation, they are images/{training,validation}/*.png beside annotations of zeros and ones.
The splits are the converter's. They are decided by the number in a file's name; the converter counts files,
which would move images to the other split if a file is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erfscope.datasets.labels import LabelKind, label_map
from erfscope.datasets.layout import DatasetLayout
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
        One line: the folders that are expected.
    image
        Regular expression of the file name of a downloaded image; its first group is the stem.
    labels
        The same for downloaded masks, one expression for each annotator. Only masks of the first one who has
        any are used, so that annotators aren't mixed.
    converted_ends
        Ends of converted label files after the stem, for the same annotators.
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
    """Return stem -> path for those of the files (path -> name) whose names match the pattern."""
    found: dict[str, str] = {}
    for path, name in files.items():
        match = re.fullmatch(pattern, name)
        if match:
            found.setdefault(match[1], path)  # in order: im0001.ppm goes before im0001.ppm.gz
    return found


def vessel_layout(name: str, side: int, files: VesselFiles) -> DatasetLayout:
    """Make the layout of such files; `side` is the study's crop, px."""
    return DatasetLayout(
        name=name,
        summary=files.summary,
        size=(side, side),
        find=files.find,
        splits=(_TRAINING, _VALIDATION),
        aliases={"train": _TRAINING, "val": _VALIDATION},
        classes=("background", "vessel"),
    )
