"""Programs that were exported for one size of image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.errors import ComputeError


class FixedSize(nn.Module):
    """Runs a program on images of its size, and refuses others in words.

    Parameters
    ----------
    program
        (N, 3, H, W) → what it returns.
    sizes
        N, 3, H, W, each None where it is free.
    """

    def __init__(self, program: nn.Module, sizes: Sequence[int | None]) -> None:
        super().__init__()
        self.program, self.sizes = program, tuple(sizes)

    @property
    def image(self) -> tuple[int, int] | None:
        """(H, W) of the images, None if any will do."""
        _, _, height, width = self.sizes
        return None if height is None or width is None else (height, width)

    def forward(self, image: torch.Tensor) -> Any:
        """Check the shape and run."""
        if any(
            size is not None and size != given for size, given in zip(self.sizes, image.shape, strict=True)
        ):
            raise ComputeError(self._refusal(image.shape))
        try:
            return self.program(image)
        except AssertionError as error:  # a free size has bounds all the same
            raise ComputeError(
                f"the program does not take images of {image.shape[2]}×{image.shape[3]} px "
                f"({' '.join(str(error).split())}); try another --size"
            ) from error

    def _refusal(self, shape: Sequence[int]) -> str:
        batch, _, height, width = ("any" if size is None else size for size in self.sizes)
        return (
            f"the program was exported for images of {height}×{width} px in batches of {batch}, not for "
            f"{shape[2]}×{shape[3]} in batches of {shape[0]}; give --size {height}x{width}, or export it "
            "with free sizes"
        )
