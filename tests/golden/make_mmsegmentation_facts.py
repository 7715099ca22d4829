"""Write down what the real mmsegmentation says about its networks, for the tests to check against.

Each network is built from its own mmsegmentation config, filled by the rule in ``shared_rule.py``
and run, in float64 and eval mode, on two small inputs made by the same rule. One JSON file per
config goes to ``mmsegmentation/`` beside this script. The tests never import mmsegmentation: they
read the JSON.

Set up an environment of its own (Python 3.11, any machine, no accelerator) and run::

    python3 -m venv facts
    . facts/bin/activate
    pip install "setuptools<81" wheel
    pip install torch==2.13.0
    pip install --no-deps torchvision==0.28.0  # of mmpretrain
    pip install numpy scipy matplotlib pillow opencv-python-headless addict yapf pyyaml
    pip install rich termcolor packaging platformdirs regex prettytable ftfy
    pip install --no-deps mmengine==0.10.7 mmsegmentation==1.2.2 mmpretrain==1.2.0
    pip install einops importlib-metadata mat4py modelindex  # of mmpretrain
    pip install --no-deps --no-build-isolation mmcv-lite==2.1.0
    python tests/golden/make_mmsegmentation_facts.py

Arguments, if any, are beginnings of the names of the configs to do; without them, all of ``CONFIGS``.

``mmcv-lite`` has no compiled operators and mmsegmentation imports some of them by name, so an
empty stand-in takes the place of ``mmcv._ext``. No network below calls one.

What differs from the config as shipped: SyncBN becomes BN, which in eval mode is the same
function; no pretrained weights are asked for; the auxiliary head and the pixel sampler, both used
in training only, and the data preprocessor are left out; for the logits, ``SHORTENED`` has fewer
layers. The logits are
those of ``EncoderDecoder.encode_decode``: the decode head's output resized bilinearly to the
input's size.

Each file holds

- ``config``, ``reference`` (packages and their versions), ``align_corners``, ``num_classes``;
- ``cfg``: the text of the whole config, as a checkpoint of the 1.x series holds it;
- ``shortened``: what was changed in its model part for the logits;
- ``input``: shape and seed for ``shared_rule.generate_input``;
- ``logits``: ``shape``; ``sample``, the elements that ``shared_rule.sample`` takes, ``stride``
  apart; ``mean`` and ``std`` (population) over all elements;
- ``wide``: an ``input`` and its ``logits`` again. The first input is so small that at stride 8 the
  outer taps of an ASPP branch with rate 24 or 36 all lie in the padding (at stride 16: 12 or 18);
  this one is wide enough for every rate to tell;
- ``head``: shapes, scale and seeds of maps in the backbone's place, and the logits of neck and head
  alone: on what generated weights make of an image, attention sees nothing but the largest product.
  Null where the backbone makes more than maps;
- ``state``: name and shape of every parameter and buffer, in the order of the state dict,
  without ``num_batches_tracked``.
"""

from __future__ import annotations

import json
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from shared_rule import generate, generate_input, sample, sample_stride

