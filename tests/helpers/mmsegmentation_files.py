"""A small network as mmsegmentation's checkpoints hold it."""

import torch

from erfscope.checkpoints.formats.mmsegmentation.config_network import describe_config
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.zoo.build import build_network

CONFIG = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
crop_size = (64, 96)
data_preprocessor = dict(
    type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=(64, 96))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(
        type='ResNetV1c', depth=18, num_stages=4, out_indices=(0, 1, 2, 3), dilations=(1, 1, 1, 2),
        strides=(1, 2, 2, 1), norm_cfg=norm_cfg, norm_eval=False, style='pytorch', contract_dilation=True),
    decode_head=dict(
        type='ASPPHead', in_channels=512, in_index=3, channels=16, dilations=(1, 6, 12, 18),
        dropout_ratio=0.1, num_classes=3, norm_cfg=norm_cfg, align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(type='FCNHead', in_channels=256, in_index=2, channels=16, num_classes=3),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
"""
META = {"dataset_meta": {"classes": ("road", "car", "sky"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}}


def build():
    """Build the network that the config describes."""
    return build_network(describe_config(parse_config(CONFIG, "test"), "test"), seed=5)


def write(path, network, *, config=CONFIG, key="cfg", prefix="", extra=()):
    """Write a checkpoint of it with that config, or with none."""
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    state[f"{prefix}auxiliary_head.conv_seg.weight"] = torch.zeros(3, 16, 1, 1)
    meta = {**META, "epoch": 3, **({} if config is None else {key: config})}
    torch.save({"meta": meta, "state_dict": state | dict(extra), "message_hub": {"log": [1, 2.5]}}, path)
    return path
