"""What a config and a checkpoint tell of the training, in the units of erfscope."""

import pytest

from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.checkpoints.formats.mmsegmentation.config_training import read_facts
from erfscope.records.model_info import TrainingFacts

NEW = """
crop_size = (512, 1024)
model = dict(type='EncoderDecoder', data_preprocessor=dict(
    type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True, size=(769, 769)))
train_dataloader = dict(dataset=dict(
    metainfo=dict(classes=('a', 'b'), palette=[[0, 0, 1], [0, 0, 2]]),
    pipeline=[dict(type='RandomCrop', crop_size=(3, 3))]))
"""
OLD = """
img_norm_cfg = dict(mean=[1.0, 1.0, 1.0], std=[1.0, 1.0, 1.0], to_rgb=True)
data = dict(
    train=dict(type='CustomDataset', classes=['a', 'b'], pipeline=[
        dict(type='LoadImageFromFile'), dict(type='RandomCrop', crop_size=(512, 256), cat_max_ratio=0.75),
        dict(type='Normalize', mean=[103.53, 116.28, 123.675], std=[1.0, 2.0, 4.0], to_rgb=False)]),
    test=dict(pipeline=[dict(type='MultiScaleFlipAug', transforms=[dict(type='Normalize', mean=[103.53,
        116.28, 123.675], std=[1.0, 2.0, 4.0], to_rgb=False)])]))
"""
IMAGENET = (0.485, 0.456, 0.406)


def test_of_1x():
    facts = read_facts(parse_config(NEW, "w.pth"), {})
    assert facts.mean == pytest.approx(IMAGENET, rel=1e-12)  # of a division by 255
    assert facts.std == pytest.approx((0.229, 0.224, 0.225), rel=1e-12)
    assert (facts.channel_order, facts.crop_size) == ("rgb", (769, 769))
    assert (facts.classes, facts.palette) == (("a", "b"), ((0, 0, 1), (0, 0, 2)))


def test_of_0x_with_images_in_bgr():
    facts = read_facts(parse_config(OLD, "w.pth"), {})
    assert facts.mean == pytest.approx(IMAGENET, rel=1e-12)  # of a division by 255
    assert facts.std == pytest.approx((4 / 255, 2 / 255, 1 / 255), rel=1e-12)
    assert (facts.channel_order, facts.crop_size) == ("bgr", (512, 256))
    assert (facts.classes, facts.palette) == (("a", "b"), ())


def test_the_checkpoint_goes_before_the_config():
    config = parse_config(NEW, "w.pth")
    new = read_facts(config, {"dataset_meta": {"classes": ["road"], "palette": [(1, 2, 3)]}})
    old = read_facts(config, {"CLASSES": ("road",), "PALETTE": [[1, 2, 3]]})
    assert new == old
    assert (new.classes, new.palette) == (("road",), ((1, 2, 3),))
    upper = read_facts({}, {"dataset_meta": {"CLASSES": ["sky"], "PALETTE": [[4, 5, 6]]}})
    assert upper == TrainingFacts(classes=("sky",), palette=((4, 5, 6),))


CROPS = {
    "crop_size = (3, 4)": (3, 4),
    "crop_size = (3, 4)\ndata_preprocessor = dict(size=None)": (3, 4),
    "data_preprocessor = dict(size=(5, 6))": (5, 6),
    "train_pipeline = [dict(type='RandomCrop', crop_size=7)]": (7, 7),
    "crop_size = (0, 4)": None,
    "crop_size = 'large'": None,
}


@pytest.mark.parametrize("text", CROPS)
def test_crop_sizes(text):
    assert read_facts(parse_config(text, "w.pth"), {}).crop_size == CROPS[text]


def test_a_network_of_images_as_they_are():
    facts = read_facts({"model": {"data_preprocessor": {"type": "SegDataPreProcessor"}}}, {})
    assert (facts.mean, facts.std) == ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    assert facts.channel_order == "bgr"  # as mmcv loads them


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model = None\ndata_preprocessor = 3\ndata = [1, None]\nimg_norm_cfg = 5\ncrop_size = [1, 2, 3]",
        "data_preprocessor = dict(mean=[1, 2], std=[1, 2], bgr_to_rgb=True)",
        "data_preprocessor = dict(mean=[1, 2, 3], std=[0, 1, 1], bgr_to_rgb=True)",
        "data_preprocessor = dict(mean=[1, 2, nan], std=[1, 1, 1], bgr_to_rgb=True)",
        "img_norm_cfg = dict(mean='abc', std=None)",
        "data = dict(classes='a.txt', palette=[[1, 2]])",
        "data = dict(classes=[1], palette=[[1, 2, 300]])",
    ],
)
def test_what_is_not_said_or_not_as_expected(text):
    assert read_facts(parse_config(text, "w.pth"), {"CLASSES": 3, "dataset_meta": []}) == TrainingFacts()
