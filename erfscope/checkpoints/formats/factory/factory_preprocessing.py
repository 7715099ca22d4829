"""Checks the preprocessing that a user's function returns beside its network."""

import math
from collections.abc import Mapping
from typing import Any

from erfscope.errors import CheckpointError
from erfscope.records.model_info import TrainingFacts

_KEYS = ("mean", "std", "channel_order", "size", "classes")

Triple = tuple[float, float, float]


def read_preprocessing(told: Mapping[str, Any], spec: str) -> TrainingFacts:
    """Check a mapping of mean and std (of R, G, B in 0 to 1), channel_order, size (px) and classes.

    Raises
    ------
    CheckpointError
        It holds something else, or a value that can't be.
    """
    for key in told:
        if key not in _KEYS:
            raise CheckpointError(f"{spec}: its preprocessing has {key!r}; it may have {', '.join(_KEYS)}")
    order = told.get("channel_order", "rgb")
    if order not in ("rgb", "bgr"):
        raise CheckpointError(f"{spec}: its channel_order is {order!r}; expected 'rgb' or 'bgr'")
    return TrainingFacts(
        classes=_classes(told.get("classes", ()), spec),
        mean=_triple("mean", told.get("mean"), spec),
        std=_triple("std", told.get("std"), spec, positive=True),
        channel_order=order,
        crop_size=_size(told.get("size"), spec),
    )


def _triple(name: str, values: Any, spec: str, *, positive: bool = False) -> Triple | None:
    if values is None:
        return None
    try:
        first, second, third = (float(value) for value in values)
    except (TypeError, ValueError):
        first = second = third = math.nan
    if not all(map(math.isfinite, (first, second, third))) or (positive and min(first, second, third) <= 0):
        kind = "positive numbers" if positive else "numbers"
        raise CheckpointError(
            f"{spec}: its {name} is {values!r}; expected three {kind}, for R, G, B in 0 to 1"
        )
    return first, second, third


def _size(value: Any, spec: str) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = (value, value) if isinstance(value, int) else value
    if not (
        isinstance(sides, (tuple, list)) and len(sides) == 2 and all(type(s) is int and s > 0 for s in sides)
    ):
        raise CheckpointError(
            f"{spec}: its size is {value!r}; expected a side or (height, width), whole pixels"
        )
    return sides[0], sides[1]


def _classes(names: Any, spec: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{spec}: its classes are {names!r}; expected a list of names")
    return tuple(names)
