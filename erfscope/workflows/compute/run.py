"""A run: a network, images and wishes, and what makes it the one that it is."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from erfscope.engine.image_order import ImageOrder
from erfscope.engine.image_source import ImageSource
from erfscope.model.network import name_of
from erfscope.workflows.compute.identity import identify
from erfscope.workflows.compute.wishes import Wishes


@dataclass(frozen=True)
class Run:
    """What is to be computed.

    Attributes
    ----------
    source
        The images, `open_source` of what the caller gave.
    """

    model: nn.Module
    source: ImageSource
    wishes: Wishes

    @property
    def name(self) -> str:
        """The network's."""
        return name_of(self.model)

    @cached_property
    def image_order(self) -> ImageOrder:
        """Which images, in which order."""
        wishes = self.wishes
        return ImageOrder(
            self.source, wishes.shard, wishes.replicates, wishes.seed, shuffled=wishes.until is not None
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the map's numbers: equal for runs of which one may go on where the other ended."""
        return identify(self.model, self.source.description, self.image_order.names, self.wishes.decisive())
