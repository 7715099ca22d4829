"""A backbone and a head: the network that every other room is handed."""

import torch
from torch import nn

from erfscope.records.network import ModelOrigin
from erfscope.zoo.backbones.resnet import ResNet
from erfscope.zoo.blocks import resize_like


class Segmentor(nn.Module):
    """Backbone and head; the logits are resized bilinearly to the image's size.

    Parameters
    ----------
    head_name
        The attribute that holds the head, hence the prefix of its parameters: mmsegmentation says
        `decode_head`, torchvision `classifier`.
    align_corners
        Of the final resizing (mmsegmentation sets it for its 769×769 networks).
    """

    #: What the network is and where its weights come from; set by `checkpoints.load_model`.
    origin: ModelOrigin

    def __init__(self, backbone: ResNet, head: nn.Module, *, head_name: str, align_corners: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.add_module(head_name, head)
        self.head_name = head_name
        self.align_corners = align_corners

    @property
    def classifier_weight(self) -> str:
        """Name of the classifier's weight (K, C, 1, 1) in the state dict, from which K can be read."""
        return f"{self.head_name}.{self.get_submodule(self.head_name).classifier_weight}"

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised image (N, 3, H, W) → logits (N, K, H, W)."""
        logits = self.get_submodule(self.head_name)(self.backbone(image))
        return resize_like(logits, image, align_corners=self.align_corners)
