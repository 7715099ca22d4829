"""What every loaded network is, from whatever library."""

from torch import nn

from erfscope.records.model_info import ModelInfo


class Network(nn.Module):
    """Maps a normalized image (N, 3, H, W) to logits (N, K, H, W), and knows where it comes from."""

    #: What the network is and where its weights come from; set by `checkpoints.load_model`.
    info: ModelInfo
