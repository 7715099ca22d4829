"""Names, shapes and logits of the real mmsegmentation's networks (`tests/golden`), built from its configs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden.shared_rule import generate, generate_input, sample
from tiers import representatives

from erfscope.checkpoints.formats.mmsegmentation.config_network import describe_config
from erfscope.checkpoints.formats.mmsegmentation.config_text import parse_config
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.backbone_catalog import BACKBONES, name_backbone

FOLDER = Path(__file__).parents[1] / "golden" / "mmsegmentation"
FACTS = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
#: The networks that `make test` builds and runs: the smallest of twelve families.
REPRESENTATIVES = (
    "convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512",
    "deeplabv3_r18-d8_4xb2-80k_cityscapes-769x769",
    "deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024",
    "fcn-d6_r50b-d16_4xb2-80k_cityscapes-512x1024",
    "fcn_r18-d8_4xb2-80k_cityscapes-512x1024",
    "mobilenet-v3-d8-s_lraspp_4xb4-320k_cityscapes-512x1024",
    "nonlocal_r50-d8_4xb2-80k_cityscapes-769x769",
    "pspnet_r18b-d8_4xb2-80k_cityscapes-512x1024",
    "segformer_mit-b0_8xb2-160k_ade20k-512x512",
    "segmenter_vit-t_mask_8xb1-160k_ade20k-512x512",
    "swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512",
    "unet-s5-d16_deeplabv3_4xb4-40k_hrf-256x256",
)


def read(case):
    return json.loads(FACTS[case].read_text())


def describe(facts):
    return describe_config(parse_config(facts["cfg"], facts["config"]), facts["config"])


@pytest.mark.representative
def test_there_are_facts():
    assert len(FACTS) == 72


@pytest.mark.parametrize("case", representatives(FACTS, REPRESENTATIVES))
def test_names_and_shapes(case):
    facts = read(case)
    description = describe(facts)
    state = build_skeleton(description).state_dict()
    ours = {name: list(value.shape) for name, value in state.items() if "num_batches" not in name}
    assert ours == facts["state"]
    assert description.num_classes == facts["num_classes"]
    assert description.align_corners == facts["align_corners"]
    assert name_backbone(description.backbone) in BACKBONES


def shortened_network(facts):
    description = describe(facts)
    for path, value in facts["shortened"].items():
        role, key = path.split(".")
        description = replace(description, **{role: {**getattr(description, role), key: value}})
    network = build_skeleton(description).double().to_empty(device="cpu").eval()
    for module in network.modules():
        if hasattr(module, "fill_buffers"):
            module.fill_buffers()
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = generate(name, tensor.shape).double()
    network.load_state_dict(state)
    return network


def check(logits, expected):
    assert list(logits.shape) == expected["shape"]
    # Two float64 implementations; threads alone move the logits by 1e-16 of their spread, and
    # a missing classifier bias by 4e-9.
    torch.testing.assert_close(
        sample(logits),
        torch.tensor(expected["sample"], dtype=torch.float64),
        rtol=0,
        atol=1e-10 * expected["std"],
    )


@pytest.mark.parametrize("case", representatives(FACTS, REPRESENTATIVES))
def test_logits(case):
    facts = read(case)
    network = shortened_network(facts)
    with torch.no_grad():
        given = (facts, facts["wide"])[len(case) % 2]
        image = generate_input(given["input"]["shape"], given["input"]["seed"]).double()
        check(network(image), given["logits"])
        given = facts["head"]
        if given is not None:
            maps = [given["scale"] * generate_input(s, i).double() for i, s in enumerate(given["shapes"])]
            check(network.head(maps if network.neck is None else network.neck(maps)), given["logits"])
