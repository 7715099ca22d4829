"""Names, shapes and logits of the real mmsegmentation's networks (`tests/golden`)."""

import json
from pathlib import Path

import pytest
import torch
from golden.shared_rule import generate, generate_input, sample

from erfscope.zoo.backbones.resnet import RESNETS, ResNet
from erfscope.zoo.catalog import build_network, build_skeleton, resolve_options

FOLDER = Path(__file__).parents[1] / "golden" / "mmsegmentation"
FACTS = {path.stem.replace("_4xb2-80k_cityscapes", ""): path for path in sorted(FOLDER.glob("*.json"))}


def read(case):
    return json.loads(FACTS[case].read_text())


def options_of(facts):
    """deeplabv3_r50b-d8… → network, backbone (b: plain stem, else v1c), output stride."""
    network, backbone = facts["config"].rsplit("/", 1)[-1].split("_")[:2]
    depth, stride = backbone.split("-")[:2]
    stem = "" if depth.endswith("b") else "-v1c"
    return resolve_options(
        network,
        backbone=f"resnet{depth.strip('rb')}{stem}",
        output_stride=int(stride.strip("d")),
        align_corners=facts["align_corners"],
        num_classes=facts["num_classes"],
    )


def test_there_are_facts():
    assert len(FACTS) == 21


@pytest.mark.parametrize("case", FACTS)
def test_names_and_shapes(case):
    facts = read(case)
    state = build_skeleton(options_of(facts)).state_dict()
    ours = {name: list(value.shape) for name, value in state.items() if "num_batches" not in name}
    assert ours == facts["state"]


def with_shared_weights(facts):
    network = build_network(options_of(facts)).double()
    if "mg124" in facts["config"]:
        # mmsegmentation reads a multi-grid as rates, not as factors on the stage's rate.
        design = RESNETS[options_of(facts).backbone]
        network.backbone = ResNet(design, 16, last_stage_rates=(1, 2, 4)).double().eval()
    state = {name: generate(name, shape).double() for name, shape in facts["state"].items()}
    network.load_state_dict(state, strict=False)
    return network


# A ResNet of stride 32 whose last stages are dilated nonetheless is none of the catalogue's.
@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in FACTS if "d32" not in case])
def test_logits(case):
    facts = read(case)
    network = with_shared_weights(facts)
    for given in (facts, facts["wide"]):
        image = generate_input(given["input"]["shape"], given["input"]["seed"]).double()
        with torch.no_grad():
            logits = network(image)
        expected = given["logits"]
        assert list(logits.shape) == expected["shape"]
        # Two float64 implementations; threads alone move the logits by 1e-16 of their spread, and
        # a missing classifier bias by 4e-9.
        torch.testing.assert_close(
            sample(logits),
            torch.tensor(expected["sample"], dtype=torch.float64),
            rtol=0,
            atol=1e-10 * expected["std"],
        )
