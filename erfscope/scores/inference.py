"""Predict a class for every pixel of an image: whole or by a sliding window, at several scales, flipped.

As mmsegmentation does it (its `whole_inference`, `slide_inference` and `SegTTAModel`), except for images at
other scales, which mmsegmentation rounds to 8 bits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import ScoreError
from erfscope.model.logits import logits_of
from erfscope.records.choices import MODES
from erfscope.scores.padding import Padded
from erfscope.zoo.blocks import resize_like

SizePx = tuple[int, int]
Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Inference:
    """How predictions are made.

    Attributes
    ----------
    mode
        "whole": each image in one piece; "slide": window by window, the logits averaged where they overlap.
    crop, stride
        (height, width) of the window and of its steps, px; unused for "whole".
    scales
        Factors on the image's size; probabilities are averaged over all of them.
    short_side
        What an image's shorter side is scaled to before that, px, or None: mmsegmentation tests on ADE20K,
        VOC and COCO-Stuff at 512. The classes are those of the image's own pixels all the same.
    flip
        Whether to average also over the image mirrored left to right.
    threshold
        Probability above which a network of one logit predicts class 1.
    batch_size
        Windows that go through the network at once.
    """

    mode: str = "whole"
    crop: SizePx | None = None
    stride: SizePx | None = None
    scales: tuple[float, ...] = (1.0,)
    short_side: int | None = None
    flip: bool = False
    threshold: float = 0.5
    batch_size: int = 1

    def __post_init__(self) -> None:
        """Check the values; raise `ScoreError` for one that can't be used."""
        if self.mode not in MODES:
            raise ScoreError(f"no mode of inference is called {self.mode!r}; expected {' or '.join(MODES)}")
        if not self.scales or not all(0.05 <= scale <= 20 for scale in self.scales):
            raise ScoreError(f"scales {list(self.scales)}: expected numbers from 0.05 to 20")
        if self.short_side is not None and self.short_side < 1:
            raise ScoreError(f"a shorter side of {self.short_side} px: expected at least 1")
        if self.batch_size < 1 or not 0 < self.threshold < 1:
            raise ScoreError(
                f"batch size {self.batch_size}, threshold {self.threshold}: expected at least 1, and a "
                "probability between 0 and 1"
            )
        if self.mode == "slide":
            self._check_window()

    def _check_window(self) -> None:
        if self.crop is None or self.stride is None:
            raise ScoreError("a sliding window needs its size; give --crop HxW, such as the training crop")
        if min(*self.crop, *self.stride) < 1:
            raise ScoreError(f"window {self.crop} at steps of {self.stride}: expected at least 1 px a side")
        if any(step > side for step, side in zip(self.stride, self.crop, strict=True)):
            raise ScoreError(
                f"steps of {_size(self.stride)} px leave gaps between windows of {_size(self.crop)} px; give "
                "a --stride that is no larger than --crop"
            )

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def usual_stride(crop: SizePx) -> SizePx:
    """Return the stride of a window, px: two thirds of its side, as in mmsegmentation's configs.

    341 for 512, 513 for 769, 85 for 128.
    """
    height, width = ((side - side % 2) * 2 // 3 + side % 2 for side in crop)
    return height, width


class Predictor:
    """Predicts the classes of images, one at a time.

    Parameters
    ----------
    network
        Maps normalized images (N, 3, H, W) to logits (N, K, h, w) of any size, or a container of them.
        Logits are resized bilinearly by its `align_corners`, False if it has no such attribute.
    inference
        How predictions are made.
    """

    def __init__(self, network: nn.Module, inference: Inference) -> None:
        self.inference = inference
        self.align_corners = bool(getattr(network, "align_corners", False))
        self._padded = Padded(self._logits)
        self._network = network

    @property
    def multiple(self) -> int:
        """Number of pixels, to a multiple of which images are padded; 1 for a network that takes any size."""
        return self._padded.multiple

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        """Map an image (3, H, W) to the scores (K, H, W) from which its classes are chosen.

        These are probabilities, averaged over scales and flips; with a single view of several classes they
        are logits, which have the same order.
        """
        total: torch.Tensor | None = None
        views = 0
        for view in self._views(image[None]):
            views += 1
            total = view if total is None else total.add_(view)
        assert total is not None
        return total[0] if views == 1 else total[0].div_(views)

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """Choose the classes (H, W) int64 from the result of `scores`."""
        return (scores[0] > self.inference.threshold).long() if len(scores) == 1 else scores.argmax(0)

    def _views(self, image: torch.Tensor) -> Iterator[torch.Tensor]:
        several = len(self.inference.scales) > 1 or self.inference.flip
        short = self.inference.short_side
        first = 1.0 if short is None else short / min(image.shape[-2:])
        for scale in self.inference.scales:
            scaled = resize_image(image, first * scale)
            for mirrored in (False, True) if self.inference.flip else (False,):
                logits = self._view(scaled.flip(-1)).flip(-1) if mirrored else self._view(scaled)
                logits = self._resize(logits, image)
                if logits.shape[1] == 1:
                    yield logits.sigmoid()
                else:
                    yield logits.softmax(1) if several else logits

    def _view(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) → logits (1, K, H, W)."""
        how = self.inference
        if how.mode == "whole" or how.crop is None or how.stride is None:
            return self._padded(image)
        return slide(self._padded, image, how.crop, how.stride, how.batch_size)

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → logits (N, K, H, W)."""
        height, width = images.shape[-2:]
        return self._resize(logits_of(self._network(images), (height, width)), images)

    def _resize(self, logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        if logits.shape[-2:] == image.shape[-2:]:
            return logits
        return resize_like(logits, image, align_corners=self.align_corners)


def resize_image(image: torch.Tensor, scale: float) -> torch.Tensor:
    """Scale images (N, C, H, W) bilinearly, without antialiasing, to the size that mmcv would give them."""
    height, width = image.shape[-2:]
    size = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    if size == (height, width):
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def slide(
    forward: Forward, image: torch.Tensor, crop: SizePx, stride: SizePx, batch_size: int = 1
) -> torch.Tensor:
    """Average the logits of overlapping windows.

    Parameters
    ----------
    forward
        Maps windows (N, 3, h, w) to logits (N, K, h, w).
    image
        (1, 3, H, W).
    crop, stride, batch_size
        As in `Inference`.

    Returns
    -------
    Tensor
        Logits (1, K, H, W).
    """
    height, width = image.shape[-2:]
    places = window_places((height, width), crop, stride)
    h, w = min(crop[0], height), min(crop[1], width)
    total: torch.Tensor | None = None
    count = image.new_zeros(height, width)
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        logits = forward(torch.cat([image[:, :, y : y + h, x : x + w] for y, x in batch]))
        if total is None:
            total = logits.new_zeros(1, logits.shape[1], height, width)
        for (y, x), window in zip(batch, logits, strict=True):
            total[0, :, y : y + h, x : x + w] += window
            count[y : y + h, x : x + w] += 1
    assert total is not None
    return total.div_(count)


def window_places(size: SizePx, crop: SizePx, stride: SizePx) -> Sequence[tuple[int, int]]:
    """Return the upper left corners (y, x) of the windows, row by row; the last ones lie against the edge."""
    ys, xs = (
        [max(0, min(i * step, length - side)) for i in range(max(0, -(-(length - side) // step)) + 1)]
        for length, side, step in zip(size, crop, stride, strict=True)
    )
    return [(y, x) for y in ys for x in xs]


def _size(size: SizePx) -> str:
    return "×".join(map(str, size))