CONFIGS = (
    "ann/ann_r50-d8_4xb2-80k_cityscapes-769x769",
    "ann/ann_r101-d8_4xb2-80k_cityscapes-512x1024",
    "convnext/convnext-base_upernet_8xb2-amp-160k_ade20k-512x512",
    "convnext/convnext-small_upernet_8xb2-amp-160k_ade20k-512x512",
    "convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512",
    "danet/danet_r50-d8_4xb2-80k_cityscapes-769x769",
    "danet/danet_r101-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-769x769",
    "deeplabv3/deeplabv3_r18b-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r50-d8_4xb2-80k_cityscapes-769x769",
    "deeplabv3/deeplabv3_r50b-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r101-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3/deeplabv3_r101-d16-mg124_4xb2-80k_cityscapes-512x1024",
    "deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024",
    "deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-769x769",
    "deeplabv3plus/deeplabv3plus_r101-d8_4xb2-80k_cityscapes-512x1024",
    "dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512",
    "encnet/encnet_r50-d8_4xb2-80k_cityscapes-769x769",
    "encnet/encnet_r101-d8_4xb2-80k_cityscapes-512x1024",
    "fastfcn/fastfcn_r50-d32_jpu_aspp_4xb2-80k_cityscapes-512x1024",
    "fastfcn/fastfcn_r50-d32_jpu_enc_4xb2-80k_cityscapes-512x1024",
    "fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn_r101-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn-d6_r50-d16_4xb2-80k_cityscapes-769x769",
    "fcn/fcn-d6_r50b-d16_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn-d6_r101-d16_4xb2-80k_cityscapes-512x1024",
    "mobilenet_v2/mobilenet-v2-d8_deeplabv3_4xb2-80k_cityscapes-512x1024",
    "mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024",
    "mobilenet_v2/mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024",
    "mobilenet_v2/mobilenet-v2-d8_pspnet_4xb2-80k_cityscapes-512x1024",
    "mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024",
    "mobilenet_v3/mobilenet-v3-d8-s_lraspp_4xb4-320k_cityscapes-512x1024",
    "nonlocal_net/nonlocal_r50-d8_4xb2-80k_cityscapes-769x769",
    "nonlocal_net/nonlocal_r101-d8_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r18b-d8_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r50-d8_4xb2-80k_cityscapes-769x769",
    "pspnet/pspnet_r50-d32_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024",
    "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512",
    "segformer/segformer_mit-b1_8xb1-160k_cityscapes-1024x1024",
    "segformer/segformer_mit-b2_8xb2-160k_ade20k-512x512",
    "segformer/segformer_mit-b3_8xb2-160k_ade20k-512x512",
    "segformer/segformer_mit-b4_8xb2-160k_ade20k-512x512",
    "segformer/segformer_mit-b5_8xb2-160k_ade20k-640x640",
    "segmenter/segmenter_vit-b_mask_8xb1-160k_ade20k-512x512",
    "segmenter/segmenter_vit-l_mask_8xb1-160k_ade20k-512x512",
    "segmenter/segmenter_vit-s_fcn_8xb1-160k_ade20k-512x512",
    "segmenter/segmenter_vit-s_mask_8xb1-160k_ade20k-512x512",
    "segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512",
    "setr/setr_vit-l_mla_8xb1-80k_cityscapes-768x768",
    "setr/setr_vit-l_naive_8xb1-80k_cityscapes-768x768",
    "setr/setr_vit-l_pup_8xb1-80k_cityscapes-768x768",
    "swin/swin-base-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512",
    "swin/swin-base-patch4-window12-in22k-384x384-pre_upernet_8xb2-160k_ade20k-512x512",
    "swin/swin-small-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512",
    "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512",
    "unet/unet_s5-d16_deeplabv3_4xb4-40k_chase-db1-128x128",
    "unet/unet-s5-d16_deeplabv3_4xb4-40k_hrf-256x256",
    "unet/unet-s5-d16_fcn_4xb4-40k_stare-128x128",
    "unet/unet-s5-d16_pspnet_4xb4-40k_stare-128x128",
    "upernet/upernet_r18_4xb2-80k_cityscapes-512x1024",
    "upernet/upernet_r50_4xb2-80k_cityscapes-769x769",
    "upernet/upernet_r101_4xb2-80k_cityscapes-512x1024",
    "vit/vit_deit-b16_mln_upernet_8xb2-160k_ade20k-512x512",
    "vit/vit_deit-s16_upernet_8xb2-160k_ade20k-512x512",
    "vit/vit_vit-b16-ln_mln_upernet_8xb2-160k_ade20k-512x512",
    "vit/vit_vit-b16_mln_upernet_8xb2-160k_ade20k-512x512",
)
# For the logits alone, networks of many equal layers get fewer: what the script changes in the model part
# by the folder or the beginning of the config's name.
SHORTENED: dict[str, dict[str, Any]] = {
    "setr/": {"backbone.num_layers": 4, "backbone.out_indices": [0, 1, 2, 3]},
    "segmenter/segmenter_vit-l": {"backbone.num_layers": 2},
    "segformer/segformer_mit-b3": {"backbone.num_layers": [1, 2, 2, 1]},
    "segformer/segformer_mit-b4": {"backbone.num_layers": [1, 2, 2, 1]},
    "segformer/segformer_mit-b5": {"backbone.num_layers": [1, 2, 2, 1]},
    "swin/swin-base": {"backbone.depths": [2, 2, 2, 2]},
    "swin/swin-small": {"backbone.depths": [2, 2, 2, 2]},
    "vit/": {"backbone.num_layers": 4, "backbone.out_indices": [0, 1, 2, 3]},
}
INPUT_SHAPES = ((1, 3, 65, 97), (1, 3, 33, 321))
# By the folder: a U-Net of mmsegmentation takes multiples of 16 only, LR-ASPP pools 49×49 cells at stride 8.
OTHER_SHAPES = {
    "unet": ((1, 3, 64, 96), (1, 3, 32, 320)),
    "mobilenet_v3": ((1, 3, 393, 401), (1, 3, 391, 520)),
}
INPUT_SEED = 0
MAP_SCALE = 0.3
PACKAGES = ("mmsegmentation", "mmcv-lite", "mmengine", "torch", "numpy")


class _NoOperators(types.ModuleType):
    """Stands in for the compiled operators: has every name, and each refuses to be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError(f"the compiled operator {name} is not here")

        return refuse


def read_config(name: str) -> Any:
    """Read a config as shipped."""
    import mmseg
    from mmengine.config import Config

    return Config.fromfile(Path(mmseg.__file__).parent / ".mim" / "configs" / f"{name}.py")


def make_plain(part: Any) -> None:
    """Make a part of a model's config fit for a CPU and generated weights, in place."""
    part.pop("init_cfg", None)
    part.pop("sampler", None)
    for key, value in part.items():
        if key == "norm_cfg" and value is not None and value["type"] == "SyncBN":
            value["type"] = "BN"
        elif isinstance(value, dict):
            make_plain(value)


