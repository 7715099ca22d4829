"""The rule by which both sides of a golden comparison make the same weights and the same input.

The script that ran the reference networks (``make_mmsegmentation_facts.py``) and the tests that
read its facts both import this module, so no weight ever has to be stored. A tensor depends only
on its name and shape, never on the order in which tensors are asked for. Needs torch and numpy.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = 64


def generate(name: str, shape: Sequence[int]) -> torch.Tensor:
    """Make the float32 tensor that belongs to a state-dict entry.

    The generator is ``numpy.random.default_rng`` seeded with the first eight bytes of
    sha256(name), read as a little-endian integer. Values are drawn in float64, in C order,
    and then rounded to float32.

    ==============================  =========================================
    entry                           values
    ==============================  =========================================
    ``*.running_var``               uniform on [0.5, 1.5)
    ``*.weight``, one dimension     uniform on [0.5, 1.5): the scale of a norm
    ``*weight``, more dimensions    sqrt(2 / fan_in) times standard normal
    any other                       0.1 times standard normal
    ==============================  =========================================

    ``fan_in`` is the product of all dimensions but the first: of a convolution, input channels
    per group times kernel height times kernel width.
    """
    shape = tuple(int(n) for n in shape)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    kind = name.rpartition(".")[2]
    if kind == "running_var" or (kind == "weight" and len(shape) == 1):
        values = rng.uniform(0.5, 1.5, shape)
    elif kind.endswith("weight") and len(shape) > 1:
        values = math.sqrt(2.0 / math.prod(shape[1:])) * rng.standard_normal(shape)
    else:
        values = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def generate_input(shape: Sequence[int], seed: int) -> torch.Tensor:
    """Make the float32 input: standard normal from ``numpy.random.default_rng(seed)``."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal(tuple(int(n) for n in shape)).astype(np.float32))


def sample_stride(numel: int) -> int:
    """Distance between the sampled elements of a flattened tensor of ``numel`` elements."""
    return max(numel // SAMPLES, 1)


def sample(tensor: torch.Tensor) -> torch.Tensor:
    """Take elements 0, s, 2s, ... (at most 64) of the tensor flattened in C order."""
    return tensor.detach().flatten()[:: sample_stride(tensor.numel())][:SAMPLES]
