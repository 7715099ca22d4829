"""What a config.json could have transformers do, and doesn't: run code, or ask the hub."""

import json
import sys

import pytest
import torch
from same_outputs import assert_same_outputs
from small_networks import noise_images
from tiers import representatives
from transformers_networks import CONFIGS, make_config, make_network

import erfscope
from erfscope.errors import CheckpointError

pytestmark = pytest.mark.representative

IMAGE = noise_images(1, (64, 64))[0][None]


@pytest.fixture(scope="module")
def segformer(torchvision):
    return make_network(make_config("segformer"))


def logits(network):
    with torch.no_grad():
        return network(IMAGE)


@pytest.fixture(scope="module")
def expected(segformer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    segformer.save_pretrained(folder)
    return logits(erfscope.load_model(str(folder)))


@pytest.mark.parametrize("name", representatives(CONFIGS, ("segformer",)))
def test_transformers_opens_nothing(name, torchvision, tmp_path, monkeypatch, offline):
    """It gets tensors and a config: no file to unpickle, no class to look for, nobody to ask."""
    make_network(make_config(name)).save_pretrained(tmp_path)

    def refuse(*arguments, **_named):
        raise AssertionError(f"called with {arguments}")

    for called in (
        "torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler",
        "transformers.modeling_utils.load_state_dict", "transformers.modeling_utils.cached_file",
        "transformers.dynamic_module_utils.get_class_from_dynamic_module",
        "transformers.models.auto.auto_factory.get_class_from_dynamic_module",
        "transformers.integrations.hub_kernels.get_kernel", "transformers.backbone_utils.hf_api",
    ):  # fmt: skip
        monkeypatch.setattr(called, refuse)
    assert erfscope.load_model(str(tmp_path)).info.weights.missing == ()


TIMM = {"backbone": "resnet18", "use_timm_backbone": True, "use_pretrained_backbone": True,
        "backbone_kwargs": {"out_indices": [1, 2, 3, 4]}, "backbone_config": None}  # fmt: skip


@pytest.mark.parametrize("saved", ["as today", "as version 4 did"])
def test_a_backbone_of_timm_is_never_downloaded(saved, torchvision, tmp_path, offline):
    from transformers import TimmBackboneConfig

    backbone = TimmBackboneConfig(backbone="resnet18", out_indices=[1, 2, 3, 4])
    network = make_network(
        make_config("upernet over swin", backbone_config=backbone, auxiliary_in_channels=256)
    )
    network.save_pretrained(tmp_path)
    if saved != "as today":
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **TIMM}))
    ours = erfscope.load_model(str(tmp_path))
    assert ours.info.options["backbone"] == "timm_backbone"
    assert (ours.info.weights.missing, ours.info.weights.unexpected) == ((), ())
    with torch.no_grad():
        assert_same_outputs(logits(ours), network(IMAGE).logits)


def test_names_of_the_backbone_that_a_decoder_would_have(torchvision, tmp_path, offline):
    """MaskFormer's decoder is DETR's, whose config names a backbone, too; nobody builds it."""
    network = make_network(make_config("maskformer"))
    network.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["decoder_config"] |= {
        "backbone": "someone/backbone",
        "use_timm_backbone": False,
        "backbone_config": None,
    }
    path.write_text(json.dumps(config))
    assert erfscope.load_model(str(tmp_path)).info.weights.missing == ()


def test_code_beside_a_known_network_is_not_run(segformer, expected, tmp_path):
    segformer.save_pretrained(tmp_path)
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Net: ...\n")
    path = tmp_path / "config.json"
    code = {"AutoConfig": "evil.Net", "AutoModelForSemanticSegmentation": "evil.Net", "AutoModel": "evil.Net"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": code}))
    assert_same_outputs(logits(erfscope.load_model(str(tmp_path))), expected)
    assert not marker.exists()


def test_keys_that_would_have_code_fetched_are_passed_over(segformer, expected, tmp_path, offline):
    segformer.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    keys = {
        "attn_implementation": "kernels-community/flash-attn", "_attn_implementation": "someone/kernel",
        "experts_implementation": "someone/kernel", "fusion_config": {"patch_embeddings": True},
        "dtype": "float16", "torch_dtype": "float16", "return_dict": False, "name_or_path": "someone/net",
        "output_hidden_states": True, "gradient_checkpointing": True, "distributed_config": {"tp_size": 2},
        "to_dict": 5, "backbone": "someone/backbone",
    }  # fmt: skip
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
    ours = erfscope.load_model(str(tmp_path))
    assert_same_outputs(logits(ours), expected)


def test_without_the_library(segformer, tmp_path, monkeypatch):
    segformer.save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match=r"needs the library transformers: pip install .*\[hf\]"):
        erfscope.load_model(f"hf:{tmp_path}")


def test_a_library_without_the_network(segformer, tmp_path, monkeypatch):
    """As an older one; a torchvision for another torch breaks it in the same place."""
    from transformers.models.auto import modeling_auto

    segformer.save_pretrained(tmp_path)
    names = modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
    monkeypatch.setitem(names, "segformer", "NoNetwork")
    with pytest.raises(CheckpointError, match=r"segformer, which can't be imported \(.*NoNetwork"):
        erfscope.load_model(f"hf:{tmp_path}")
