"""What every head of mmsegmentation's naming shares: its input maps, dropout, the classifier `conv_seg`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from erfscope.errors import NetworkError
from erfscope.zoo.blocks import RELU, Config, ConvNormAct, resize_like


class Head(nn.Module):
    """Base of the heads; a subclass computes `features` and this class classifies them.

    Parameters and their defaults are mmsegmentation's.

    Parameters
    ----------
    in_channels
        Channels of the map that is read, or of each of several maps.
    channels
        Width of the features that the classifier reads.
    num_classes
        Classes of the data set.
    out_channels
        K, the number of logits, where it isn't `num_classes`: 1 for foreground against background.
    dropout_ratio
        Before the classifier.
    norm_cfg, act_cfg
        Norm and activation of the head's convolutions; None for none.
    in_index
        Which of the maps are read, one or several.
    input_transform
        None for one map; "multiple_select" for several; "resize_concat" for several that are resized to
        the first's size and joined.
    align_corners
        Whether corners are aligned in the head's own resizing and of that of its logits.
    """

    #: Name of the classifier's weight (K, C, …) inside the head.
    classifier_weight = "conv_seg.weight"
    #: Atrous rates of the head, for the record; None without any.
    rates: tuple[int, ...] | None = None

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        out_channels: int | None = None,
        dropout_ratio: float = 0.1,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = RELU,
        in_index: int | Sequence[int] = -1,
        input_transform: str | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if input_transform is not None and isinstance(in_index, int):
            raise NetworkError(f"input_transform {input_transform!r} needs several maps, not one")
        self.in_channels: Any = in_channels
        if input_transform == "resize_concat" and not isinstance(in_channels, int):
            self.in_channels = sum(in_channels)
        self.channels, self.num_classes = channels, num_classes
        self.out_channels = num_classes if out_channels is None else out_channels
        self.norm_cfg, self.act_cfg = norm_cfg, act_cfg
        self.in_index, self.input_transform, self.align_corners = in_index, input_transform, align_corners
        self.dropout = nn.Dropout2d(dropout_ratio)
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1)

    @property
    def conv(self) -> partial[ConvNormAct]:
        """Make convolutions with the head's norm and activation."""
        return partial(ConvNormAct, norm=self.norm_cfg, activation=self.act_cfg)

    def select(self, maps: Sequence[torch.Tensor]) -> Any:
        """Take from the backbone's maps, finest first, the one (or the list of those) that is read."""
        if isinstance(self.in_index, int):
            return maps[self.in_index]
        chosen = [maps[i] for i in self.in_index]
        if self.input_transform == "resize_concat":
            resized = [resize_like(x, chosen[0], align_corners=self.align_corners) for x in chosen]
            return torch.cat(resized, dim=1)
        return chosen

    def features(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → (N, channels, h, w)."""
        raise NotImplementedError

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Backbone maps, finest first → logits (N, K, h, w)."""
        logits: torch.Tensor = self.conv_seg(self.dropout(self.features(maps)))
        return logits
