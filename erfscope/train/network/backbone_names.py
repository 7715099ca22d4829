"""Rename the tensors of other libraries' backbones to ours, which have mmsegmentation's names."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import functional as F

from erfscope.checkpoints.files.state_dict import StateDict

Rules = tuple[tuple[str, str], ...]

_TIMM_ENCODER: Rules = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
)
_SWIN_ATTENTION: Rules = ((r"\.attn\.", ".attn.w_msa."),)
_TIMM_SWIN: Rules = (*_TIMM_ENCODER, *_SWIN_ATTENTION, (r"^layers\.", "stages."))
# By type of backbone and library, regular expressions and their replacements, applied one after the other.
_RULES: Mapping[str, tuple[Rules, ...]] = MappingProxyType(
    {
        # timm's stems of three convolutions.
        "ResNet": (((r"^conv1\.(\d)\.", r"stem.\1."), (r"^bn1\.", "stem.7.")),),
        "VisionTransformer": (
            (  # timm, and the authors of DeiT
                *_TIMM_ENCODER,
                (r"^blocks\.", "layers."),
                (r"\.norm([12])\.", r".ln\1."),
                (r"\.attn\.qkv\.(weight|bias)", r".attn.attn.in_proj_\1"),
                (r"\.attn\.proj\.", ".attn.attn.out_proj."),
                (r"^norm\.", "ln1."),
            ),
            (  # torchvision
                (r"^class_token", "cls_token"),
                (r"^encoder\.pos_embedding", "pos_embed"),
                (r"^conv_proj\.", "patch_embed.projection."),
                (r"^encoder\.layers\.encoder_layer_", "layers."),
                (r"\.ln_([12])\.", r".ln\1."),
                (r"\.self_attention\.", ".attn.attn."),
                (r"\.mlp\.(0|linear_1)\.", ".ffn.layers.0.0."),
                (r"\.mlp\.(3|linear_2)\.", ".ffn.layers.1."),
                (r"^encoder\.ln\.", "ln1."),
            ),
        ),
        "SwinTransformer": (
            # timm has the merging at the beginning of the next stage, the authors at the end of their own.
            (*((rf"^layers\.{i}\.downsample", f"stages.{i - 1}.downsample") for i in (1, 2, 3)), *_TIMM_SWIN),
            _TIMM_SWIN,
            (  # torchvision: stages and mergings by turns
                (r"^features\.0\.0\.", "patch_embed.projection."),
                (r"^features\.0\.2\.", "patch_embed.norm."),
                *((rf"^features\.{2 * i + 1}\.", f"stages.{i}.blocks.") for i in range(4)),
                *((rf"^features\.{2 * i + 2}\.", f"stages.{i}.downsample.") for i in range(3)),
                (r"\.mlp\.0\.", ".ffn.layers.0.0."),
                (r"\.mlp\.3\.", ".ffn.layers.1."),
                *_SWIN_ATTENTION,
            ),
        ),
        "ConvNeXt": (
            (  # timm
                (r"^stem\.", "downsample_layers.0."),
                (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
                (r"^(stages\.\d\.)blocks\.", r"\1"),
                (r"\.conv_dw\.", ".depthwise_conv."),
                (r"\.mlp\.fc([12])\.", r".pointwise_conv\1."),
            ),
            (  # its authors
                (r"\.dwconv\.", ".depthwise_conv."),
                (r"\.pwconv([12])\.", r".pointwise_conv\1."),
            ),
            (  # torchvision: mergings and stages by turns, the stem first
                *((rf"^features\.{2 * i}\.", f"downsample_layers.{i}.") for i in range(4)),
                *((rf"^features\.{2 * i + 1}\.", f"stages.{i}.") for i in range(4)),
                (r"\.layer_scale$", ".gamma"),
                (r"\.block\.0\.", ".depthwise_conv."),
                (r"\.block\.2\.", ".norm."),
                (r"\.block\.3\.", ".pointwise_conv1."),
                (r"\.block\.5\.", ".pointwise_conv2."),
            ),
        ),
    }
)
# Norms of the backbone's output maps, which a classifier doesn't have.
_MAP_NORM = re.compile(r"norm\d\.")
_HAS_MAP_NORMS = ("SwinTransformer", "ConvNeXt")


def wanted_tensors(kind: str, state: StateDict) -> StateDict:
    """Return the tensors of a backbone that a classifier has, too."""
    return {
        name: tensor
        for name, tensor in state.items()
        if tensor.is_floating_point() and not (kind in _HAS_MAP_NORMS and _MAP_NORM.match(name))
    }


def namings(kind: str, state: StateDict, wanted: StateDict) -> Iterator[StateDict]:
    """Yield a file's tensors renamed to a backbone's names, once for each library that it may come from."""
    yield state
    for rules in _RULES.get(kind, ()):
        renamed = {_renamed(name, rules): tensor for name, tensor in state.items()}
        if kind == "SwinTransformer":
            renamed = {name: _unfolded(name, tensor) for name, tensor in renamed.items()}
        yield {name: _shaped(name, tensor, wanted) for name, tensor in renamed.items()}
    if kind.startswith("MobileNet"):
        yield _by_order(state, wanted)


def fit_positions(backbone: Any, state: StateDict) -> StateDict:
    """Resize a ViT's position embedding to the backbone's grid, and add the patch embedding's bias to it.

    Our patch embedding has no bias; it is the same at every position, so that the sum is exact.
    """
    positions = state.get("pos_embed")
    if positions is None or positions.ndim != 3 or not hasattr(backbone, "grid"):
        return state
    patches = positions[:, 1:].float()
    side = round(patches.shape[1] ** 0.5)
    if side**2 != patches.shape[1]:
        return state
    if (side, side) != tuple(backbone.grid):
        square = patches.transpose(1, 2).reshape(1, -1, side, side)
        resized = F.interpolate(square, size=backbone.grid, mode="bicubic", align_corners=False)
        patches = resized.flatten(2).transpose(1, 2)
    bias = state.get("patch_embed.projection.bias")
    if bias is not None:
        patches = patches + bias
    return {**state, "pos_embed": torch.cat([positions[:, :1].float(), patches], dim=1)}


def _renamed(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _unfolded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Sort the channels that Swin's merging joins by channel, not by neighbor, as `nn.Unfold` has them."""
    if not re.search(r"\.downsample\.(reduction|norm)\.", name) or tensor.shape[-1] % 4:
        return tensor
    neighbors = tensor.reshape(*tensor.shape[:-1], 4, -1)[..., [0, 2, 1, 3], :]
    return neighbors.transpose(-1, -2).flatten(-2)


