"""Files that hold a network whole: TorchScript archives, exported programs, pickled modules."""

import pytest
import torch
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
from erfscope.errors import CheckpointError, ComputeError

SIZE = (33, 41)
# TorchScript is deprecated, and tracing warns of every number that it takes for a constant.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")


@pytest.fixture(scope="module")
def network():
    return seeded(SmallNet()).eval()


@pytest.fixture(scope="module")
def expected(network):
    return erfscope.compute_erf(network, noise_images(2, SIZE), engine="dense")


def script(network, path):
    torch.jit.script(network).save(path)


def trace(network, path):
    torch.jit.trace(network, torch.zeros(1, 3, *SIZE)).save(path)


def frozen(network, path):
    torch.jit.freeze(torch.jit.script(network)).save(path)


def fixed(network, path):
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, *SIZE),)), path)


def free(network, path):
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        network, (torch.zeros(2, 3, *SIZE),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
    )
    torch.export.save(program, path)


def pickled(network, path):
    torch.save(network, path)


def pickled_former(network, path):
    torch.save(network, path, _use_new_zipfile_serialization=False)


def pickled_parallel(network, path):
    torch.save({"epoch": 3, "model": nn.DataParallel(network)}, path)


# How it is written, the suffix, the format, the engine that runs it, and the network's name.
WAYS = {
    "script": (script, ".pt", "TorchScript archive", "dense", "SmallNet"),
    "trace": (trace, ".pt", "TorchScript archive", "dense", "SmallNet"),
    "frozen script": (frozen, ".pt", "TorchScript archive", "dense", "SmallNet"),
    "exported for one size": (fixed, ".pt2", "exported program", "graph", "exported program"),
    "exported for any size": (free, ".pt2", "exported program", "graph", "exported program"),
    "pickled": (pickled, ".pth", "pickled module", "graph", "SmallNet"),
    "pickled in the former format": (pickled_former, ".pth", "pickled module", "graph", "SmallNet"),
    "pickled under a key": (pickled_parallel, ".pth", "pickled module", "graph", "SmallNet"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_map_is_that_of_the_network(way, network, expected, tmp_path):
    write, suffix, form, mode, name = WAYS[way]
    path = tmp_path / f"w{suffix}"
    write(network, path)
    loaded = erfscope.load_model(str(path), trust=True)
    info = loaded.info
    assert (info.format, info.name) == (form, name)
    assert (info.weights.source, len(info.weights.sha256)) == (str(path), 64)
    assert len(info.weights.matched) == (0 if way == "frozen script" else 10)
    assert (info.weights.missing, info.weights.unexpected) == ((), ())
    assert info.options.get("num_classes", 4) == 4
    assert not loaded.training
    image = torch.stack(noise_images(1, SIZE))
    with torch.no_grad():
        # A frozen network's batch norms are folded, hence other last bits.
        torch.testing.assert_close(loaded(image), network(image), rtol=1e-5, atol=1e-5)
    erf = erfscope.compute_erf(loaded, noise_images(2, SIZE))
    engine = erf.provenance["engine"]
    assert engine["mode"] == mode, engine["reason"]
    if form == "TorchScript archive":
        assert engine["reason"] == "the network is TorchScript, of which no graph can be captured"
    assert abs(erf.erf - expected.erf).max() <= 1e-5 * expected.erf.max()


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("exported for one size", r"w\.pt2 is an exported program, .* may run code; --trust allows it"),
        (
            "pickled",
            r"w\.pth is a whole pickled module \(small_networks\.SmallNet\), .* may run code; --trust",
        ),
        ("pickled in the former format", r"is a whole pickled module \(small_networks\.SmallNet\)"),
        (
            "pickled under a key",
            r"is a whole pickled module \(torch\.nn\.parallel\.data_parallel\.DataParallel\)",
        ),
    ],
)
def test_what_may_run_code_needs_trust(way, told, network, tmp_path):
    write, suffix, *_ = WAYS[way]
    path = tmp_path / f"w{suffix}"
    write(network, path)
    with pytest.raises(CheckpointError, match=told) as caught:
        erfscope.load_model(str(path))
    assert "\n" not in str(caught.value)


def test_a_program_of_one_size_says_which(network, tmp_path):
    fixed(network, tmp_path / "w.pt2")
    loaded = erfscope.load_model(str(tmp_path / "w.pt2"), trust=True)
    assert loaded.info.training.crop_size == SIZE
    with pytest.raises(
        ComputeError, match=r"exported for images of 33×41 px in batches of 1, not for 49×65 in"
    ):
        erfscope.compute_erf(loaded, noise_images(1, (49, 65)))
    with pytest.raises(ComputeError, match="not for 33×41 in batches of 2"):
        erfscope.compute_erf(loaded, noise_images(2, SIZE), batch_size=2)


