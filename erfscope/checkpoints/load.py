"""The front door: what `--model` and the options beside it say → a network with its info attached."""

from importlib import import_module
from pathlib import Path
from typing import Any

from erfscope.checkpoints.detect import detect
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network

_FORMATS = "erfscope.checkpoints.formats"
#: Format → the module of its reader, imported where it is needed.
READERS = {
    "catalog": f"{_FORMATS}.catalog_reader",
    "exported": f"{_FORMATS}.exported_reader",
    "factory": f"{_FORMATS}.factory",
    "hf": f"{_FORMATS}.hf",
    "onnx": f"{_FORMATS}.onnx_reader",
    "pickled": f"{_FORMATS}.pickled_reader",
    "plugin": f"{_FORMATS}.plugin_reader",
    "smp": f"{_FORMATS}.smp",
    "timm": f"{_FORMATS}.timm",
    "torchscript": f"{_FORMATS}.torchscript",
    "torchvision": f"{_FORMATS}.torchvision",
    "weights": f"{_FORMATS}.tensors_reader",
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
    """Build a network of the catalog, or the one that a checkpoint describes, and give it weights.

    Parameters
    ----------
    spec
        A name from `erfscope models`, such as "deeplabv3"; a checkpoint file or folder of any supported
        format; "torchvision:NAME", "smp:FOLDER", "hf:FOLDER", "timm:NAME" (the last three also with an id
        of the Hugging Face hub); or "package.module:function", which returns a network.
    checkpoint
        Weights for a named network (.safetensors, or torch's, read with `weights_only=True`). Without
        them it has random ones drawn from `seed`.
    config
        The description of a checkpoint that holds none: mmsegmentation's config file, or the config.json
        of segmentation_models_pytorch or transformers. It is read, never executed.
    trust
        Allow what may run code of the file: exported programs, pickled modules.
    allow_partial
        Load a file that doesn't match the network well; the rest stays random.
    seed
        Of the random weights.
    **options
        backbone, output_stride, rates, num_classes, align_corners and more, as the network has them;
        see `zoo.catalog.table.describe_network`. Without `num_classes`, a checkpoint's classifier
        decides. For a checkpoint with its config: output_stride, rates (kept the same in pixels at
        another stride unless given) and align_corners. For torchvision and timm: pretrained, True to
        download their own weights. For timm: head, the name of a network of the catalog whose head
        reads its maps. For a function: its arguments.

    Returns
    -------
    Network
        Maps a normalized (N, 3, H, W) float32 tensor to logits (N, K, H, W); in eval mode, on the CPU;
        `.info` is its `ModelInfo`.

    Raises
    ------
    NetworkError, CheckpointError
        What can't be built, read or matched.
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
    reader = import_module(READERS[detect(request).format])
    network: Network = reader.read(request)
    return network
