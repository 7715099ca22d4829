"""One tester that every catalogue entry passes, and the options."""

import json

import pytest
import torch

import erfscope
from erfscope.errors import NetworkError
from erfscope.zoo.backbones.resnet import RESNETS
from erfscope.zoo.catalog import CATALOG, build_network, build_skeleton, list_networks, resolve_options


@pytest.fixture(params=CATALOG)
def name(request):
    return request.param


@pytest.mark.parametrize("align_corners", [False, True])
def test_every_entry_builds_runs_and_reloads(name, align_corners, tmp_path):
    options = resolve_options(name, backbone="resnet18", num_classes=3, align_corners=align_corners)
    network = build_network(options, seed=1)
    assert not network.training
    for size in ((65, 65), (64, 64), (33, 80)):
        image = torch.randn(1, 3, *size, requires_grad=True)
        logits = network(image)
        assert logits.shape == (1, 3, *size)
        logits[:, :, size[0] // 2, size[1] // 2].sum().backward()
        assert torch.isfinite(image.grad).all()
        assert image.grad.abs().sum() > 0
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    again = erfscope.load_model(
        name, backbone="resnet18", align_corners=align_corners, checkpoint=tmp_path / "weights.pth"
    )
    assert again.origin.options["num_classes"] == 3  # read from the classifier's shape
    assert not again.origin.weights.missing
    assert torch.equal(again(image), network(image))


def test_every_entry_gives_a_map(name):
    model = erfscope.load_model(name, backbone="resnet18", num_classes=2)
    erf = erfscope.compute_erf(model, erfscope.open_dataset("synthetic-leaves", size=(49, 64), images=2))
    assert erf.erf.shape == (49, 64)
    assert erf.erf.sum() > 0


def test_random_weights_are_seeded_and_leave_residual_scales_alone(name):
    options = resolve_options(name, backbone="resnet50-v1c")
    first, second, other = (build_network(options, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    convolutions = [key for key, value in first.items() if value.ndim == 4]
    assert not any(torch.equal(first[key], other[key]) for key in convolutions)
    assert all(torch.isfinite(value).all() for value in first.values())
    last_norms = [key for key in first if key.endswith("bn3.weight")]
    assert len(last_norms) == 16
    assert all((first[key] == 1).all() for key in last_norms)


def test_building_leaves_the_callers_random_numbers_alone():
    before = torch.get_rng_state()
    build_network(resolve_options("fcn", backbone="resnet18"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("backbone", RESNETS)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride(backbone, stride):
    network = build_skeleton(resolve_options("fcn", backbone=backbone, output_stride=stride))
    features = network.backbone(torch.empty(1, 3, 128, 160, device="meta"))
    assert [128 // f.shape[2] for f in features] == [4, 8, min(16, stride), stride]
    assert [f.shape[1] for f in features] == list(RESNETS[backbone].channels)


@pytest.mark.parametrize(
    ("stride", "rates"), [(8, (12, 24, 36)), (16, (6, 12, 18)), (32, (3, 6, 9))], ids=["os8", "os16", "os32"]
)
def test_default_rates_keep_the_field_of_view_in_pixels(stride, rates):
    """Eq. 2 of the study: r = 6 at stride 16, 12 at stride 8."""
    assert resolve_options("deeplabv3", output_stride=stride).rates == rates


def atrous_rates(module):
    return [m.dilation[0] for m in module.modules() if isinstance(m, torch.nn.Conv2d) and m.dilation[0] > 1]


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("rates", [(7,), (2, 4, 8, 12), (1, 5, 30)])
def test_any_rates(rates, separable):
    for name, extra in (("deeplabv3", {}), ("deeplabv3plus", {"separable": separable})):
        network = build_skeleton(resolve_options(name, rates=rates, **extra))
        assert atrous_rates(network.decode_head) == [rate for rate in rates if rate > 1]
        assert len(network.decode_head.aspp_modules) == len(rates) + 1


def test_fcn_d6_has_two_atrous_convolutions_in_a_row():
    for given, rates in ((None, [6, 6]), ((5,), [5, 5]), ((2, 3), [2, 3])):
        assert atrous_rates(build_skeleton(resolve_options("fcn-d6", rates=given)).decode_head.convs) == rates


def test_multi_grid_multiplies_the_last_stages_rate():
    """DeepLabV3, section 3.2: unit rates (1, 2, 4) at output stride 16 give block4 the rates (2, 4, 8)."""
    network = build_skeleton(resolve_options("deeplabv3", multi_grid=(1, 2, 4), output_stride=16))
    assert [block.conv2.dilation[0] for block in network.backbone.layer4] == [2, 4, 8]


def test_widths_are_mmsegmentations():
    widths = {"resnet18": (128, 12), "resnet34": (128, 12), "resnet50": (512, 48), "resnet152-v1c": (512, 48)}
    for backbone, (width, low_level) in widths.items():
        head = build_skeleton(resolve_options("deeplabv3plus", backbone=backbone)).decode_head
        assert (head.conv_seg.in_channels, head.c1_bottleneck.conv.out_channels) == (width, low_level)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deeplab", {}, "no network is called 'deeplab'; did you mean deeplabv3"),
        ("deeplabv3", {"backbone": "resnet5"}, "no backbone is called 'resnet5'; did you mean resnet50"),
        ("fcn", {"output_stride": 4}, "choose one of 8, 16, 32"),
        ("fcn", {"rates": (6,)}, "fcn has no atrous rates"),
        ("deeplabv3", {"rates": (0, 3)}, "from 1 up"),
        ("deeplabv3", {"rates": ()}, "from 1 up"),
        ("pspnet", {"num_classes": 0}, "at least one class"),
        ("pspnet", {"separable": True}, "no separable"),
        ("deeplabv3", {"multi_grid": (1, 2)}, "needs 3 whole numbers"),
        ("deeplabv3", {"colour": "red"}, "no network takes colour"),
    ],
)
def test_what_cannot_be_built(name, options, message):
    with pytest.raises(NetworkError, match=message):
        erfscope.load_model(name, **options)


def test_the_list_of_networks_is_json_able_and_counts_parameters():
    networks = {row["name"]: row for row in list_networks()}
    assert set(networks) == set(CATALOG)
    # The counts that torchvision publishes, less its auxiliary head: a 3×3 convolution from 1024 to 256
    # channels, its norm, and a classifier of 21.
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
    assert networks["torchvision-deeplabv3"]["parameters"] == 42_004_074 - auxiliary
    assert networks["torchvision-fcn"]["parameters"] == 35_322_218 - auxiliary
    assert json.dumps(list(networks.values()))
