"""The front door: what `--model` and `--checkpoint` say → a network with its origin attached."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from erfscope.checkpoints.matching import comparable, load_weights, nearest_entry
from erfscope.checkpoints.reading import file_sha256, read_state_dict
from erfscope.errors import CheckpointError, NetworkError
from erfscope.records.network import ModelOrigin, WeightsReport
from erfscope.zoo.catalog import NetworkOptions, build_network, build_skeleton, resolve_options
from erfscope.zoo.segmentor import Segmentor

OPTION_NAMES = {field.name for field in fields(NetworkOptions)} - {"name"}


def load_model(
    spec: str,
    *,
    checkpoint: str | Path | None = None,
    allow_partial: bool = False,
    seed: int = 0,
    **options: Any,
) -> Segmentor:
    """Build a network of the catalogue and give it weights.

    Parameters
    ----------
    spec
        A name from `erfscope models`, such as "deeplabv3".
    checkpoint
        A weights file (.safetensors, or torch's, read with `weights_only=True`). Without it the
        network stands on random weights drawn from `seed`.
    allow_partial
        Load a file that matches less than 95 % of the network's parameters; the rest stays random.
    seed
        Of the random weights.
    **options
        backbone, output_stride, rates, num_classes, align_corners, multi_grid, separable; see
        `zoo.catalog.resolve_options`. Without `num_classes`, a checkpoint's classifier decides.

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
    _refuse_file(spec)
    unknown = sorted(set(options) - OPTION_NAMES)
    if unknown:
        raise NetworkError(f"no network takes {', '.join(unknown)}; known: {', '.join(sorted(OPTION_NAMES))}")
    resolved = resolve_options(spec, **options)
    if checkpoint is None:
        network = build_network(resolved, seed=seed)
        report = WeightsReport("random", seed=seed, missing=tuple(comparable(network.state_dict())))
    else:
        path = Path(checkpoint)
        state = read_state_dict(path)
        classifier = state.get(build_skeleton(resolved).classifier_weight)
        if options.get("num_classes") is None and classifier is not None and classifier.ndim == 4:
            resolved = resolve_options(spec, **{**options, "num_classes": classifier.shape[0]})
        network = build_network(resolved, seed=seed)
        report = load_weights(network, state, str(path), file_sha256(path), allow_partial=allow_partial)
    network.origin = ModelOrigin(spec, asdict(resolved), report)
    return network


def _refuse_file(spec: str) -> None:
    path = Path(spec)
    if not path.is_file():
        return
    name, backbone, share = nearest_entry(read_state_dict(path))
    raise CheckpointError(
        f"{spec} is a file of weights, which doesn't say what network it is; closest in the catalogue: "
        f"--model {name} --backbone {backbone} --checkpoint {spec} ({share:.0%} match)"
    )
