"""Small networks of transformers, of every kind that erfscope loads, with weights worth a map."""

import torch

STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
TOKENS = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
WITH_POSITIONS = {"image_size": 64, **TOKENS}
MASKS = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "num_queries": 6}
WIDTHS = {"hidden_dim": 32, "encoder_feedforward_dim": 32, "dim_feedforward": 32}
UPERNET = {"hidden_size": 16, "auxiliary_channels": 8, "pool_scales": [1, 2]}
HEADS = {"num_attention_heads": [1, 2, 2, 2]}
ATROUS = {"image_size": 64, "aspp_out_channels": 16}
DETR = {
    "num_queries": 6, "encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
}  # fmt: skip
SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "window_size": 4, **STAGES}
CONVNEXT = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], **STAGES}

#: Name → config class, its arguments, and those of the configs within, by the class's name.
CONFIGS = {
    "segformer": (
        "SegformerConfig",
        {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 20, 24], "decoder_hidden_size": 16, **HEADS},
        {},
    ),
    "upernet over swin": (
        "UperNetConfig",
        {"auxiliary_in_channels": 64, **UPERNET},
        {"backbone_config": ("SwinConfig", SWIN)},
    ),
    "upernet over convnext": (
        "UperNetConfig",
        {"auxiliary_in_channels": 24, **UPERNET},
        {"backbone_config": ("ConvNextConfig", CONVNEXT)},
    ),
    "dpt": (
        "DPTConfig",
        {
            "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 16, 24, 32],
            "fusion_hidden_size": 16, **WITH_POSITIONS,
        },
        {},
    ),
    "beit": (
        "BeitConfig",
        {"out_indices": [1, 2, 3, 4], "use_relative_position_bias": True, **WITH_POSITIONS},
        {},
    ),
    "data2vec": (
        "Data2VecVisionConfig",
        {"out_indices": [0, 1, 2, 3], "use_relative_position_bias": True, **WITH_POSITIONS},
        {},
    ),
    "mobilenet_v2": (
        "MobileNetV2Config",
        {"depth_multiplier": 0.25, "finegrained_output": False, "output_stride": 16},
        {},
    ),
    "mobilevit": (
        "MobileViTConfig",
        {
            "hidden_sizes": [12, 16, 20], "neck_hidden_sizes": [4, 8, 8, 12, 16, 16, 32],
            "num_attention_heads": 2, **ATROUS,
        },
        {},
    ),
    "mobilevitv2": ("MobileViTV2Config", {"width_multiplier": 0.25, **ATROUS}, {}),
    "eomt": (
        "EomtConfig",
        {
            "image_size": 64, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
            "num_blocks": 1, "num_queries": 6,
        },
        {},
    ),
    "eomt_dinov3": (
        "EomtDinov3Config",
        {
            "image_size": 64, "patch_size": 16, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 4, "num_attention_heads": 2, "num_blocks": 1, "num_queries": 6,
        },
        {},
    ),
    "mask2former": (
        "Mask2FormerConfig",
        {"feature_size": 32, "mask_feature_size": 32, **MASKS, **WIDTHS},
        {"backbone_config": ("SwinConfig", SWIN)},
    ),
    "maskformer": (
        "MaskFormerConfig",
        {"fpn_feature_size": 32, "mask_feature_size": 32},
        {"backbone_config": ("SwinConfig", SWIN), "decoder_config": ("DetrConfig", DETR)},
    ),
    "oneformer": (
        "OneFormerConfig",
        {
            "conv_dim": 32, "mask_dim": 32, "query_dec_layers": 1, "text_encoder_width": 32,
            "text_encoder_num_layers": 1, **MASKS, **WIDTHS,
        },
        {"backbone_config": ("SwinConfig", SWIN)},
    ),
}  # fmt: skip
MASK_NETWORKS = ("eomt", "eomt_dinov3", "mask2former", "maskformer", "oneformer")
NUM_LABELS = 5


def make_config(name, **changes):
    """The config of a small network."""
    import transformers

    kind, arguments, parts = CONFIGS[name]
    within = {key: getattr(transformers, part)(**settings) for key, (part, settings) in parts.items()}
    return getattr(transformers, kind)(**{"num_labels": NUM_LABELS, **arguments, **within, **changes})


def make_network(config, seed=0):
    """The segmentation network of a config, in eval mode, with random weights that keep gradients alive."""
    import transformers
    from transformers.models.auto import modeling_auto

    names = {
        **modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES,
        **modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES,
    }
    torch.manual_seed(seed)
    network = getattr(transformers, names[config.model_type])(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:  # transformers' own are so small that all logits are alike
                parameter.normal_(std=1.5 * parameter[0].numel() ** -0.5)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network