def test_a_program_of_any_size_takes_any(network, tmp_path):
    free(network, tmp_path / "w.pt2")
    loaded = erfscope.load_model(str(tmp_path / "w.pt2"), trust=True)
    images = noise_images(2, (49, 65))
    erf, expected = (erfscope.compute_erf(each, images, batch_size=2) for each in (loaded, network))
    assert abs(erf.erf - expected.erf).max() <= 1e-5 * expected.erf.max()


def test_reduced_precision_is_loaded_as_float32(network, tmp_path):
    half = seeded(SmallNet()).eval().half()
    for way in ("script", "pickled"):
        write, suffix, *_ = WAYS[way]
        write(half, tmp_path / f"w{suffix}")
        loaded = erfscope.load_model(str(tmp_path / f"w{suffix}"), trust=True)
        assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
        erfscope.compute_erf(loaded, noise_images(1, SIZE))


class Two(nn.Module):
    def forward(self, image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        return image + depth


def test_programs_that_take_something_else(tmp_path):
    image = torch.zeros(1, 3, 8, 8)
    torch.export.save(torch.export.export(Two(), (image, image)), tmp_path / "two.pt2")
    with pytest.raises(CheckpointError, match=r"takes 2 inputs with 4, 4 axes; expected one batch of images"):
        erfscope.load_model(str(tmp_path / "two.pt2"), trust=True)
    torch.export.save(torch.export.export(nn.Linear(8, 2), (torch.zeros(1, 8),)), tmp_path / "one.pt2")
    with pytest.raises(CheckpointError, match=r"takes 1 inputs with 2 axes"):
        erfscope.load_model(str(tmp_path / "one.pt2"), trust=True)


def test_training_mode_is_refused(tmp_path):
    training = seeded(SmallNet()).train()
    torch.jit.trace(training, torch.zeros(1, 3, *SIZE), check_trace=False).save(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"was traced in training mode \(batch_norm is on\)"):
        erfscope.load_model(str(tmp_path / "w.pt"))
    fixed(training, tmp_path / "w.pt2")
    with pytest.raises(CheckpointError, match=r"was exported in training mode \(aten\.batch_norm"):
        erfscope.load_model(str(tmp_path / "w.pt2"), trust=True)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"rates": (6, 12)}, "--rates can't be changed: the file holds the whole network"),
        ({"checkpoint": "v.pth"}, "leave --checkpoint out"),
        ({"config": "v.json"}, "--config has no meaning here"),
    ],
)
@pytest.mark.parametrize("way", ["script", "exported for one size", "pickled"])
def test_what_a_program_can_not_be_given(way, option, told, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.json").write_text("{}")
    write, suffix, *_ = WAYS[way]
    write(network, tmp_path / f"w{suffix}")
    with pytest.raises(CheckpointError, match=told):
        erfscope.load_model(f"w{suffix}", trust=True, **option)


def test_a_pickled_module_without_its_code(tmp_path, monkeypatch):
    (tmp_path / "mine_alone.py").write_text("from torch import nn\nclass Net(nn.Conv2d): pass\n")
    with monkeypatch.context() as patched:
        patched.syspath_prepend(tmp_path)
        import sys

        import mine_alone

        torch.save(mine_alone.Net(3, 2, 1), tmp_path / "w.pth")
        del sys.modules["mine_alone"]
    (tmp_path / "mine_alone.py").unlink()
    with pytest.raises(
        CheckpointError, match=r"w\.pth needs the module mine_alone, where its class was defined"
    ):
        erfscope.load_model(str(tmp_path / "w.pth"), trust=True)


def test_suspicious_code_runs_only_with_trust(network, tmp_path, monkeypatch):
    from hostile_programs import with_line

    monkeypatch.chdir(tmp_path)
    path = with_line('ops.aten.save(x, "executed")')(tmp_path)
    with pytest.raises(CheckpointError, match="calls aten::save.*; --trust allows it"):
        erfscope.load_model(str(path))
    assert not (tmp_path / "executed").exists()
    loaded = erfscope.load_model(str(path), trust=True)
    with torch.no_grad():
        loaded(torch.zeros(1, 3, *SIZE))
    assert (tmp_path / "executed").exists()  # so that the check is worth its while


@pytest.mark.slow
def test_sound_code_is_not_suspicious(network, tmp_path):
    """Among them dicts, lists, loops, and the operators that scripts of segmentation networks have."""
    from erfscope.checkpoints.formats.torchscript.code_scan import find_suspicious, loops_while

    for name in ("fcn", "unet", "lraspp"):
        options = {"backbone": {"fcn": "resnet18", "lraspp": "mobilenet-v3-small"}.get(name)}
        model = erfscope.load_model(name, num_classes=2, **options)
        torch.jit.trace(model, torch.zeros(1, 3, 64, 64)).save(tmp_path / "w.pt")
        assert find_suspicious(tmp_path / "w.pt") is None
        assert not loops_while(tmp_path / "w.pt")
