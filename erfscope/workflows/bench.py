"""How fast the engine is on this machine."""

from collections.abc import Mapping
from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.engine.speed import SpeedReport, measure_speed


def bench(
    *, network: Mapping[str, Any], size: tuple[int, int], repeats: int, precision: str, device: str
) -> SpeedReport:
    """Time a network's engine against plain autograd; see `load_model` and `engine.speed.measure_speed`."""
    return measure_speed(load_model(**network), size, repeats=repeats, precision=precision, device=device)
