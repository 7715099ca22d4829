"""From a dataset to scores: native sizes, fits, skipped images, flags, and a network left as it was."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import SmallNet, seeded
from torch import nn

import erfscope
from erfscope.checkpoints.load import load_model
from erfscope.datasets import SkippedImage
from erfscope.errors import ScoreError
from erfscope.records.model_info import ModelInfo, TrainingFacts, WeightsReport
from erfscope.records.scores import Scores
from erfscope.scores.boundaries import boundary_distance, keep_band
from erfscope.scores.confusion import confusion_matrix

SIZES = [(40, 56), (41, 55), (33, 80)]


@pytest.fixture
def voc(tmp_path):
    """Three labeled images of different, oblong sizes; 21 classes, of which four occur."""
    base = tmp_path / "VOCdevkit" / "VOC2012"
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / folder).mkdir(parents=True)
    for i, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(base / f"JPEGImages/{i}.jpg")
        label = rng.choice(np.array([0, 1, 2, 7, 255], np.uint8), (-(-size[0] // 8), -(-size[1] // 8)))
        label = np.kron(label, np.ones((8, 8), np.uint8))[: size[0], : size[1]]
        Image.fromarray(label).save(base / f"SegmentationClass/{i}.png")
    (base / "ImageSets/Segmentation/val.txt").write_text("0\n1\n2\n")
    return tmp_path


@pytest.fixture
def net():
    return seeded(SmallNet(21))


def predicted(net, image):
    with torch.no_grad():
        return copy.deepcopy(net).eval()(image[None])[0].argmax(0)


def pairs(dataset):
    """(image, label) as they lie on disk, normalized."""
    for i, place in enumerate(dataset.chosen):
        image, label = dataset.source.load(place)
        yield dataset.to_sample(i, np.array(image), np.array(label))


def test_whole_images_at_their_own_size(voc, net):
    dataset = erfscope.open_dataset("voc2012", root=voc, size=24)
    found = erfscope.evaluate(net, dataset, workers=0)
    samples = list(pairs(dataset))
    assert [tuple(sample.image.shape[1:]) for sample in samples] == SIZES
    expected = sum(confusion_matrix(predicted(net, s.image), s.label, 21) for s in samples).numpy()
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.scores.miou == Scores.from_confusion(expected, dataset.classes).miou
    assert (found.images, found.provenance["dataset"]["size"]) == (3, None)


def test_fitted_images(voc, net):
    dataset = erfscope.open_dataset("voc2012", root=voc, size=(24, 30))
    found = erfscope.evaluate(net, dataset, fitted=True, workers=0)
    expected = sum(confusion_matrix(predicted(net, s.image), s.label, 21) for s in dataset).numpy()
    np.testing.assert_array_equal(found.confusion, expected)
    assert any("fitted to one size" in flag.message for flag in found.flags)
    assert found.provenance["dataset"]["size"] == [24, 30]


def test_bands_about_boundaries(voc, net):
    dataset = erfscope.open_dataset("voc2012", root=voc)
    for void in (False, True):
        found = erfscope.evaluate(net, dataset, trimap_widths=(3, 1), trimap_void=void, workers=0)
        assert list(found.trimap) == [1, 3]
        for width, scores in found.trimap.items():
            expected = np.zeros((21, 21), np.int64)
            for sample in pairs(dataset):
                label = sample.label.numpy().astype(np.uint8)
                band = keep_band(label, boundary_distance(label, 3, void_is_boundary=void), width)
                guess = predicted(net, sample.image)
                expected += confusion_matrix(guess, torch.from_numpy(band), 21).numpy()
            assert 0 < expected.sum() < found.confusion.sum()
            np.testing.assert_array_equal(scores.iou, Scores.from_confusion(expected, dataset.classes).iou)


def test_the_error_of_the_mean(net):
    dataset = erfscope.open_dataset("synthetic-leaves", images=9, size=(33, 41))
    leaves = seeded(SmallNet(5))
    found = erfscope.evaluate(leaves, dataset, workers=0)
    one_by_one = [confusion_matrix(predicted(leaves, s.image), s.label, 5).numpy() for s in dataset]
    without = [Scores.from_confusion(sum(one_by_one) - each, dataset.classes).miou for each in one_by_one]
    expected = np.sqrt(8 / 9 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert found.scores.miou_stderr == pytest.approx(expected, rel=1e-12)
    assert found.summary()["miou_stderr"] == found.scores.miou_stderr
    few = erfscope.evaluate(leaves, erfscope.open_dataset("synthetic-leaves", images=2, size=33), workers=0)
    assert few.scores.miou_stderr is None
    assert any("2 images are too few" in flag.message for flag in few.flags)


def test_the_network_comes_back_as_it_was(voc, net):
    net.train()
    before = {name: (tensor, tensor.clone()) for name, tensor in net.state_dict().items()}
    grads = [parameter.requires_grad for parameter in net.parameters()]
    erfscope.evaluate(net, erfscope.open_dataset("voc2012", root=voc), workers=0)
    assert net.training
    assert all(module.training for module in net.modules())
    assert [parameter.requires_grad for parameter in net.parameters()] == grads
    for name, tensor in net.state_dict().items():
        assert tensor.data_ptr() == before[name][0].data_ptr()
        assert torch.equal(tensor, before[name][1])


def test_a_network_in_double_precision_stays_so(voc, net):
    found = erfscope.evaluate(net.double(), erfscope.open_dataset("voc2012", root=voc), workers=0)
    assert next(net.parameters()).dtype == torch.float64
    assert found.images == 3


def test_workers_change_nothing(voc, net):
    dataset = erfscope.open_dataset("voc2012", root=voc)
    here, there = (erfscope.evaluate(net, dataset, workers=workers) for workers in (0, 1))
    np.testing.assert_array_equal(here.confusion, there.confusion)


def test_broken_images_are_counted(voc, net):
    (voc / "VOCdevkit/VOC2012/JPEGImages/1.jpg").write_bytes(b"no image")
    dataset = erfscope.open_dataset("voc2012", root=voc)
    seen = []
    found = erfscope.evaluate(
        net, dataset, workers=0, max_skipped=0.5, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(1, 0), (1, 1), (2, 1)]
    assert found.images == 2
    ((name, reason),) = found.skipped
    assert name.endswith("1.jpg")
    assert "not a readable image" in reason
    with pytest.raises(
        ScoreError, match=r"1 of 3 images had to be skipped, at most 1% may be; first: .*1.jpg"
    ):
        erfscope.evaluate(net, dataset, workers=0)


def test_a_label_of_another_size(voc, net):
    path = voc / "VOCdevkit/VOC2012/SegmentationClass/0.png"
    Image.fromarray(np.zeros((39, 56), np.uint8)).save(path)
    dataset = erfscope.open_dataset("voc2012", root=voc)
    with pytest.raises(ScoreError, match="the label is 56×39 px, its image 56×40"):
        erfscope.evaluate(net, dataset, workers=0)


def test_a_label_outside_the_classes_names_image_and_value(net):
    dataset = erfscope.open_dataset("synthetic-leaves", images=2, size=33)
    dataset = replace(dataset, classes=dataset.classes[:3])
    with pytest.raises(ScoreError, match=r"leaves-0000\d: the label has the value 3 \(\d+ px\)"):
        erfscope.evaluate(seeded(SmallNet(3)), dataset, workers=0)


@pytest.mark.parametrize("classes", [4, 20, 22, 1])
def test_another_number_of_classes(voc, classes):
    with pytest.raises(ScoreError, match=f"the network has {classes} classes, the dataset 21"):
        erfscope.evaluate(SmallNet(classes), erfscope.open_dataset("voc2012", root=voc), workers=0)


def test_one_logit_for_two_classes():
    dataset = erfscope.open_dataset("synthetic-leaves", images=2, size=33)
    source = dataset.source

    class Halved:
        names, sequences = source.names, source.sequences

        def load(self, index):
            image, label = source.load(index)
            return image, Image.fromarray((np.array(label) > 1).astype(np.uint8))

    dataset = replace(dataset, source=Halved(), classes=("no", "yes"))
    net = seeded(SmallNet(1))
    found = erfscope.evaluate(net, dataset, workers=0, threshold=0.4)
    expected = sum(
        confusion_matrix((net.eval()(s.image[None])[0, 0].sigmoid() > 0.4).long(), s.label, 2)
        for s in dataset
    )
    np.testing.assert_array_equal(found.confusion, expected.numpy())


def test_output_that_is_not_finite(voc):
    net = SmallNet(21)
    nn.init.constant_(net.classify.bias, float("nan"))
    with pytest.raises(ScoreError, match="first: .*0.jpg \\(the network's output is not finite\\)"):
        erfscope.evaluate(net, erfscope.open_dataset("voc2012", root=voc), workers=0)


def test_a_dataset_without_labels(tmp_path, voc, net):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ScoreError, match="folder has no labels to score against"):
        erfscope.evaluate(net, erfscope.open_dataset("folder", root=tmp_path))
    unlabeled = erfscope.open_dataset("voc2012", root=voc, labels=False)
    with pytest.raises(ScoreError, match="0.jpg \\(it has no label\\)"):
        erfscope.evaluate(net, unlabeled, workers=0)


def test_labels_without_any_class(voc, net):
    for i, (height, width) in enumerate(SIZES):
        path = voc / f"VOCdevkit/VOC2012/SegmentationClass/{i}.png"
        Image.fromarray(np.full((height, width), 255, np.uint8)).save(path)
    with pytest.raises(ScoreError, match="no pixel of the 3 images has a class"):
        erfscope.evaluate(net, erfscope.open_dataset("voc2012", root=voc), workers=0)


def test_a_window_needs_the_mode_and_comes_from_the_checkpoint(voc, net):
    dataset = erfscope.open_dataset("voc2012", root=voc)
    with pytest.raises(ScoreError, match="add --mode slide"):
        erfscope.evaluate(net, dataset, crop=(16, 16))
    with pytest.raises(ScoreError, match="give --crop"):
        erfscope.evaluate(net, dataset, mode="slide")
    facts = TrainingFacts(crop_size=(24, 30), classes=dataset.classes)
    net.info = ModelInfo("small", {}, WeightsReport("w.pth"), training=facts)
    found = erfscope.evaluate(net, dataset, mode="slide", workers=0)
    assert (found.inference["crop"], found.inference["stride"]) == ([24, 30], [16, 20])
    assert found.inference_label == "windows of 24×30 px every 16×20 px"


def flags(voc, net, weights, facts=None):
    net.info = ModelInfo("small", {}, weights, training=facts or TrainingFacts())
    dataset = erfscope.open_dataset("voc2012", root=voc, images=2)
    return " | ".join(map(str, erfscope.evaluate(net, dataset, workers=0).flags))


def test_flags_tell_what_must_not_be_trusted(voc, net):
    told = flags(voc, net, WeightsReport("random", seed=3))
    assert "random weights (seed 3)" in told
    assert "scored on 2 of 3 images" in told
    assert "2 images are too few for an error of the mIoU" in told
    assert "17 classes (bird, boat, bottle, bus, cat, chair, … (11 more)) without a labeled pixel" in told
    partial = flags(voc, net, WeightsReport("w.pth", missing=("a", "b"), not_finite={"c": 3}))
    assert "2 tensors are not in w.pth and stayed random" in partial
    assert "3 values of the weights are NaN" in partial
    assert "random weights" not in partial


def test_classes_in_another_order_are_flagged(voc, net):
    classes = erfscope.open_dataset("voc2012", root=voc).classes
    weights = WeightsReport("w.pth")
    other = TrainingFacts(classes=(classes[1], classes[0], *classes[2:]))
    assert "2 of 21 classes are named otherwise" in flags(voc, net, weights, other)
    written = TrainingFacts(classes=tuple(name.upper().replace(" ", "_") for name in classes))
    assert "named otherwise" not in flags(voc, net, weights, written)


def test_without_a_pixel_in_the_band(voc, net):
    for i, (height, width) in enumerate(SIZES):  # two classes parted by void, as VOC's are
        label = np.full((height, width), 255, np.uint8)
        label[:, :20], label[:, 30:] = 0, 1
        Image.fromarray(label).save(voc / f"VOCdevkit/VOC2012/SegmentationClass/{i}.png")
    dataset = erfscope.open_dataset("voc2012", root=voc)
    found = erfscope.evaluate(net, dataset, trimap_widths=(2, 40), workers=0)
    assert found.summary()["trimap"][0]["miou"] is None
    assert any(
        "no labeled pixel within 2 px" in flag.message and "--trimap-void" in flag.message
        for flag in found.flags
    )
    with pytest.raises(ScoreError, match="widths above 0"):
        erfscope.evaluate(net, dataset, trimap_widths=(0,))


def test_channel_order_and_normalization_reach_the_network(voc, net):
    class Mean(nn.Module):
        """Two classes by the red of an image."""

        def forward(self, images):
            return torch.cat([images[:, :1], images[:, 2:], *[torch.full_like(images, -99)] * 7], 1)[:, :21]

    dataset = erfscope.open_dataset("voc2012", root=voc)
    swapped = erfscope.open_dataset("voc2012", root=voc, channel_order="bgr")
    found, other = (erfscope.evaluate(Mean(), data, workers=0).confusion for data in (dataset, swapped))
    np.testing.assert_array_equal(found[:, [1, 0]], other[:, [0, 1]])
    assert not np.array_equal(found, other)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (31, 49)])
def test_sizes_one_pixel_off(size):
    net = load_model("lraspp", backbone="mobilenet-v3-small", num_classes=5)
    dataset = erfscope.open_dataset("synthetic-leaves", images=1, size=size)
    window = {"mode": "slide", "crop": (24, 24), "stride": (16, 16)}
    found = erfscope.evaluate(net, dataset, workers=0, scales=(0.5, 1.0), flip=True, **window)
    assert found.confusion.sum() == size[0] * size[1]


def test_samples_of_a_plugin():
    from erfscope.datasets import PluggedDataset, Sample

    samples = [
        Sample(torch.randn(3, 20, 25), torch.zeros(20, 25, dtype=torch.int64), "a"),
        SkippedImage("b", "broken"),
        Sample(torch.randn(3, 20, 25), torch.zeros(19, 25, dtype=torch.int64), "c"),
    ]
    dataset = PluggedDataset("mine", samples, (20, 25), ("x", "y", "z", "w"), {})
    found = erfscope.evaluate(seeded(SmallNet()), dataset, max_skipped=0.7)
    assert found.images == 1
    assert found.skipped == (("b", "broken"), ("c", "its label is 19×25 px, its image 20×25"))
