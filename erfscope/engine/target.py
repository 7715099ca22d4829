"""Which unit, and which of its values: from a network's output to one scalar an image."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import ComputeError

TARGETS = ("logits", "predicted", "margin")
# What networks call their logits, the surest first.
_LOGITS = ("out", "logits", "main", "pred", "preds", "prediction", "semantic", "seg", "output", "x")


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


def logits_of(output: Any, size: tuple[int, int]) -> torch.Tensor:
    """Find the main logits (N, K, h, w) in what a network returns for images of `size`, (H, W).

    A tensor is taken as it is; of a mapping or an object what is called `out`, `logits` or the like, else
    its only map; of a sequence the first map, where networks with side outputs have their main one. A map
    whose middle axes, not its last ones, have the image's proportions has its channels last: they are moved.

    Raises
    ------
    ComputeError
        There is no such tensor, or it has no height and width.
    """
    found = _main(output)
    if not isinstance(found, torch.Tensor) or found.ndim != 4:
        got = f"shape {list(found.shape)}" if isinstance(found, torch.Tensor) else type(output).__name__
        raise ComputeError(
            f"the network returned {got}; expected logits (N, K, h, w): wrap it in a module that returns "
            "them, or give a layer as the unit"
        )
    _, first, middle, last = found.shape
    if not _proportional((middle, last), size) and _proportional((first, middle), size):
        return found.permute(0, 3, 1, 2)
    return found


def _main(output: Any) -> Any:
    if isinstance(output, (tuple, list)):
        return next((each for each in map(_main, output) if isinstance(each, torch.Tensor)), None)
    if isinstance(output, torch.Tensor) or output is None:
        return output
    named = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
    name = next((name for name in _LOGITS if isinstance(named.get(name), torch.Tensor)), None)
    if name is not None:
        return named[name]
    maps = [value for value in named.values() if isinstance(value, torch.Tensor) and value.ndim == 4]
    return maps[0] if len(maps) == 1 else None


def _proportional(shape: tuple[int, int], size: tuple[int, int]) -> bool:
    """Say whether a map of that height and width may be one of the image, at some stride."""
    height, width = (length / side for length, side in zip(shape, size, strict=True))
    # A side is rounded to a whole number of cells, and padding may add another.
    slack = min(2 / min(shape), 0.25)
    return abs(height / width - 1) <= slack


def unit_map(model: nn.Module, images: torch.Tensor, layer: str | None, *, resize: bool) -> torch.Tensor:
    """Run the model on (N, 3, H, W) and return the map (N, K, h, w) in which the unit lies.

    Low-resolution logits are resized bilinearly to the images' size unless `resize` is False; a layer's
    feature map is returned as it is.
    """
    if layer is None:
        logits = logits_of(model(images), (images.shape[-2], images.shape[-1]))
        if resize and logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return logits
    with _captured_output(model, layer) as outputs:
        model(images)
    if not outputs:
        raise ComputeError(f"layer {layer} took no part in the forward pass; name one that does")
    features = outputs[-1]
    if not isinstance(features, torch.Tensor) or features.ndim != 4:
        raise ComputeError(f"layer {layer} returns no feature map (N, C, h, w); name a layer that does")
    return features


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule of that dotted name; `ComputeError` suggests the nearest names."""
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if name in layers:
        return layers[name]
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
