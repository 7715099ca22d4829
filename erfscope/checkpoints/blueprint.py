"""From a name or a file to a blueprint: what is to be built, and whose weights it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erfscope.checkpoints.matching import nearest_entry
from erfscope.checkpoints.mmsegmentation.config_file import read_config
from erfscope.checkpoints.mmsegmentation.config_text import parse_config
from erfscope.checkpoints.mmsegmentation.facts import read_facts
from erfscope.checkpoints.mmsegmentation.network import describe_config, name_network
from erfscope.checkpoints.reading import Checkpoint, read_checkpoint
from erfscope.errors import CheckpointError
from erfscope.records.network import TrainingFacts
from erfscope.zoo.adjust import at_output_stride, with_align_corners, with_classes, with_rates
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.table import describe_network, summarize
from erfscope.zoo.description import NetworkDescription

# What may be chosen for a network that its checkpoint describes: all else is the file's.
_OVERRIDES = ("output_stride", "rates", "align_corners")


@dataclass(frozen=True)
class Blueprint:
    """A network to build and what is known of it.

    Attributes
    ----------
    options
        The choices that tell it from others of its name.
    content
        The file whose weights it gets; None for random ones.
    described
        Whether that file says itself what network it is, so that every tensor must match.
    trained_with
        The options that were overridden.
    """

    name: str
    description: NetworkDescription
    options: Mapping[str, Any]
    content: Checkpoint | None
    described: bool
    trained_with: Mapping[str, Any]
    training: TrainingFacts


def draw_from_name(name: str, checkpoint: Path | None, chosen: Mapping[str, Any]) -> Blueprint:
    """Draw a network of the catalogue; without `num_classes`, the checkpoint's classifier decides."""
    description = describe_network(name, **chosen)
    content = None if checkpoint is None else read_checkpoint(checkpoint)
    if content is not None and "num_classes" not in chosen:
        classifier = content.state.get(build_skeleton(description).classifier_weight)
        if classifier is not None and classifier.ndim > 0:
            description = with_classes(description, classifier.shape[0])
    options = {**chosen, **summarize(description)}
    return Blueprint(name, description, options, content, False, {}, TrainingFacts())


def draw_from_file(path: Path, config_file: Path | None, chosen: Mapping[str, Any]) -> Blueprint:
    """Draw the network that a checkpoint's config, or the one beside it, describes.

    Raises
    ------
    CheckpointError
        There is no config, or it describes nothing that erfscope has.
    """
    content = read_checkpoint(path)
    config = _find_config(path, content, config_file)
    for option in chosen:
        if option not in _OVERRIDES:
            raise CheckpointError(
                f"{path} says itself what network it is; of its options only "
                f"{', '.join(_OVERRIDES)} can be changed, not {option}"
            )
    trained = describe_config(config, str(config_file or path))
    description = _override(trained, chosen)
    before, after = summarize(trained), summarize(description)
    overridden = {option: value for option, value in before.items() if value != after[option]}
    return Blueprint(
        name_network(description),
        description,
        after,
        content,
        True,
        overridden,
        read_facts(config, content.meta),
    )


def _find_config(path: Path, content: Checkpoint, config_file: Path | None) -> Mapping[str, Any]:
    if config_file is not None:
        return read_config(config_file)
    text = content.meta.get("cfg", content.meta.get("config"))
    if isinstance(text, str):
        return parse_config(text, str(path))
    name, backbone, share = nearest_entry(content.state)
    raise CheckpointError(
        f"{path} is a file of weights, which doesn't say what network it is; closest in the catalogue: "
        f"--model {name} --backbone {backbone} --checkpoint {path} ({share:.0%} match); "
        "or give its config by --config"
    )


def _override(description: NetworkDescription, chosen: Mapping[str, Any]) -> NetworkDescription:
    if "output_stride" in chosen:
        description = at_output_stride(description, chosen["output_stride"])
    if "rates" in chosen:
        description = with_rates(description, chosen["rates"])
    if "align_corners" in chosen:
        description = with_align_corners(description, align_corners=chosen["align_corners"])
    return description
