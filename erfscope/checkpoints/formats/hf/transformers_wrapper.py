"""A network of transformers as a `Network`: from images to what it takes, and from its output to logits."""

from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from erfscope.checkpoints.formats.hf.hf_config import MASK_NETWORKS, SEMANTIC_TASK
from erfscope.checkpoints.formats.hf.hf_preprocessing import size_of
from erfscope.checkpoints.wrappers.library_network import LibraryNetwork, Pick
from erfscope.errors import ComputeError
from erfscope.records.model_info import ModelInfo

# Those whose position embeddings are neither resized nor computed.
_FIXED_SIZE = ("data2vec-vision", "eomt", "eomt_dinov3")
# Its neck takes the tokens for a square.
_SQUARE = ("dpt",)
# Mask2Former's image processor brings all masks to this size before it joins them.
_MASK_SIZE = (384, 384)


class TransformersNetwork(LibraryNetwork):
    """Runs a segmentation network of transformers and returns logits of the image's size.

    Parameters
    ----------
    network
        In eval mode, with a transformers config that `read_config` made.
    info
        Where it comes from.
    """

    task: torch.Tensor | None

    def __init__(self, network: nn.Module, info: ModelInfo) -> None:
        self.config: Any = network.config
        super().__init__(network, info, _pick(self.config))
        self.register_buffer("task", _task(self.config), persistent=False)
        _fix_masking(network)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map images (N, 3, H, W) to logits (N, K, H, W); `ComputeError` for a size it does not take."""
        _refuse_size(self.config, (image.shape[-2], image.shape[-1]))
        task = () if self.task is None else (self.task.expand(len(image), -1),)
        return self._logits(self.network(image, *task), image)


def _pick(config: Any) -> Pick:
    if config.model_type not in MASK_NETWORKS:
        return attrgetter("logits")
    if config.model_type == "mask2former":
        return partial(_join_masks, size=_MASK_SIZE)
    # EoMT's image processor brings masks to the size of its images.
    return partial(_join_masks, size=size_of(config.image_size) if config.model_type in _FIXED_SIZE else None)


def _join_masks(output: Any, size: tuple[int, int] | None) -> torch.Tensor:
    """Score classes (N, K, h, w) as image processors do: by the masks, weighted with their classes.

    `size`, (h, w), is that to which masks are resized first; None to leave them as they are.
    """
    classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last one is "nothing"
    masks = output.masks_queries_logits
    if size is not None:
        masks = F.interpolate(masks, size=size, mode="bilinear", align_corners=False)
    return torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid())


def _task(config: Any) -> torch.Tensor | None:
    if config.model_type != "oneformer":
        return None
    filling = config.task_seq_len - len(SEMANTIC_TASK)
    return torch.tensor([SEMANTIC_TASK + (0,) * filling])


def _fix_masking(network: Any) -> None:
    """Let EoMT ask numbers, not tensors, which of its layers mask attention: no graph holds the question."""
    probabilities = getattr(network, "attn_mask_probs", None)
    if isinstance(probabilities, torch.Tensor):
        del network.attn_mask_probs
        network.attn_mask_probs = probabilities.tolist()
        if any(network.attn_mask_probs):
            # Its masks stay float32, which torch's fused attention misreads beside float64.
            network.set_attn_implementation("eager")


def _refuse_size(config: Any, size: tuple[int, int]) -> None:
    kind, taken = config.model_type, size_of(getattr(config, "image_size", None))
    if kind in _FIXED_SIZE and taken is not None and size != taken:
        raise ComputeError(
            f"{kind} takes images of its own size alone, not {size[0]}×{size[1]} px; "
            f"give --size {taken[0]}x{taken[1]}"
        )
    if kind in _SQUARE and size[0] != size[1]:
        raise ComputeError(f"{kind} takes square images alone, not {size[0]}×{size[1]} px; give one side")