def model_config(name: str, changes: dict[str, Any] | None = None) -> Any:
    """Take the model part of a config, with changes such as {"backbone.depth": 18}."""
    model = read_config(name).model
    for path, value in (changes or {}).items():
        part, key = path.split(".")
        model[part][key] = value
    model.pretrained = None
    model.pop("auxiliary_head", None)
    model.pop("data_preprocessor", None)
    make_plain(model)
    return model


def build(model_cfg: Any) -> torch.nn.Module:
    """Build a network, fill it by the shared rule, and set it to float64 and eval mode."""
    import mmseg.models  # noqa: F401  (fills the registry)
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MODELS.build(model_cfg)
    state = {
        name: generate(name, value.shape) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    return model.double().eval()


def logits_of(model: Any, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Run the network as mmsegmentation does on a whole image."""
    image = generate_input(shape, seed).double()
    size = tuple(shape[2:])
    metas = [{"ori_shape": size, "img_shape": size, "pad_shape": size}] * shape[0]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.encode_decode(image, metas)


def run_facts(model: Any, shape: tuple[int, ...], seed: int = INPUT_SEED) -> dict[str, Any]:
    """Collect what the network makes of one input."""
    logits = logits_of(model, shape, seed)
    if logits.dtype != torch.float64 or not bool(torch.isfinite(logits).all()):
        raise RuntimeError("logits are not finite float64")
    return {
        "input": {"shape": list(shape), "seed": seed, "rule": "shared_rule.generate_input"},
        "logits": describe(logits),
    }


def describe(logits: torch.Tensor) -> dict[str, Any]:
    """Sample and sum up logits."""
    return {
        "shape": list(logits.shape),
        "stride": sample_stride(logits.numel()),
        "sample": sample(logits).tolist(),
        "mean": logits.mean().item(),
        "std": logits.std(correction=0).item(),
    }


def head_facts(model: Any, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Collect what neck and head make of moderate maps of the shapes that an input gives."""
    with torch.inference_mode():
        maps = model.backbone(generate_input(shape, INPUT_SEED).double())
        if not all(isinstance(x, torch.Tensor) for x in maps):
            return None
        shapes = [tuple(x.shape) for x in maps]
        maps = [generate_input(s, INPUT_SEED + i).double() * MAP_SCALE for i, s in enumerate(shapes)]
        logits = model.decode_head.forward(model.neck(maps) if model.with_neck else maps)
    logits = logits[0] if isinstance(logits, tuple) else logits
    return {"shapes": [list(s) for s in shapes], "scale": MAP_SCALE, "logits": describe(logits)}


def changes_for(name: str) -> dict[str, Any]:
    """Find what is shortened in a config."""
    return next((changes for start, changes in SHORTENED.items() if name.startswith(start)), {})


def facts(name: str) -> dict[str, Any]:
    """Collect the facts of one config."""
    model: Any = build(model_config(name))
    state = {
        key: list(value.shape)
        for key, value in model.state_dict().items()
        if not key.endswith(".num_batches_tracked")
    }
    shortened = changes_for(name)
    if shortened:
        model = build(model_config(name, shortened))
    narrow, wide = OTHER_SHAPES.get(name.partition("/")[0], INPUT_SHAPES)
    return {
        "config": name,
        "reference": {package: version(package) for package in PACKAGES},
        "align_corners": model.align_corners,
        "num_classes": model.num_classes,
        "cfg": read_config(name).pretty_text,
        "shortened": shortened,
        **run_facts(model, narrow),
        "wide": run_facts(model, wide),
        "head": head_facts(model, narrow),
        "state": state,
    }


def text_of(record: dict[str, Any]) -> str:
    """Write a record as JSON with one line per top-level entry and one per state-dict entry."""
    lines = [f"{json.dumps(key)}: {json.dumps(record[key])}" for key in record if key != "state"]
    state = ",\n".join(f"{json.dumps(key)}:{json.dumps(shape)}" for key, shape in record["state"].items())
    return "{\n" + ",\n".join(lines) + ',\n"state": {\n' + state + "\n}\n}\n"


def main(names: list[str]) -> None:
    """Write the files of the configs whose names begin so, or of all."""
    sys.modules["mmcv._ext"] = _NoOperators("mmcv._ext")
    for operator in ("nms", "qnms"):  # torchvision's wheel, built for CUDA, looks for them on import
        torch.library.define(f"torchvision::{operator}", "() -> ()")
    folder = Path(__file__).parent / "mmsegmentation"
    folder.mkdir(exist_ok=True)
    for name in CONFIGS:
        if names and not name.startswith(tuple(names)):
            continue
        record = facts(name)
        text = text_of(record)
        if json.loads(text) != record:
            raise RuntimeError(f"{name}: the file would not read back as it was written")
        path = folder / f"{name.rpartition('/')[2]}.json"
        path.write_text(text, encoding="utf-8")
        logits = record["logits"]
        print(f"{path.name}: {len(text)} bytes, mean {logits['mean']:.4g}, std {logits['std']:.4g}")


if __name__ == "__main__":
    main(sys.argv[1:])
