"""Exported programs, which may take one size of image alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from erfscope.errors import ComputeError, one_line


class FixedSizeProgram(nn.Module):
    """Runs an exported program on images of its size, and refuses others in one line.

    Parameters
    ----------
    program
        Takes images (N, 3, H, W).
    sizes
        N, 3, H and W that it was exported for, each None where it may be any.
    """

    def __init__(self, program: nn.Module, sizes: Sequence[int | None]) -> None:
        super().__init__()
        self.program, self.sizes = program, tuple(sizes)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(H, W) of the images, px; None if they may have any."""
        _, _, height, width = self.sizes
        return None if height is None or width is None else (height, width)

    def forward(self, image: torch.Tensor) -> Any:
        """Run the program on images (N, 3, H, W); `ComputeError` for a shape that it doesn't take."""
        if any(
            size is not None and size != given for size, given in zip(self.sizes, image.shape, strict=True)
        ):
            raise ComputeError(self._refusal(image.shape))
        try:
            return self.program(image)
        except AssertionError as error:  # a free size has bounds all the same
            raise ComputeError(
                f"the program does not take images of {image.shape[2]}×{image.shape[3]} px "
                f"({one_line(error)}); try another --size"
            ) from error

    def _refusal(self, shape: Sequence[int]) -> str:
        batch, _, height, width = ("any" if size is None else size for size in self.sizes)
        return (
            f"the program was exported for images of {height}×{width} px in batches of {batch}, not for "
            f"{shape[2]}×{shape[3]} in batches of {shape[0]}; give --size {height}x{width}, or export it "
            "with free sizes"
        )
