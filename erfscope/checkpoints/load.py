"""The front door: what `--model` and `--checkpoint` say → a network with its origin attached."""

from pathlib import Path
from typing import Any

from erfscope.checkpoints.blueprint import draw_from_file, draw_from_name
from erfscope.checkpoints.matching import comparable, load_weights
from erfscope.checkpoints.reading import file_sha256
from erfscope.errors import CheckpointError
from erfscope.records.network import ModelOrigin, WeightsReport
from erfscope.zoo.build import build_network
from erfscope.zoo.segmentor import Segmentor

# Of files that hold weights: what ends so is no network's name.
_SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")


def load_model(
    spec: str,
    *,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    allow_partial: bool = False,
    seed: int = 0,
    **options: Any,
) -> Segmentor:
    """Build a network of the catalogue, or the one that a checkpoint describes, and give it weights.

    Parameters
    ----------
    spec
        A name from `erfscope models`, such as "deeplabv3", or an mmsegmentation checkpoint.
    checkpoint
        Weights for a named network (.safetensors, or torch's, read with `weights_only=True`). Without
        them it stands on random ones drawn from `seed`.
    config
        An mmsegmentation config file for a checkpoint that holds none. It is read, never executed.
    allow_partial
        Load a file that doesn't match the network well; the rest stays random.
    seed
        Of the random weights.
    **options
        backbone, output_stride, rates, num_classes, align_corners and more, as the network has them;
        see `zoo.catalog.table.describe_network`. Without `num_classes`, a checkpoint's classifier
        decides. For a checkpoint with its config: output_stride, rates (kept the same in pixels at
        another stride unless given) and align_corners.

    Returns
    -------
    Segmentor
        Maps a normalised (N, 3, H, W) float32 tensor to logits (N, K, H, W); in eval mode, on the CPU;
        `.origin` is its `ModelOrigin`.

    Raises
    ------
    NetworkError, CheckpointError
        What can't be built, read or matched.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    if Path(spec).is_file() or Path(spec).suffix in _SUFFIXES:
        if checkpoint is not None:
            raise CheckpointError(f"{spec} is a checkpoint itself; leave --checkpoint out")
        source: Path | None = Path(spec)
        blueprint = draw_from_file(Path(spec), None if config is None else Path(config), chosen)
    else:
        if config is not None:
            raise CheckpointError("--config describes a checkpoint; name that by --model FILE")
        source = None if checkpoint is None else Path(checkpoint)
        blueprint = draw_from_name(spec, source, chosen)
    network = build_network(blueprint.description, seed=seed)
    if source is None or blueprint.content is None:
        report = WeightsReport("random", seed=seed, missing=tuple(comparable(network.state_dict())))
    else:
        report = load_weights(
            network,
            blueprint.content.state,
            str(source),
            file_sha256(source),
            strict=blueprint.described,
            allow_partial=allow_partial,
        )
    network.origin = ModelOrigin(
        blueprint.name,
        blueprint.options,
        report,
        trained_with=blueprint.trained_with,
        parts=blueprint.description.summary(),
        training=blueprint.training,
    )
    return network
