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
    pip install numpy scipy matplotlib pillow opencv-python-headless addict yapf pyyaml
    pip install rich termcolor packaging platformdirs regex prettytable ftfy
    pip install --no-deps mmengine==0.10.7 mmsegmentation==1.2.2
    pip install --no-deps --no-build-isolation mmcv-lite==2.1.0
    python tests/golden/make_mmsegmentation_facts.py

Arguments, if any, are the names of the configs to do; without them, all of ``CONFIGS``.

``mmcv-lite`` has no compiled operators and mmsegmentation imports some of them by name, so an
empty stand-in takes the place of ``mmcv._ext``. No network below calls one.

What differs from the config as shipped: SyncBN becomes BN, which in eval mode is the same
function; no pretrained weights are asked for; the auxiliary head and the pixel sampler, both used
in training only, and the data preprocessor are left out. The logits are
those of ``EncoderDecoder.encode_decode``: the decode head's output resized bilinearly to the
input's size.

Each file holds

- ``config``, ``reference`` (packages and their versions), ``align_corners``, ``num_classes``;
- ``input``: shape and seed for ``shared_rule.generate_input``;
- ``logits``: ``shape``; ``sample``, the elements that ``shared_rule.sample`` takes, ``stride``
  apart; ``mean`` and ``std`` (population) over all elements;
- ``wide``: an ``input`` and its ``logits`` again. The first input is so small that at stride 8 the
  outer taps of an ASPP branch with rate 24 or 36 all lie in the padding (at stride 16: 12 or 18);
  this one is wide enough for every rate to tell;
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
    "fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn_r101-d8_4xb2-80k_cityscapes-512x1024",
    "fcn/fcn-d6_r50-d16_4xb2-80k_cityscapes-769x769",
    "fcn/fcn-d6_r50b-d16_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r18b-d8_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r50-d8_4xb2-80k_cityscapes-769x769",
    "pspnet/pspnet_r50-d32_4xb2-80k_cityscapes-512x1024",
    "pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024",
)
INPUT_SHAPE = (1, 3, 65, 97)
WIDE_INPUT_SHAPE = (1, 3, 33, 321)
INPUT_SEED = 0
PACKAGES = ("mmsegmentation", "mmcv-lite", "mmengine", "torch", "numpy")


class _NoOperators(types.ModuleType):
    """Stands in for the compiled operators: has every name, and each refuses to be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError(f"the compiled operator {name} is not here")

        return refuse


def model_config(name: str) -> Any:
    """Read the model part of a config and make it fit for a CPU and generated weights."""
    import mmseg
    from mmengine.config import Config

    path = Path(mmseg.__file__).parent / ".mim" / "configs" / f"{name}.py"
    model = Config.fromfile(path).model
    model.pretrained = None
    model.pop("auxiliary_head", None)
    model.pop("data_preprocessor", None)
    model.decode_head.pop("sampler", None)
    for part in (model.backbone, model.decode_head):
        part.pop("init_cfg", None)
        part.norm_cfg.type = "BN"
    return model


def build(model_cfg: Any) -> torch.nn.Module:
    """Build a network, fill it by the shared rule, and set it to float64 and eval mode."""
    import mmseg.models  # noqa: F401  (fills the registry)
    from mmseg.registry import MODELS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MODELS.build(model_cfg)
    state = {
        name: value if name.endswith(".num_batches_tracked") else generate(name, value.shape)
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
        "logits": {
            "shape": list(logits.shape),
            "stride": sample_stride(logits.numel()),
            "sample": sample(logits).tolist(),
            "mean": logits.mean().item(),
            "std": logits.std(correction=0).item(),
        },
    }


def facts(name: str) -> dict[str, Any]:
    """Collect the facts of one config."""
    model: Any = build(model_config(name))
    return {
        "config": name,
        "reference": {package: version(package) for package in PACKAGES},
        "align_corners": model.align_corners,
        "num_classes": model.num_classes,
        **run_facts(model, INPUT_SHAPE),
        "wide": run_facts(model, WIDE_INPUT_SHAPE),
        "state": {
            key: list(value.shape)
            for key, value in model.state_dict().items()
            if not key.endswith(".num_batches_tracked")
        },
    }


def text_of(record: dict[str, Any]) -> str:
    """Write a record as JSON with one line per top-level entry and one per state-dict entry."""
    lines = [f"{json.dumps(key)}: {json.dumps(record[key])}" for key in record if key != "state"]
    state = ",\n".join(f"{json.dumps(key)}:{json.dumps(shape)}" for key, shape in record["state"].items())
    return "{\n" + ",\n".join(lines) + ',\n"state": {\n' + state + "\n}\n}\n"


def main(names: list[str]) -> None:
    """Write the files of the named configs, or of all."""
    sys.modules["mmcv._ext"] = _NoOperators("mmcv._ext")
    folder = Path(__file__).parent / "mmsegmentation"
    folder.mkdir(exist_ok=True)
    for name in names or CONFIGS:
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
