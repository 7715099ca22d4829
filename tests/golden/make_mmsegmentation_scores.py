"""Write down how the real mmsegmentation scores and runs, for the tests to check against.

Its `IoUMetric`, `EncoderDecoder.slide_inference` and `whole_inference`, `BaseSegmentor.postprocess_result`
and `SegTTAModel` are run on what `score_inputs.py` makes, with `mmcv.imrescale` and `imflip` for the views.
The tests read the JSON only. The environment is that of `make_mmsegmentation_facts.py`; then::

    python tests/golden/make_mmsegmentation_scores.py
"""

import json
import sys
from pathlib import Path
from types import MethodType, ModuleType, SimpleNamespace

import numpy as np
import torch
from score_inputs import CLASSES, CROP, RUNS, SCORED, SIZE, STRIDE, image, label_pairs, logits

METRICS = ["mIoU", "mDice", "mFscore"]


class _NoOperators(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def main():
    sys.modules["mmcv._ext"] = _NoOperators("mmcv._ext")
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "() -> ()")
    logits_of_slide = _views("slide", (1.0,), False)[0].seg_logits.data
    record = {
        "scores": {name: _scores(name) for name in SCORED},
        "classes": {name: _classes(*run) for name, run in RUNS.items()},
        "slide_logits": [round(value, 5) for value in logits_of_slide.flatten().tolist()],
    }
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    Path(__file__).with_name("mmsegmentation_scores.json").write_text(text)


def _scores(name):
    from mmseg.evaluation.metrics import IoUMetric

    classes = SCORED[name][0]
    pairs = [tuple(map(torch.from_numpy, pair)) for pair in label_pairs(name)]
    areas = [IoUMetric.intersect_and_union(*pair, classes, 255) for pair in pairs]
    metrics = IoUMetric.total_area_to_metrics(*(sum(area) for area in zip(*areas, strict=True)), METRICS)
    with np.errstate(all="ignore"):
        means = {name: float(np.nanmean(values)) for name, values in metrics.items()}
    by_class = {name: values.tolist() for name, values in metrics.items() if name != "aAcc"}
    return {"mean": _plain(means), "by_class": {name: _plain(values) for name, values in by_class.items()}}


def _plain(values):
    """NaN as None, which JSON has."""
    if isinstance(values, dict):
        return {name: None if np.isnan(value) else value for name, value in values.items()}
    return [None if np.isnan(value) else value for value in values]


def _views(mode, scales, flip):
    import mmcv
    from mmengine.config import ConfigDict
    from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
    from mmseg.models.utils import resize
    from mmseg.structures import SegDataSample

    def encode_decode(images, metas):
        return resize(logits(images), size=images.shape[2:], mode="bilinear", align_corners=False)

    network = SimpleNamespace(
        out_channels=CLASSES,
        align_corners=False,
        encode_decode=encode_decode,
        test_cfg=ConfigDict(mode=mode, crop_size=CROP, stride=STRIDE),
    )
    for name in ("whole_inference", "slide_inference"):
        setattr(network, name, MethodType(getattr(EncoderDecoder, name), network))
    views = []
    for scale in scales:
        for mirrored in (False, True) if flip else (False,):
            pixels = mmcv.imrescale(image(), scale) if scale != 1 else image()
            pixels = mmcv.imflip(pixels) if mirrored else pixels
            meta = {
                "ori_shape": SIZE, "img_shape": pixels.shape[:2], "pad_shape": pixels.shape[:2],
                "padding_size": [0, 0, 0, 0], "img_path": "",
                "flip": mirrored, "flip_direction": "horizontal",
            }  # fmt: skip
            images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
            found = EncoderDecoder.inference(network, images, [dict(meta)])
            samples = [SegDataSample(metainfo=meta)]
            views += BaseSegmentor.postprocess_result(network, found, samples)
    return views


def _classes(mode, scales, flip):
    from mmseg.models.segmentors import SegTTAModel

    views = _views(mode, scales, flip)
    if len(views) > 1:
        merger = SimpleNamespace(module=SimpleNamespace(out_channels=CLASSES))
        # It leaves its merged prediction in the last view.
        SegTTAModel.merge_preds(merger, [views])
    return "".join(map(str, views[-1].pred_sem_seg.data.flatten().tolist()))


if __name__ == "__main__":
    main()
