"""Pad images for networks that take only multiples of their stride, such as other libraries' U-Nets."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from erfscope.errors import ErfscopeError, ScoreError, one_line
from erfscope.system.memory import translate_out_of_memory

MULTIPLE = 32
"""Stride of the usual encoders, px; networks of a smaller stride take its multiples, too."""


class Padded:
    """Runs a network on images of any size: one that refuses a size is tried on padded images.

    Zeros, which are the mean color of a normalized image, are added at the right and at the bottom, as
    mmsegmentation's `size_divisor` does, and cut off the logits again. Once a network has refused a size,
    all images are padded.

    Parameters
    ----------
    forward
        Maps images (N, 3, H, W) to logits (N, K, H, W).

    Attributes
    ----------
    multiple
        Sides are padded to multiples of this, px: 1 until a size is refused.
    """

    def __init__(self, forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.forward = forward
        self.multiple = 1

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, 3, H, W) to logits (N, K, H, W).

        Raises
        ------
        ScoreError, ComputeError
            The network doesn't run on them, padded or not, or memory runs out.
        """
        try:
            return self._run(images, self.multiple)
        except ErfscopeError:
            raise
        except Exception as refusal:  # whatever a network raises at a size that it doesn't take
            height, width = images.shape[-2:]
            if self.multiple > 1 or (height % MULTIPLE == 0 and width % MULTIPLE == 0):
                raise _failure(images, refusal) from refusal
            first = refusal
        try:
            logits = self._run(images, MULTIPLE)
        except ErfscopeError:
            raise
        except Exception:
            raise _failure(images, first) from first
        self.multiple = MULTIPLE
        return logits

    def _run(self, images: torch.Tensor, multiple: int) -> torch.Tensor:
        height, width = images.shape[-2:]
        padding = (0, -width % multiple, 0, -height % multiple)
        remedy = "--mode slide with a smaller --crop, or a smaller --batch-size of windows"
        with translate_out_of_memory(f"a batch of {len(images)} × {height}×{width} px", remedy):
            logits = self.forward(F.pad(images, padding) if any(padding) else images)
        return logits[..., :height, :width]


def _failure(images: torch.Tensor, error: Exception) -> ScoreError:
    height, width = images.shape[-2:]
    return ScoreError(
        f"the network does not run on an image of {height}×{width} px ({one_line(error)}), nor on one padded "
        f"to multiples of {MULTIPLE} px; try another --size, or --mode slide with a --crop that it takes"
    )
