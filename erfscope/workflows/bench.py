"""How fast the engine is on this machine."""

from typing import Any

from erfscope.checkpoints.load import load_model
from erfscope.engine.speed import SpeedReport, measure_speed


def bench(
    *, model: str, size: tuple[int, int], repeats: int, precision: str, device: str, **options: Any
) -> SpeedReport:
    """Time a catalogue network's engine against plain autograd; see `engine.speed.measure_speed`."""
    network = load_model(model, **options)
    return measure_speed(network, size, repeats=repeats, precision=precision, device=device)
