"""Checkpoints as mmsegmentation writes them: from the file alone to the network."""

import pytest
import torch
from mmsegmentation_files import CONFIG, build, write
from same_outputs import assert_same_outputs
from tiers import representatives

import erfscope
from erfscope.errors import CheckpointError, NetworkError


@pytest.fixture(scope="module")
def network():
    return build()


@pytest.mark.parametrize("prefix", representatives(["", "module.", "model."], ["module."]))
@pytest.mark.parametrize("key", ["cfg", "config"])
def test_the_file_says_what_it_is(network, key, prefix, tmp_path):
    path = write(tmp_path / "iter_80000.pth", network, key=key, prefix=prefix)
    model = erfscope.load_model(str(path))
    image = torch.randn(1, 3, 50, 71)
    assert_same_outputs(model(image), network(image))
    info = model.info
    assert info.name == "deeplabv3"
    assert info.options == {
        "backbone": "resnet18-v1c",
        "output_stride": 16,
        "rates": [6, 12, 18],
        "num_classes": 3,
        "align_corners": True,
    }
    assert (info.weights.missing, info.weights.unexpected, info.weights.left_out) == ((), (), 1)
    assert info.training.classes == ("road", "car", "sky")
    assert info.training.crop_size == (64, 96)
    assert info.training.mean == pytest.approx((0.485, 0.456, 0.406))
    assert info.trained_settings == {}


@pytest.mark.slow
def test_another_output_stride_keeps_the_rates_in_pixels(network, tmp_path):
    """As the DeepLab papers evaluate: trained at 16, run at 8 with twice the rates."""
    path = str(write(tmp_path / "w.pth", network))
    model = erfscope.load_model(path, output_stride=8)
    assert (model.info.options["output_stride"], model.info.options["rates"]) == (8, [12, 24, 36])
    assert model.info.trained_settings == {"output_stride": 16, "rates": [6, 12, 18]}
    assert model.backbone(torch.zeros(1, 3, 64, 64))[-1].shape[-1] == 8
    both = erfscope.load_model(path, output_stride=8, rates=(3, 6, 9))
    assert both.info.options["rates"] == [3, 6, 9]
    alone = erfscope.load_model(path, rates=(1, 2, 3), align_corners=False)
    assert alone.info.trained_settings == {"rates": [6, 12, 18], "align_corners": True}
    erf = erfscope.compute_erf(model, [torch.randn(3, 65, 65)])
    assert erf.provenance["network"]["trained_settings"]["output_stride"] == 16
    assert erf.provenance["prediction"]["rates"] == (12, 24, 36)


def test_what_a_file_cannot_be_changed_to(network, tmp_path):
    path = str(write(tmp_path / "w.pth", network))
    with pytest.raises(CheckpointError, match="--num-classes can't be changed: the file says"):
        erfscope.load_model(path, num_classes=5)
    with pytest.raises(CheckpointError, match="doesn't fit the network that its config describes"):
        erfscope.load_model(path, rates=(6, 12))
    with pytest.raises(NetworkError, match="output stride 12"):
        erfscope.load_model(path, output_stride=12)
    with pytest.raises(CheckpointError, match=r"checkpoint nothing.pth does not exist"):
        erfscope.load_model("nothing.pth")
    with pytest.raises(CheckpointError, match="leave --checkpoint out"):
        erfscope.load_model(path, checkpoint=path)


@pytest.mark.slow
def test_a_config_beside_the_file(network, tmp_path):
    path = write(tmp_path / "w.pth", network, config=None)
    (tmp_path / "base.py").write_text(CONFIG)
    child = tmp_path / "config.py"
    child.write_text("_base_ = './base.py'\nmodel = dict(decode_head=dict(align_corners=False))\n")
    with pytest.raises(CheckpointError, match="give its config by --config"):
        erfscope.load_model(str(path))
    model = erfscope.load_model(str(path), config=child)
    assert model.info.options["align_corners"] is False
    with pytest.raises(CheckpointError, match="--config has no meaning here: it describes a checkpoint"):
        erfscope.load_model("fcn", config=child)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("type='ASPPHead'", "type='CCHead'"), "has the decode_head CCHead, which erfscope doesn't have"),
        (("type='EncoderDecoder'", "type='CascadeEncoderDecoder'"), "holds a CascadeEncoderDecoder"),
        (("dilations=(1, 6, 12, 18)", "dilations=(1, 6, 12, 18), conv_cfg=dict(type='DCNv2')"), "conv_cfg"),
        (("depth=18", "depth=19"), "no ResNet-19"),
        (("strides=(1, 2, 2, 1)", "strides=(1, 2)"), "a ResNet can't be built so"),
        (
            ("norm_cfg=norm_cfg, align_corners", "norm_cfg='BN', align_corners"),
            "an? ASPPHead can't be built so",
        ),
        (("in_channels=512, in_index=3", "in_channels=-512, in_index=3"), "an? ASPPHead can't be built so"),
        (("channels=16, dilations", "channels=20, dilations"), "doesn't fit the network"),
        (("nothing", "nothing"), "unexpected decode_head.more"),
    ],
)
def test_what_is_refused(network, change, message, tmp_path):
    config = CONFIG.replace(*change)
    extra = {"decode_head.more.weight": torch.zeros(2)} if config == CONFIG else {}
    path = write(tmp_path / "w.pth", network, config=config, extra=extra)
    with pytest.raises(
        (CheckpointError, NetworkError), match=message or "unexpected decode_head.more"
    ) as caught:
        erfscope.load_model(str(path))
    assert "\n" not in str(caught.value)


def test_bgr_networks_get_bgr_images(network, tmp_path):
    config = CONFIG.replace("bgr_to_rgb=True", "bgr_to_rgb=False").replace(
        "mean=[123.675, 116.28, 103.53]", "mean=[103.53, 116.28, 123.675]"
    )
    training = erfscope.load_model(str(write(tmp_path / "w.pth", network, config=config))).info.training
    assert training.channel_order == "bgr"
    assert training.mean == pytest.approx((0.485, 0.456, 0.406))  # of R, G, B
    rgb, bgr = (
        erfscope.open_dataset("synthetic-leaves", size=33, images=1, channel_order=order)[0].image
        for order in ("rgb", "bgr")
    )
    assert torch.equal(bgr, rgb.flip(0))
