"""A file of tensors that must say, or show by its names, what network it is."""

from erfscope.checkpoints.formats.mmsegmentation.read import config_text, read_described
from erfscope.checkpoints.matching import nearest_entry
from erfscope.checkpoints.reading import Checkpoint, read_checkpoint
from erfscope.checkpoints.request import Request
from erfscope.errors import CheckpointError
from erfscope.zoo.network import Network


def read(request: Request) -> Network:
    """Read the tensors, find out what network they are of, and build that.

    Raises
    ------
    CheckpointError
        The file can't be read safely, or doesn't tell what network it is.
    """
    request.refuse_checkpoint(f"{request.spec} is a checkpoint itself")
    content = read_checkpoint(request.path)
    if (request.config is not None and request.config.suffix != ".json") or config_text(content):
        return read_described(request, content)
    raise CheckpointError(_unknown(content))


def _unknown(content: Checkpoint) -> str:
    name, backbone, share = nearest_entry(content.state)
    path = content.path
    return (
        f"{path} is a file of weights, which doesn't say what network it is; closest in the catalogue: "
        f"--model {name} --backbone {backbone} --checkpoint {path} ({share:.0%} match); "
        "or give its config by --config"
    )
