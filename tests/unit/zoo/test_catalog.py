"""The options of the catalog's networks and backbones; every entry is built and run in tests/oracles."""

import pytest
import torch
from tiers import representatives
from torch import nn

import erfscope
from erfscope.errors import NetworkError
from erfscope.model.shape_run import NormShapes
from erfscope.zoo.backbones import resnet
from erfscope.zoo.build import build_network, build_skeleton
from erfscope.zoo.catalog.backbone_catalog import BACKBONES, name_backbone
from erfscope.zoo.catalog.entries import (
    describe_network,
    summarize,
)


def test_building_leaves_the_callers_random_numbers_alone():
    before = torch.get_rng_state()
    build_network(describe_network("fcn", backbone="resnet18"))
    assert torch.equal(before, torch.get_rng_state())


#: The backbones that `make test` builds: one of each family.
REPRESENTATIVES = (
    "resnet18-v1c", "mobilenet-v2", "densenet121", "xception65", "mit-b0", "vit-t16", "swin-t", "convnext-t",
)  # fmt: skip


def shapes(backbone):
    """Return the maps that a backbone on the meta device makes of an image of 128×160 px."""
    with torch.no_grad(), NormShapes():
        return backbone(torch.empty(1, 3, 128, 160, device="meta"))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", representatives(BACKBONES, REPRESENTATIVES))
