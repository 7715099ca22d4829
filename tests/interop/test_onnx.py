"""Networks that torch's own two exporters wrote as ONNX: logits and maps are those of the network."""

import warnings

import onnx
import pytest
import torch
from small_networks import SmallNet, noise_images, seeded
from tiers import representatives

import erfscope
from erfscope.errors import CheckpointError, ComputeError

pytestmark = pytest.mark.representative

SIZE = (64, 96)


def small():
    return seeded(SmallNet()).eval()


def ours(name, backbone):
    def build():
        return erfscope.load_model(name, backbone=backbone, num_classes=5)

    return build


def export(network, path, *, dynamo=True, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the former exporter is deprecated
        torch.onnx.export(network, (torch.zeros(1, 3, *SIZE),), path, dynamo=dynamo, verbose=False, **options)


# How it is built, and how it is exported: by the present exporter or the former one, which many files in use
# are from.
EXPORTS = {
    "small": (small, {}),
    "small, former exporter": (small, {"dynamo": False}),
    "small, weights in another file": (small, {"external_data": True}),
    "DeepLabV3": (ours("deeplabv3", "resnet18"), {}),
    "DeepLabV3, former exporter": (ours("deeplabv3", "resnet18"), {"dynamo": False, "opset_version": 13}),
    "DeepLabV3+, opset 11": (ours("deeplabv3plus", "resnet18"), {"dynamo": False, "opset_version": 11}),
    "PSPNet": (ours("pspnet", "resnet18"), {}),
    "SegFormer": (ours("segformer", "mit-b0"), {}),
    "SegFormer, former exporter": (ours("segformer", "mit-b0"), {"dynamo": False}),
}


@pytest.mark.parametrize("name", representatives(EXPORTS, ("small", "small, former exporter")))
def test_logits_and_maps_agree(name, torchvision, tmp_path):
    build, options = EXPORTS[name]
    network, path = build(), tmp_path / "w.onnx"
    export(network, path, **options)
    loaded = erfscope.load_model(str(path))
    info = loaded.info
    assert info.format == "ONNX file"
    assert info.options == {"num_classes": 4 if "small" in name else 5}
    assert info.training.crop_size == SIZE
    assert (info.weights.source, info.weights.missing) == (str(path), ())
    image = torch.stack(noise_images(1, SIZE))
    with torch.no_grad():
        expected = network(image)
        # Exporters fold batch norms, hence other last bits.
        assert (loaded(image) - expected).abs().max() <= 1e-5 * expected.abs().max()
    erf, expected = (erfscope.compute_erf(each, noise_images(1, SIZE)) for each in (loaded, network))
    assert abs(erf.erf - expected.erf).max() <= 1e-5 * expected.erf.max()
    assert erf.provenance["engine"]["mode"] == "dense"
    with pytest.raises(ComputeError, match=r"exported for images of 64×96 px in batches of 1"):
        erfscope.compute_erf(loaded, noise_images(1, (65, 97)))


def test_any_size(torchvision, tmp_path):
    network, path = small(), tmp_path / "w.onnx"
    axes = {0: "n", 2: "h", 3: "w"}
    export(network, path, dynamo=False, input_names=["x"], dynamic_axes={"x": axes})
    loaded = erfscope.load_model(str(path))
    assert loaded.info.training.crop_size is None
    images = noise_images(2, (49, 65))
    erf, expected = (erfscope.compute_erf(each, images, batch_size=2) for each in (loaded, network))
    assert abs(erf.erf - expected.erf).max() <= 1e-5 * expected.erf.max()


def test_an_operator_that_cannot_be_converted(torchvision, tmp_path):
    export(small(), tmp_path / "w.onnx", dynamo=False)
    model = onnx.load(tmp_path / "w.onnx")
    model.graph.node[1].op_type, model.graph.node[1].domain = "Unheard", "of"
    model.opset_import.add(domain="of", version=1)
    onnx.save(model, tmp_path / "w.onnx")
    with pytest.raises(
        CheckpointError, match=r"w\.onnx can't be converted \(.*Unheard.*torch\.export\.save"
    ) as caught:
        erfscope.load_model(str(tmp_path / "w.onnx"))
    assert "\n" not in str(caught.value)


def test_channels_last(tmp_path):
    info = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8, 8, 3]) for name in "xy")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g", *([each] for each in info)
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "w.onnx")
    with pytest.raises(
        CheckpointError, match=r"takes x \[1, 8, 8, 3\]; expected one batch of images \[N, 3, H, W\]"
    ):
        erfscope.load_model(str(tmp_path / "w.onnx"))


def test_without_the_library(tmp_path, monkeypatch):
    export(small(), tmp_path / "w.onnx", dynamo=False)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(CheckpointError, match=r"needs the library onnx: pip install 'erfscope\[onnx\]'"):
        erfscope.load_model(str(tmp_path / "w.onnx"))
