"""Loads a network from what `--model` and the options beside it say."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from erfscope.checkpoints.detect import detect
from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.formats import (
    catalog_reader,
    exported_reader,
    onnx_reader,
    pickled_reader,
    plugin_reader,
    trained_reader,
)
from erfscope.checkpoints.formats.factory import factory_reader
from erfscope.checkpoints.formats.hf import hf_reader
from erfscope.checkpoints.formats.mmsegmentation import mmsegmentation_reader
from erfscope.checkpoints.formats.smp import smp_reader
from erfscope.checkpoints.formats.timm import timm_reader
from erfscope.checkpoints.formats.torchscript import torchscript_reader
from erfscope.checkpoints.formats.torchvision import torchvision_reader, torchvision_weights
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network

#: Format, as `detect` names it → its reader.
READERS: Mapping[str, Callable[[Request, Detection], Network]] = {
    "catalog": catalog_reader.read,
    "exported": exported_reader.read,
    "factory": factory_reader.read,
    "hf": hf_reader.read,
    "mmsegmentation": mmsegmentation_reader.read,
    "onnx": onnx_reader.read,
    "pickled": pickled_reader.read,
    "plug-in": plugin_reader.read,
    "plug-in network": plugin_reader.read_network,
    "smp": smp_reader.read,
    "timm": timm_reader.read,
    "torchscript": torchscript_reader.read,
    "torchvision": torchvision_reader.read,
    "torchvision weights": torchvision_weights.read,
    "trained": trained_reader.read,
}


def load_model(
    spec: str,
    *,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    trust: bool = False,
    allow_partial: bool = False,
    seed: int = 0,
    **options: Any,
) -> Network:
    """Build a network of the catalog, or the one that a checkpoint describes, and load its weights.

    Parameters
    ----------
    spec
        A name that `erfscope models` lists, such as "deeplabv3"; a checkpoint file or folder of any supported
        format; "torchvision:NAME", "smp:NAME", "hf:FOLDER", "timm:NAME" (the last three also with a folder
        or an id of the Hugging Face hub); or "package.module:function", which returns a network.
    checkpoint
        Weights for a named network (.safetensors, or torch's, read with `weights_only=True`). Without
        them its weights are random, drawn from `seed`.
    config
        The description of a checkpoint that holds none: mmsegmentation's config file, or the config.json
        of segmentation_models_pytorch or transformers. It is read, never executed.
    trust
        Allow what may run code of the file: exported programs, pickled modules.
    allow_partial
        Load a file that matches the network only in part; the rest stays random.
    seed
        Seed of the random weights.
    **options
        Options of the network: backbone, output_stride, rates, num_classes, align_corners and more, as
        `erfscope models -v` lists them; None takes the default. Without `num_classes`, a checkpoint's
        classifier decides. Of a network that its checkpoint describes, output_stride, rates (without
        them, kept the same in pixels at another stride) and align_corners can be changed. For torchvision and
        timm: pretrained, True to download their own weights; for timm: head, a network of the catalog
        whose head reads the feature maps. For a function: its arguments.

    Returns
    -------
    Network
        A module that maps normalized images (N, 3, H, W), float32, to logits (N, K, H, W), in eval mode, on
        the CPU; its `info` is a `ModelInfo`. `copy.deepcopy` copies it. It can be pickled unless torch or
        its library prevents that: TorchScript, exported programs, and some networks of transformers once
        they have run.

    Raises
    ------
    NetworkError
        There is no such network, or it can't be built with these options.
    CheckpointError
        The file can't be read safely, its format isn't known, or it doesn't match the network.
    PluginError
        Another package's reader or network fails.

    Examples
    --------
    >>> import torch
    >>> model = load_model("lraspp", backbone="mobilenet-v3-small", num_classes=4)
    >>> model(torch.zeros(1, 3, 65, 97)).shape
    torch.Size([1, 4, 65, 97])
    >>> model.info.weights.label
    'random weights (seed 0)'
    """
    request = Request(
        spec=spec,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        config=None if config is None else Path(config),
        trust=trust,
        allow_partial=allow_partial,
        seed=seed,
        options={name: value for name, value in options.items() if value is not None},
    )
    detection = detect(request)
    if detection.config is not None:  # found beside the weights, it counts like one that was given
        request = replace(request, config=detection.config)
    network = READERS[detection.format](request, detection)
    network.info = replace(network.info, detected_by=detection.detected_by)
    return network
