"""Attention between the positions of two maps, the block that several context heads are made of.

The block is that of the non-local network (arXiv 1711.07971) with the names of mmsegmentation's
`SelfAttentionBlock`.
"""

import torch
from torch import nn
from torch.nn import functional as F


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None = None
) -> torch.Tensor:
    """Sum the values of all positions, weighted by the softmax of scaled products of query and key.

    Parameters
    ----------
    query
        (N, C, h, w).
    key, value
        (N, C, …) and (N, D, …), with the same positions.
    scale
        Scale of the products; None: 1 / √C.

    Returns
    -------
    (N, D, h, w).
    """
    # The axis of the one attention head lets torch take its kernels that never hold all weights at once.
    q, k, v = (x.flatten(2).transpose(1, 2).unsqueeze(1) for x in (query, key, value))
    context = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return context.squeeze(1).transpose(1, 2).reshape(*value.shape[:2], *query.shape[2:])


class SelfAttentionBlock(nn.Module):
    """Projects a query map and a key map, and attends from the one to the other.

    Parameters
    ----------
    key_project, query_project, value_project
        Maps to maps of the same size. The first two may be one module: both names then stand in the state
        dict.
    out_project
        Projection of the context; None for none.
    key_downsample
        Makes fewer positions of the projected keys and values, (N, C, h, w) → (N, C, …); None for none.
    scale
        Scale of the products of query and key; None: 1 / √channels.
    """

    def __init__(
        self,
        *,
        key_project: nn.Module,
        query_project: nn.Module,
        value_project: nn.Module,
        out_project: nn.Module | None = None,
        key_downsample: nn.Module | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.key_project, self.query_project = key_project, query_project
        self.value_project, self.out_project = value_project, out_project
        self.key_downsample, self.scale = key_downsample, scale

    def forward(self, query_map: torch.Tensor, key_map: torch.Tensor) -> torch.Tensor:
        """Query map (N, C, h, w), key map of any size → context (N, D, h, w)."""
        key, value = self.key_project(key_map), self.value_project(key_map)
        if self.key_downsample is not None:
            key, value = self.key_downsample(key), self.key_downsample(value)
        context = attend(self.query_project(query_map), key, value, scale=self.scale)
        if self.out_project is not None:
            context = self.out_project(context)
        return context
