"""Which unit, and which of its values: from a network's output to one scalar an image."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import ComputeError
from erfscope.model.logits import channels_first, logits_of

TARGETS = ("logits", "predicted", "margin")


@dataclass(frozen=True)
class Target:
    """What is summed at the unit.

    `name` is "logits" (the sum over all classes), "predicted" (each image's highest logit), "margin"
    (that logit minus the mean of the others) or "class", then `index` is the class. A class that was
    asked for by name keeps it, and the number of names it was found among.
    """

    name: str
    index: int | None = None
    class_name: str | None = None
    classes_named: int | None = None

    @property
    def label(self) -> str:
        """How files and figures name it."""
        if self.index is None:
            return self.name
        return f"class {self.index}" + (f" ({self.class_name})" if self.class_name else "")

    def scalar(self, values: torch.Tensor, *, relu: bool) -> torch.Tensor:
        """(N, K) values at the unit → (N,) scalars; `relu` clips the values first."""
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
        None of these.
    """
    if isinstance(text, int) or text.isdecimal():
        return Target("class", int(text))
    if text in TARGETS:
        return Target(text)
    if text in classes:
        return Target("class", list(classes).index(text), text, len(classes))
    near = difflib.get_close_matches(text, [*TARGETS, *classes], n=3)
    known = (
        " or ".join(near) if near else f"{', '.join(TARGETS)}, a class id" + ", a class name" * bool(classes)
    )
    raise ComputeError(f"no target is called {text!r}; expected {known}")


def check_target(target: Target, values: int, *, layer: str | None) -> None:
    """Check that a unit with that many values (classes, or a layer's channels) has the target."""
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


def unit_map(model: nn.Module, images: torch.Tensor, layer: str | None, *, resize: bool) -> torch.Tensor:
    """Run the model on (N, 3, H, W) and return the map (N, K, h, w) in which the unit lies.

    Low-resolution logits are resized bilinearly to the images' size unless `resize` is False; a layer's
    feature map is returned as it is, with its channels second.
    """
    size = (images.shape[-2], images.shape[-1])
    if layer is None:
        logits = logits_of(model(images), size)
        if resize and logits.shape[-2:] != size:
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return logits
    with _captured_output(model, layer) as outputs:
        model(images)
    if not outputs:
        raise ComputeError(f"layer {layer} took no part in the forward pass; name one that does")
    features = outputs[-1]
    if not isinstance(features, torch.Tensor) or features.ndim != 4:
        raise ComputeError(f"layer {layer} returns no feature map (N, C, h, w); name a layer that does")
    return channels_first(features, size)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule of that dotted name; `ComputeError` suggests the nearest names.

    The end of a name will do where it is no other's: `layer4` for `network.backbone.layer4`.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules())
    ending = [name] if name in layers else [each for each in layers if each.endswith(f".{name}")]
    if len(ending) == 1:
        return layers[ending[0]]
    if ending:
        raise ComputeError(
            f"several layers are called {name!r}: {', '.join(ending[:4])}; give more of one's name"
        )
    near = difflib.get_close_matches(name, layers, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"top level: {', '.join(dict(model.named_children()))}"
    )
    raise ComputeError(f"the network has no layer {name!r}; {hint}")


@contextmanager
def _captured_output(model: nn.Module, layer: str) -> Iterator[list[Any]]:
    outputs: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        # A copy, since the next layer may be an in-place ReLU, which would change what was returned.
        outputs.append(output.clone() if isinstance(output, torch.Tensor) else output)

    handle = find_layer(model, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()
