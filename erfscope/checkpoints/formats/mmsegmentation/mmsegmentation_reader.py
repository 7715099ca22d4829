"""Reads an mmsegmentation checkpoint by the config inside or one beside it, without mmsegmentation."""

from collections.abc import Mapping
from typing import Any

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import Checkpoint
from erfscope.checkpoints.fitting.zoo_network import build_zoo_network, change_trained
from erfscope.checkpoints.formats.mmsegmentation.config_file import read_config
from erfscope.checkpoints.formats.mmsegmentation.config_network import describe_config, name_network
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.checkpoints.formats.mmsegmentation.config_training import read_facts
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network


def config_text(content: Checkpoint) -> str | None:
    """Return the config that a checkpoint holds as text (`cfg` in 1.x, `config` in 0.x), if any."""
    text = content.meta.get("cfg", content.meta.get("config"))
    return text if isinstance(text, str) else None


def read(request: Request, detection: Detection) -> Network:
    """Build the network that the checkpoint's config, or the one beside it, describes.

    Raises
    ------
    CheckpointError, NetworkError
        The config describes nothing that erfscope has, or an option can't be changed.
    """
    content: Any = detection.content
    config = _config(request, content)
    trained = describe_config(config, str(request.config or content.path))
    description = change_trained(trained, request)
    return build_zoo_network(
        request,
        description,
        content,
        name=name_network(description),
        format="mmsegmentation checkpoint",
        trained=trained,
        training=read_facts(config, content.meta),
    )


def _config(request: Request, content: Checkpoint) -> Mapping[str, Any]:
    if request.config is not None:
        return read_config(request.config)
    return parse_config(config_text(content) or "", str(content.path))