def _shaped(name: str, tensor: torch.Tensor, wanted: StateDict) -> torch.Tensor:
    """Drop or add axes of length one where that gives the shape."""
    ours = wanted.get(name)
    squeezed = [side for side in tensor.shape if side != 1]
    if ours is None or squeezed != [side for side in ours.shape if side != 1]:
        return tensor
    return tensor.reshape(ours.shape)


def _by_order(state: StateDict, wanted: StateDict) -> StateDict:
    """Name the tensors by their order, which in MobileNets is the same everywhere, if all shapes agree.

    A file that has lost the order, as safetensors does, has torchvision's back by its numbers.
    """
    body = [name for name in state if not name.startswith("classifier.")]
    for order in (body, sorted(body, key=_natural)):
        pairs = list(zip(wanted, (state[name] for name in order), strict=False))
        if len(pairs) == len(wanted) and all(wanted[n].shape == tensor.shape for n, tensor in pairs):
            return dict(pairs)
    return {}


def _natural(name: str) -> tuple[list[tuple[int, str]], int]:
    """Sort modules by their numbers, and the tensors of each as torch registers them."""
    module, _, leaf = name.rpartition(".")
    kinds = ("weight", "bias", "running_mean", "running_var")
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in module.split(".")]
    return parts, kinds.index(leaf) if leaf in kinds else len(kinds)
