"""Backbone, neck and head: the network that every other room is handed."""

import torch
from torch import nn

from erfscope.model.network import Network
from erfscope.zoo.blocks import resize_like


class Segmentor(Network):
    """Backbone, perhaps a neck, and a head; the logits are resized bilinearly to the image's size.

    Parameters
    ----------
    backbone
        Image → a sequence of maps; its `output_stride` is the largest stride of those.
    head
        Maps → logits; its `classifier_weight` names the classifier's weight, its `rates` are those of
        its atrous convolutions, None without any.
    neck
        Maps → maps, or None.
    head_name
        The attribute that holds the head.
    align_corners
        Whether corners are aligned in the final resizing (mmsegmentation sets it for its 769×769 networks).
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        neck: nn.Module | None = None,
        head_name: str,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.backbone, self.neck = backbone, neck
        self.add_module(head_name, head)
        self.head_name = head_name
        self.align_corners = align_corners

    @property
    def head(self) -> nn.Module:
        """The head, under whatever name."""
        return self.get_submodule(self.head_name)

    @property
    def classifier_weight(self) -> str:
        """Name of the classifier's weight (K, C, …) in the state dict, from which K can be read."""
        return f"{self.head_name}.{self.head.classifier_weight}"

    @property
    def classifier_weights(self) -> tuple[str, ...]:
        """Names of all classifiers' weights: of several where their logits are summed."""
        names = getattr(self.head, "classifier_weights", (self.head.classifier_weight,))
        return tuple(f"{self.head_name}.{name}" for name in names)

    @property
    def output_stride(self) -> int:
        """The largest stride of the backbone's maps."""
        stride: int = self.backbone.output_stride  # type: ignore[assignment]
        return stride

    @property
    def rates(self) -> tuple[int, ...] | None:
        """Atrous rates of the head; None without any."""
        rates: tuple[int, ...] | None = getattr(self.head, "rates", None)
        return rates

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) to logits (N, K, H, W)."""
        maps = self.backbone(image)
        logits = self.head(maps if self.neck is None else self.neck(maps))
        return resize_like(logits, image, align_corners=self.align_corners)
