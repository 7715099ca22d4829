"""The network as it is trained: with an auxiliary head, which is left out afterwards."""

import torch
from torch import nn

from erfscope.errors import TrainError
from erfscope.train.losses import Loss, reduce_label
from erfscope.train.recipes.recipe import NetworkRecipe
from erfscope.zoo.blocks import resize_like
from erfscope.zoo.build import make_part
from erfscope.zoo.initialize import initialize
from erfscope.zoo.segmentor import Segmentor

_WIDEST = 256


class TrainedNetwork(nn.Module):
    """A network and, if any, its auxiliary head.

    Parameters
    ----------
    network
        The network that is trained and later exported.
    auxiliary
        A head on the backbone's maps, or None.
    """

    def __init__(self, network: Segmentor, auxiliary: nn.Module | None) -> None:
        super().__init__()
        self.network, self.auxiliary = network, auxiliary

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map normalized images (N, 3, H, W) to logits (N, K, h, w) of each head, the auxiliary one last."""
        maps = self.network.backbone(image)
        logits = self.network.head(maps if self.network.neck is None else self.network.neck(maps))
        return (logits,) if self.auxiliary is None else (logits, self.auxiliary(maps))


def make_auxiliary(
    network: Segmentor, recipe: NetworkRecipe, num_classes: int, seed: int
) -> nn.Module | None:
    """Build the auxiliary head with random weights: one 3×3 convolution, as mmsegmentation's.

    Raises
    ------
    TrainError
        The backbone has no map of that index.
    """
    if not recipe.auxiliary_weight:
        return None
    channels = tuple(getattr(network.backbone, "channels", ()))
    index = recipe.auxiliary_map
    if not -len(channels) <= index < len(channels) or getattr(network.backbone, "output_cls_token", False):
        raise TrainError(
            f"an auxiliary head can't read map {index}: the backbone gives {len(channels)} maps; give "
            "network.auxiliary_map, or network.auxiliary_weight 0"
        )
    width = recipe.auxiliary_channels or min(max(channels[index] // 4, 1), _WIDEST)
    head = make_part(
        {
            "type": "FCNHead",
            "in_channels": channels[index],
            "channels": width,
            "in_index": index,
            "num_convs": 1,
            "concat_input": False,
            "num_classes": num_classes,
            "norm_cfg": {"type": "BN"},
            "align_corners": recipe.align_corners,
        }
    ).to_empty(device="cpu")
    initialize(head, ("conv_seg.weight",), seed)
    return head


def total_loss(
    outputs: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    loss: Loss,
    *,
    auxiliary_weight: float,
    align_corners: bool,
) -> torch.Tensor:
    """Return the loss of all heads, a scalar.

    Parameters
    ----------
    outputs
        Logits (N, K, h, w) of each head, as `TrainedNetwork` returns them.
    label
        (N, H, W) int64; the logits are enlarged to it, or it is reduced to them (`loss.supervise`).
    auxiliary_weight
        Weight of the auxiliary head's loss.
    align_corners
        How logits and labels are resized.
    """
    total: torch.Tensor | None = None
    for place, output in enumerate(outputs):
        logits = output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
        truth = label
        if loss.recipe.supervise == "labels":
            height, width = logits.shape[-2:]
            truth = reduce_label(label, (height, width), align_corners=align_corners)
        else:
            logits = resize_like(logits, label, align_corners=align_corners)
        part = loss(logits, truth) if not place else auxiliary_weight * loss.auxiliary(logits, truth)
        total = part if total is None else total + part
    assert total is not None
    return total
