"""What a drawing costs, in units that the machine's speed leaves alone."""

import time
from collections.abc import Callable

import numpy as np


def cost_in_noise(draw: Callable[[int], object], size: tuple[int, int], repeats: int) -> float:
    """Return the least processor time of a drawing over that of normal noise of three channels of `size`."""
    rng = np.random.default_rng(0)
    drawings = [processor_seconds(lambda index=index: draw(index)) for index in range(repeats)]
    noises = [processor_seconds(lambda: rng.normal(size=(*size, 3))) for _ in range(repeats)]
    return min(drawings) / min(noises)


def processor_seconds(function: Callable[[], object]) -> float:
    """Time a call on this process's cores, so that busy neighbors don't count."""
    begun = time.process_time()
    function()
    return time.process_time() - begun