def test_every_backbone_tells_its_maps(backbone):
    part = BACKBONES[backbone]
    assert name_backbone(part).replace("deit", "vit") == backbone.replace("deit", "vit")
    network = build_skeleton(describe_network("upernet", backbone=backbone)).backbone
    maps = shapes(network)
    assert tuple(x.shape[1] for x in maps) == network.channels
    assert max(128 // x.shape[2] for x in maps) == network.output_stride


SMALL = "resnet18-small"  # ends at stride 8
STRIDED = [
    name
    for name in BACKBONES
    if name.startswith(("resnet", "xception", "mobilenet", "densenet")) and name != SMALL
]


@pytest.mark.parametrize("backbone", representatives(STRIDED, REPRESENTATIVES[:4]))
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride(backbone, stride):
    network = build_skeleton(describe_network("deeplabv3", backbone=backbone, output_stride=stride))
    assert network.output_stride == stride
    maps = shapes(network.backbone)
    assert 128 // maps[-1].shape[2] == stride
    if backbone in resnet.PRESETS:
        assert [128 // x.shape[2] for x in maps] == [4, 8, min(16, stride), stride]


def test_the_small_backbone_ends_at_stride_8():
    network = build_skeleton(describe_network("deeplabv3", backbone=SMALL, output_stride=8))
    maps = shapes(network.backbone)
    assert [128 // x.shape[2] for x in maps] == [4, 8]
    with pytest.raises(NetworkError, match="can't be brought from output stride 8 to 16"):
        describe_network("deeplabv3", backbone=SMALL, output_stride=16)


@pytest.mark.parametrize(
    ("stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18)), (32, (3, 6, 9))], ids=["os8", "os16", "os32"]
)
def test_default_rates_keep_the_field_of_view_in_pixels(stride, rates):
    """Eq. 2 of the study: r = 6 at stride 16, 12 at stride 8."""
    for family in ("deeplabv3", "deeplabv3plus"):
        for name in (family, f"{family}-paper"):
            described = describe_network(name, backbone="resnet18", output_stride=stride)
            assert build_skeleton(described).rates == rates
    assert build_skeleton(describe_network("torchvision-deeplabv3", output_stride=stride)).rates == rates


def atrous_rates(module):
    return [m.dilation[0] for m in module.modules() if isinstance(m, nn.Conv2d) and m.dilation[0] > 1]


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("rates", [(7,), (2, 4, 8, 12), (1, 5, 30)])
def test_any_rates(rates, separable):
    for name in ("deeplabv3", "deeplabv3plus", "deeplabv3-paper", "deeplabv3plus-paper"):
        options = {"backbone": "resnet18", "output_stride": 32}
        network = build_skeleton(describe_network(name, rates=rates, separable=separable, **options))
        assert network.rates == rates
        assert atrous_rates(network.decode_head) == [rate for rate in rates if rate > 1]
    wide = [m for m in network.decode_head.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert sum(m.dilation[0] == 1 for m in wide) == 2 + (1 in rates)  # the decoder's two, and rate 1's


def test_aspp_s_and_l():
    """DeepLabV2, section 4.1."""
    large, small_one = (
        build_skeleton(describe_network("deeplabv2", rates=rates)) for rates in (None, (2, 4, 8, 12))
    )
    assert atrous_rates(large.decode_head) == [6, 12, 18, 24]
    assert atrous_rates(small_one.decode_head) == [2, 4, 8, 12]


def test_fcn_d6_has_two_atrous_convolutions_in_a_row():
    for given, rates in ((None, [6, 6]), ((5,), [5, 5]), ((2, 3), [2, 3])):
        assert (
            atrous_rates(build_skeleton(describe_network("fcn-d6", rates=given)).decode_head.convs) == rates
        )


def test_multi_grid_multiplies_the_last_stages_rate():
    """DeepLabV3, section 3.2: unit rates (1, 2, 4) at output stride 16 give block4 the rates (2, 4, 8)."""
    network = build_skeleton(describe_network("deeplabv3", multi_grid=(1, 2, 4), output_stride=16))
    assert [block.conv2.dilation[0] for block in network.backbone.layer4] == [2, 4, 8]


def test_the_cascade_doubles_its_rates():
    """DeepLabV3, section 3.1: block5 to block7 keep the output stride by rates 4, 8, 16 at 16."""
    network = build_skeleton(describe_network("deeplabv3-cascade", output_stride=16))
    rates = [rate for block in network.neck.children() for rate in atrous_rates(block)]
    assert sorted(set(rates)) == [4, 8, 16]


@pytest.mark.slow
def test_a_unet_reads_the_decoders_last_map_or_the_deepest():
    for reads, stride in (("decoder", 1), ("deepest", 16)):
        network = erfscope.load_model("unet-aspp", reads=reads, rates=(2, 4, 6))
        assert erfscope.predict_fov(network, 96).read_stride == stride


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("convs", [1, 2, 3])
def test_the_decoders_ablations(convs, maps):
    """DeepLabV3+, tables 1 and 2: low-level channels, 3×3 convolutions and their width, conv2 and conv3."""
    for low_level, width in ((8, 128), (64, 256)):
        network = build_skeleton(
            describe_network(
                "deeplabv3plus-paper",
                backbone="resnet18",
                separable=False,
                low_level_maps=maps,
                low_level_channels=low_level,
                decoder_convs=convs,
                decoder_channels=width,
            )
        )
        modules = [m for m in network.decode_head.modules() if isinstance(m, nn.Conv2d)]
        assert sum(m.kernel_size == (3, 3) and m.out_channels == width for m in modules) >= convs
        assert sum(m.kernel_size == (1, 1) and m.out_channels == low_level for m in modules) == maps
        assert network.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 21, 64, 64)


def test_widths_are_mmsegmentations():
    widths = {"resnet18": (128, 12), "resnet34": (128, 12), "resnet50": (512, 48), "mobilenet-v2": (512, 48)}
    for backbone, (width, low_level) in widths.items():
        head = build_skeleton(describe_network("deeplabv3plus", backbone=backbone)).decode_head
        assert (head.conv_seg.in_channels, head.c1_bottleneck.conv.out_channels) == (width, low_level)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deeplab", {}, "no network is called 'deeplab'; did you mean deeplabv"),
        ("deeplabv3", {"backbone": "resnet5"}, "no backbone is called 'resnet5'; did you mean resnet50"),
        ("fcn", {"output_stride": 4}, "choose one of 8, 16, 32"),
        ("fcn", {"rates": (6,)}, "fcn takes no rates; it takes backbone"),
        ("deeplabv3", {"rates": (0, 3)}, "from 1 up"),
        ("deeplabv3", {"rates": ()}, "from 1 up"),
        ("pspnet", {"num_classes": 0}, "at least one class"),
        ("pspnet", {"separable": True}, "pspnet takes no separable"),
        ("deeplabv3", {"multi_grid": (1, 2)}, "needs 3 whole numbers"),
        ("deeplabv3", {"backbone": "swin-t"}, "the output stride of swin-t is 32"),
        ("deeplabv3", {"backbone": "mobilenet-v2", "multi_grid": (1, 2)}, "has no multi-grid"),
        ("segformer", {"backbone": "resnet18"}, "can't stand on resnet18; choose one of mit-b0"),
        ("setr-pup", {"backbone": "mit-b0"}, "can't stand on mit-b0; choose one of vit-t16"),
        ("deeplabv3", {"color": "red"}, "takes no color"),
        ("unet-aspp", {"reads": "middle"}, "choose one of decoder, deepest"),
    ],
)
def test_what_cannot_be_built(name, options, message):
    with pytest.raises(NetworkError, match=message):
        erfscope.load_model(name, **options)


# Millions of parameters as published: SegFormer's table 1 (with its own, wider heads from B2 on, here 256),
# Swin's and ConvNeXt's tables of UPerNets (ADE20K), SETR's and Segmenter's tables.
PUBLISHED = [
    ("segformer", "mit-b0", 3.7),
    ("segformer", "mit-b1", 13.7),
    ("upernet", "swin-t", 60),
    ("upernet", "swin-s", 81),
    ("upernet", "swin-b", 121),
    ("upernet", "convnext-t", 60),
    ("upernet", "convnext-s", 82),
    ("upernet", "convnext-b", 122),
    ("setr-naive", "vit-l16", 305.67),
    ("setr-pup", "vit-l16", 318.31),
    ("setr-mla", "vit-l16", 310.57),
    ("segmenter-mask", "vit-s16", 26.4),
]


@pytest.mark.parametrize(
    ("name", "backbone", "millions"), representatives(PUBLISHED, [PUBLISHED[0], PUBLISHED[2]])
)
def test_published_parameters(name, backbone, millions):
    """Within 3 %, which covers rounding, and auxiliary heads that some tables count."""
    network = build_skeleton(describe_network(name, backbone=backbone))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)


def test_summaries_tell_what_was_chosen():
    summary = summarize(
        describe_network("deeplabv3", backbone="resnet18-v1c", output_stride=16, rates=(3, 6))
    )
    assert summary == {
        "backbone": "resnet18-v1c",
        "output_stride": 16,
        "rates": [3, 6],
        "num_classes": 19,
        "align_corners": False,
    }


@pytest.mark.parametrize("name", ["encnet", "ann"])
def test_heads_that_read_more_maps_than_there_are(name):
    with pytest.raises(NetworkError, match="reads map 2 .the first is 0., but this ResNet makes 2"):
        build_skeleton(describe_network(name, backbone="resnet18-small"))
