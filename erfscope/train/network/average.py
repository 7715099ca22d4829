"""The running average of a network's weights."""

from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Follows a network: w̄ ← decay · w̄ + (1 − decay) · w after each step, of batch norms' statistics, too.

    Parameters
    ----------
    network
        A second network of the same structure, which holds the average; it starts as the weights after the
        first step.
    decay
        Share of the old average in the new one, in 0 to 1.
    """

    # Torch's AveragedModel would keep a deep copy of its own; the network is built anew instead.
    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network.requires_grad_(False).eval()
        self.steps = 0
        self._move: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Update the average by the network's weights after a step."""
        ours, theirs = (list(chain(each.parameters(), each.buffers())) for each in (self.network, network))
        for kind in {tensor.dtype for tensor in ours}:
            pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one.dtype == kind]
            averaged, new = ([pair[place] for pair in pairs] for place in (0, 1))
            if self.steps and kind.is_floating_point:
                self._move(averaged, new, self.steps)
            else:
                torch._foreach_copy_(averaged, new)
        self.steps += 1
