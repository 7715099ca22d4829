"""An mmsegmentation checkpoint, by the config inside or one beside it, without mmsegmentation."""

from collections.abc import Mapping
from typing import Any

from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.blueprint import Blueprint, build
from erfscope.checkpoints.fitting.overrides import OVERRIDES, override
from erfscope.checkpoints.formats.mmsegmentation.config_file import read_config
from erfscope.checkpoints.formats.mmsegmentation.config_network import describe_config, name_network
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.checkpoints.formats.mmsegmentation.config_training import read_facts
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network
from erfscope.zoo.catalog.entries import summarize


def config_text(content: Checkpoint) -> str | None:
    """Return the config that a checkpoint holds as text (`cfg` in 1.x, `config` in 0.x), if any."""
    text = content.meta.get("cfg", content.meta.get("config"))
    return text if isinstance(text, str) else None


def read_described(request: Request, content: Checkpoint) -> Network:
    """Build the network that the checkpoint's config, or the one beside it, describes.

    Raises
    ------
    CheckpointError
        The config describes nothing that erfscope has, or an option can't be changed.
    """
    request.refuse_options(
        f"the file says what network it is; of its options only {', '.join(OVERRIDES)} can be changed",
        but=OVERRIDES,
    )
    config = _config(request, content)
    trained = describe_config(config, str(request.config or content.path))
    description = override(trained, request.options)
    before, after = summarize(trained), summarize(description)
    blueprint = Blueprint(
        name=name_network(description),
        description=description,
        options=after,
        content=content,
        described=True,
        format="mmsegmentation checkpoint",
        detected_by=f"the config {f'in {request.config}' if request.config else 'in its meta'}",
        trained_settings={option: value for option, value in before.items() if value != after[option]},
        training=read_facts(config, content.meta),
    )
    return build(blueprint, request)


def _config(request: Request, content: Checkpoint) -> Mapping[str, Any]:
    if request.config is not None:
        return read_config(request.config)
    return parse_config(config_text(content) or "", str(content.path))
