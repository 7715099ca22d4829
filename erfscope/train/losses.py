"""Losses: weighted cross-entropy and Dice, over all pixels or the hard ones.

All are means over pixels or images, ignored ones counting as zero, as mmsegmentation has them: the loss of
a batch is the mean of those of its halves, so that processes and accumulated passes give the gradient of
the whole. Only the choice of hard pixels is made among those of one pass.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from erfscope.datasets import IGNORE
from erfscope.errors import TrainError
from erfscope.train.recipes.recipe import LossRecipe

_SMOOTH = 1.0  # of Dice, as in V-Net's descendants: an absent class that isn't predicted costs nothing


@dataclass(frozen=True)
class Loss:
    """The loss of logits at any resolution.

    Attributes
    ----------
    recipe
        Which losses are added, with which weights.
    class_weights
        (K,), or None for equal weights.
    """

    recipe: LossRecipe
    class_weights: torch.Tensor | None

    @classmethod
    def from_recipe(
        cls, recipe: LossRecipe, num_classes: int, device: torch.device, dtype: torch.dtype
    ) -> "Loss":
        """Make the loss of a recipe.

        Raises
        ------
        TrainError
            There isn't one class weight for each class, or both losses have weight 0.
        """
        if not recipe.cross_entropy and not recipe.dice:
            raise TrainError(
                "loss: nothing to minimize; give loss.cross_entropy or loss.dice a weight above 0"
            )
        if not recipe.class_weights:
            return cls(recipe, None)
        if len(recipe.class_weights) != num_classes:
            given = len(recipe.class_weights)
            raise TrainError(f"loss: {given} class weights for {num_classes} classes; give one for each")
        return cls(recipe, torch.tensor(recipe.class_weights, device=device, dtype=dtype))

    def __call__(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Map logits (N, K, h, w) and classes (N, h, w) int64, `IGNORE` for none, to the loss, a scalar."""
        total = self.auxiliary(logits, label) if not self.recipe.ohem else self._hard(logits, label)
        if self.recipe.dice:
            total = total + self.recipe.dice * dice(logits, label, self.class_weights)
        return total

    def auxiliary(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the plain cross-entropy, which is the loss of an auxiliary head."""
        return self.recipe.cross_entropy * cross_entropy(logits, label, self.class_weights).mean()

    def _hard(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        chosen = hard_pixels(logits, label, self.recipe.ohem_probability, self.recipe.ohem_kept)
        return self.recipe.cross_entropy * (cross_entropy(logits, label, self.class_weights) * chosen).mean()


def cross_entropy(logits: torch.Tensor, label: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the (N, h, w) cross-entropy of every pixel, 0 where it is ignored."""
    return F.cross_entropy(logits, label, weights, ignore_index=IGNORE, reduction="none")


def dice(logits: torch.Tensor, label: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the mean over images and classes of 1 − (2 Σ p y + 1) / (Σ p² + Σ y² + 1).

    p is the softmax, y one where the pixel is of the class, else zero; sums are over an image's pixels but
    the ignored ones (V-Net, arXiv 1606.04797; with the smoothing of mmsegmentation).
    """
    valid = (label != IGNORE)[:, None]
    shares = logits.softmax(1) * valid
    truth = torch.zeros_like(shares).scatter_(1, label.clamp(max=logits.shape[1] - 1)[:, None], 1.0) * valid
    common = (shares * truth).sum((2, 3))
    sizes = (shares.square() + truth).sum((2, 3))
    losses = 1 - (2 * common + _SMOOTH) / (sizes + _SMOOTH)
    return (losses if weights is None else losses * weights).mean()


@torch.no_grad()
def hard_pixels(logits: torch.Tensor, label: torch.Tensor, probability: float, kept: int) -> torch.Tensor:
    """Return an (N, h, w) mask of online hard example mining, as mmsegmentation's OHEMPixelSampler.

    A pixel is hard if its class has a probability below `probability`; that limit is raised until `kept` · N
    pixels are hard, if there are as many.
    """
    valid = label != IGNORE
    own = logits.softmax(1).gather(1, label.masked_fill(~valid, 0)[:, None])[:, 0]
    ordered = own[valid].sort().values
    if not len(ordered):
        return valid
    least = ordered[min(kept * len(label), len(ordered) - 1)]
    return valid & (own < least.clamp(min=probability))


def reduce_label(label: torch.Tensor, size: tuple[int, int], *, align_corners: bool) -> torch.Tensor:
    """Reduce labels (N, H, W) to (N, h, w): the nearest label to each sample of bilinear resizing."""
    rows, columns = (
        _sample_positions(full, part, align_corners).to(label.device)
        for full, part in zip(label.shape[-2:], size, strict=True)
    )
    return label[:, rows][:, :, columns]


def _sample_positions(full: int, part: int, align_corners: bool) -> torch.Tensor:
    steps = torch.arange(part, dtype=torch.float64)
    aligned, centered = steps * ((full - 1) / max(part - 1, 1)), (steps + 0.5) * (full / part) - 0.5
    places = aligned if align_corners else centered
    return places.round().long().clamp(0, full - 1)
