"""Which of the unit's values are differentiated: from its values to one scalar an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from erfscope.errors import ComputeError, suggest

TARGETS = ("logits", "predicted", "margin")


@dataclass(frozen=True)
class Target:
    """What is summed at the unit.

    Attributes
    ----------
    name
        "logits" (the sum over all classes), "predicted" (each image's highest logit), "margin" (that logit
        minus the mean of the others) or "class".
    index
        The class, of "class" alone.
    class_name, classes_named
        Of a class that was asked for by name: its name, and the dataset's number of classes.
    """

    name: str
    index: int | None = None
    class_name: str | None = None
    classes_named: int | None = None

    @property
    def label(self) -> str:
        """The name in files and figures."""
        if self.index is None:
            return self.name
        return f"class {self.index}" + (f" ({self.class_name})" if self.class_name else "")

    def scalar(self, values: torch.Tensor, *, relu: bool) -> torch.Tensor:
        """Return (N,) scalars of the (N, K) values at the unit; `relu` clips the values first."""
        if self.name == "logits":
            return (values.relu() if relu else values).sum(1)
        index = values.argmax(1) if self.index is None else values.new_full((len(values),), self.index).long()
        values = values.relu() if relu else values
        chosen = values.gather(1, index[:, None])[:, 0]
        if self.name == "margin":
            return chosen - (values.sum(1) - chosen) / (values.shape[1] - 1)
        return chosen


def parse_target(text: str | int, classes: Sequence[str] = ()) -> Target:
    """Turn "logits", "predicted", "margin", a class id or a class name into a target.

    Raises
    ------
    ComputeError
        It is none of these.
    """
    if isinstance(text, int) or text.isdecimal():
        return Target("class", int(text))
    if text in TARGETS:
        return Target(text)
    if text in classes:
        return Target("class", list(classes).index(text), text, len(classes))
    known = f"expected {', '.join(TARGETS)}, a class id" + ", a class name" * bool(classes)
    raise ComputeError(
        f"no target is called {text!r}; {suggest(text, [*TARGETS, *classes], otherwise=known)}"
    )


def check_target(target: Target, values: int, *, layer: str | None) -> None:
    """Check that a unit with that many values (classes, or a layer's channels) has the target.

    Raises
    ------
    ComputeError
        It hasn't.
    """
    if layer is not None and target.name != "logits":
        raise ComputeError(
            f"target {target.label!r} needs class logits, but the unit lies in layer {layer}; "
            "leave the target out, its channels are summed"
        )
    if target.classes_named is not None and target.classes_named != values:
        raise ComputeError(
            f"class {target.class_name!r} is one of the dataset's {target.classes_named}, but the network "
            f"has {values} classes; give the class's id in the network"
        )
    if target.index is not None and not 0 <= target.index < values:
        raise ComputeError(f"class {target.index} is out of range; the network has classes 0 to {values - 1}")
    if target.name == "margin" and values < 2:
        raise ComputeError("the margin needs at least two classes; this network has one logit")
