"""What a look at a dataset's files has shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What may be found, and whether training can't run with it.
KINDS: Mapping[str, bool] = {
    "split not there": True,
    "no images": True,
    "image not there": True,
    "image without label": True,
    "image unreadable": True,
    "label unreadable": True,
    "label and image of different size": True,
    "label outside the classes": True,
    "label without any class": False,
    "label without image": False,
    "image smaller than the crop": False,
    "class that never occurs": False,
}


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong or odd.

    Attributes
    ----------
    kind
        One of `KINDS`.
    cases
        (what, detail): a file relative to the dataset's folder, or a class, and what is to say of it.
    """

    kind: str
    cases: tuple[tuple[str, str], ...]

    @property
    def fatal(self) -> bool:
        """Whether training can't run with it."""
        return KINDS[self.kind]

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        cases = [{"what": what, "detail": detail} for what, detail in self.cases]
        return {"kind": self.kind, "fatal": self.fatal, "count": len(cases), "cases": cases}


@dataclass(frozen=True)
class SplitCheck:
    """What a look at one split has shown.

    Attributes
    ----------
    dataset, root, split
        Of which it is; root and split are None where there are none.
    crop
        (H, W) that images are to be cut to, px.
    classes
        Names.
    images, labels
        How many the split has.
    read
        How many images were opened.
    smallest, largest
        (H, W) of the images with the fewest and the most pixels, px; None if none was readable.
    pixels
        Pixels of each class in the labels that were read.
    images_with
        Labels in which each class occurs.
    ignored
        Pixels that belong to no class.
    findings
        In the order of `KINDS`.
    """

    dataset: str
    root: str | None
    split: str | None
    crop: tuple[int, int]
    classes: tuple[str, ...]
    images: int
    labels: int
    read: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    pixels: tuple[int, ...]
    images_with: tuple[int, ...]
    ignored: int
    findings: tuple[Finding, ...]

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings that training can't run with."""
        return tuple(finding for finding in self.findings if finding.fatal)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each class's share of the pixels that have one."""
        total = max(sum(self.pixels), 1)
        return tuple(count / total for count in self.pixels)

    @property
    def ignored_share(self) -> float | None:
        """Share of all pixels of labels that belong to no class; None where no label was read."""
        labeled = sum(self.pixels) + self.ignored
        return self.ignored / labeled if labeled else None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        keys = ("name", "share", "pixels", "images")
        per_class = zip(self.classes, self.shares, self.pixels, self.images_with, strict=True)
        return {
            "dataset": self.dataset,
            "root": self.root,
            "split": self.split,
            "sound": not self.fatal,
            "images": self.images,
            "labels": self.labels,
            "read": self.read,
            "crop": list(self.crop),
            "smallest": self.smallest and list(self.smallest),
            "largest": self.largest and list(self.largest),
            "classes": [dict(zip(keys, values, strict=True)) for values in per_class],
            "ignored_share": self.ignored_share,
            "findings": [finding.summary() for finding in self.findings],
        }
