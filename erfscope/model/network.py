"""What every loaded network is, from whatever library."""

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
