"""The numbers that tensors hold, and those in which CUDA multiplies them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import torch

#: Name -> type of images, weights and gradients. Sums are always float64.
PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "float32": torch.float32,
        "float64": torch.float64,
        "bfloat16": torch.bfloat16,
        "tf32": torch.float32,  # multiplied with 10 bits of mantissa, on CUDA only
    }
)
REDUCED = ("bfloat16", "tf32")
"""Precisions whose maps are compared to float32 on the first images."""


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Multiply float32 in TF32 on CUDA within the block if `precision` is "tf32", else in full.

    By default torch takes TF32 for convolutions and float32 for matrix products.
    """
    backends = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield
    finally:
        for backend, setting in zip(backends, before, strict=True):
            backend.fp32_precision = setting
