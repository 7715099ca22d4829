"""What every loaded network is, from whatever library, and the name of any network."""

from torch import nn

from erfscope.records.model_info import ModelInfo


class Network(nn.Module):
    """A module that maps normalized images (N, 3, H, W) to logits (N, K, H, W).

    Attributes
    ----------
    info
        What the network is and where its weights come from; set by `checkpoints.load_model`.
    """

    info: ModelInfo


def name_of(model: nn.Module) -> str:
    """Return the name under which a network was loaded, else that of its class."""
    info = getattr(model, "info", None)
    return info.name if isinstance(info, ModelInfo) else type(model).__name__
