"""Changes a described network: another output stride, other rates, another number of classes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from erfscope.errors import NetworkError
from erfscope.zoo.build import make_part
from erfscope.zoo.description import NetworkDescription, Part
from erfscope.zoo.heads.head import Head
from erfscope.zoo.parts import PARTS


def at_output_stride(description: NetworkDescription, stride: int) -> NetworkDescription:
    """Run the network at another output stride; the head's rates stay the same in pixels of the image.

    That is how the DeepLab papers evaluate at stride 8 what they train at stride 16.

    Raises
    ------
    NetworkError
        The backbone can't, or a rate would no longer be a whole number.
    """
    kind = description.backbone["type"]
    if not hasattr(PARTS[kind], "at_output_stride"):
        raise NetworkError(f"the output stride of a {kind} is fixed; leave --output-stride out")
    before: Any = make_part(description.backbone).output_stride
    changed = replace(
        description,
        backbone=_part_at(description.backbone, stride),
        neck=None if description.neck is None else _part_at(description.neck, stride),
    )
    rates: tuple[int, ...] | None = getattr(make_part(description.head), "rates", None)
    if rates is None or before == stride:
        return changed
    scaled = [rate * before / stride for rate in rates]
    if any(rate != int(rate) for rate in scaled):
        raise NetworkError(
            f"at output stride {stride} the rates {','.join(map(str, rates))} would be "
            f"{','.join(f'{rate:g}' for rate in scaled)}; give whole ones by --rates"
        )
    return with_rates(changed, [int(rate) for rate in scaled])


def _part_at(part: Part, stride: int) -> Part:
    """Change what of a part depends on the output stride, if anything does."""
    change = getattr(PARTS[part["type"]], "at_output_stride", None)
    return part if change is None else change(dict(part), stride)


def with_rates(description: NetworkDescription, rates: Sequence[int]) -> NetworkDescription:
    """Give the head other atrous rates; `NetworkError` if it has none, or they can't be."""
    if not rates or min(rates) < 1:
        raise NetworkError(f"atrous rates must be whole numbers from 1 up, not {list(rates)}")
    head = dict(description.head)
    change = getattr(PARTS[head["type"]], "with_rates", None)
    if change is None:
        raise NetworkError(f"a {head['type']} has no atrous rates; leave --rates out")
    return replace(description, head=change(head, tuple(rates)))


def with_classes(description: NetworkDescription, num_classes: int) -> NetworkDescription:
    """Give the head another number of classes."""
    if num_classes < 1:
        raise NetworkError(
            f"a network needs at least one class, not {num_classes}; give --num-classes 1 or more"
        )
    head: dict[str, Any] = {**description.head, "num_classes": num_classes}
    head.pop("out_channels", None)
    return replace(description, head=head)


def with_align_corners(description: NetworkDescription, align_corners: bool) -> NetworkDescription:
    """Resize with or without aligned corners, in the head and after it."""
    head = dict(description.head)
    part = PARTS[head["type"]]
    if isinstance(part, type) and issubclass(part, Head):
        head["align_corners"] = align_corners
    return replace(description, head=head, align_corners=align_corners)
