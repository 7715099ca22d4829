"""Runs any `nn.Module` up to the map in which the unit lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.errors import ComputeError, suggest
from erfscope.model.logits import channels_first, logits_of


class UnitMap(nn.Module):
    """A network up to the map in which the unit lies: images (N, 3, H, W) → (N, K, h, w).

    Parameters
    ----------
    model
        The network.
    layer
        Dotted name of the layer whose feature map it is, returned with its channels second; the end of
        the name will do where no other layer's name ends so. None for the logits.
    resize
        Resize low-resolution logits bilinearly to the images' size. A feature map is never resized.
    """

    def __init__(self, model: nn.Module, layer: str | None, *, resize: bool) -> None:
        super().__init__()
        self.model, self.layer, self.resize = model, layer, resize

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run the network.

        Raises
        ------
        ComputeError
            There is no such layer, it takes no part or returns no feature map; or there are no logits.
        """
        size = (images.shape[-2], images.shape[-1])
        if self.layer is None:
            logits = logits_of(self.model(images), size)
            if self.resize and logits.shape[-2:] != size:
                logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            return logits
        with _captured_output(_find_layer(self.model, self.layer)) as outputs:
            self.model(images)
        if not outputs:
            raise ComputeError(f"layer {self.layer} took no part in the forward pass; name one that does")
        features = outputs[-1]
        if not isinstance(features, torch.Tensor) or features.ndim != 4:
            raise ComputeError(
                f"layer {self.layer} returns no feature map (N, C, h, w); name a layer that does"
            )
        return channels_first(features, size)


def _find_layer(model: nn.Module, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = dict(model.named_modules())
    ending = [name] if name in layers else [each for each in layers if each.endswith(f".{name}")]
    if len(ending) == 1:
        return layers[ending[0]]
    if ending:
        raise ComputeError(
            f"several layers are called {name!r}: {', '.join(ending[:4])}; give more of one's name"
        )
    top_level = f"top level: {', '.join(dict(model.named_children()))}"
    raise ComputeError(f"the network has no layer {name!r}; {suggest(name, layers, otherwise=top_level)}")


@contextmanager
def _captured_output(layer: nn.Module) -> Iterator[list[Any]]:
    outputs: list[Any] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        # A copy, since the next layer may be an in-place ReLU, which would change what was returned.
        outputs.append(output.clone() if isinstance(output, torch.Tensor) else output)

    handle = layer.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()
