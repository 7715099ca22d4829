"""`package.module:function`: the user's own code as a network."""

import sys

import pytest
import torch
from safetensors.torch import save_file
from small_networks import noise_images

import erfscope
from erfscope.errors import CheckpointError

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=3, stride=2):
        super().__init__()
        self.convolution = nn.Conv2d(3, classes, 5, stride, 2)
    def forward(self, image):
        return {"out": self.convolution(image), "aux": image}

def build(num_classes=3, stride=2):
    print("building")
    return Net(num_classes, stride)

def described():
    told = {"mean": (0.5, 0.4, 0.3), "std": [0.2, 0.2, 0.2], "channel_order": "bgr", "size": [48, 64],
            "classes": ["road", "sky", "car"]}
    return Net(), told

def anything(**options):
    return Net(**options)

def seeded(seed):
    torch.manual_seed(seed + 1)
    return Net()

def named(): return "fcn"
def listed(): return Net(), ["mean"]
def undefined(): return nothing
def failing():
    return nn.Conv2d(3, -1, 1)
def leaving(): raise SystemExit("no\\nway")
def told_wrong(): return Net(), {"mean": 0.5}
def told_more(): return Net(), {"scale": 255}
def told_size(): return Net(), {"size": 4.5}
def told_order(): return Net(), {"channel_order": "gbr"}
def told_std(): return Net(), {"std": (0.1, 0.0, 0.1)}
def told_classes(): return Net(), {"classes": "road"}
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with the user's code, which is the current one."""
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "__init__.py").write_text("")
    (tmp_path / "networks" / "small.py").write_text(CODE)
    (tmp_path / "networks" / "broken.py").write_text("x = 1\n\ndef f(:\n")
    (tmp_path / "networks" / "needy.py").write_text("x = 1\nimport nowhere_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != ""])
    yield tmp_path
    for module in [name for name in sys.modules if name.split(".")[0] == "networks"]:
        del sys.modules[module]


def test_a_network(mine, capsys):
    model = erfscope.load_model("networks.small:build", num_classes=5)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "building\n")  # stdout is kept for --json
    info = model.info
    assert (info.name, info.format) == ("networks.small:build", "module:function")
    assert info.options == {"num_classes": 5}
    assert (info.weights.source, info.weights.seed) == ("as given", 0)
    assert model(torch.zeros(1, 3, 33, 41)).shape == (1, 5, 33, 41)
    bare = model.network
    erf, expected = (erfscope.compute_erf(each, noise_images(1, (33, 41))) for each in (model, bare))
    assert (erf.erf == expected.erf).all()


def test_a_network_and_its_preprocessing(mine):
    model = erfscope.load_model("networks.small:described")
    training = model.info.training
    assert (training.mean, training.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    assert (training.channel_order, training.crop_size) == ("bgr", (48, 64))
    assert training.classes == ("road", "sky", "car")
    assert model.info.options == {"num_classes": 3}


def weights(spec, **options):
    return erfscope.load_model(spec, **options).state_dict()["network.convolution.weight"]


def test_the_seed_applies(mine):
    before = torch.random.get_rng_state()
    first, again, other = (weights("networks.small:build", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights("networks.small:seeded", seed=3), weights("networks.small:seeded", seed=3))
    assert torch.equal(weights("networks.small:seeded", seed=3), weights("networks.small:build", seed=4))


def test_options_are_arguments(mine):
    assert erfscope.load_model("networks.small:anything", stride=4).network.convolution.stride == (4, 4)
    with pytest.raises(CheckpointError, match="takes no --rates; its arguments are: num_classes, stride"):
        erfscope.load_model("networks.small:build", rates=(6, 12))


def test_weights_of_a_file(mine):
    saved = erfscope.load_model("networks.small:build", seed=7).network.state_dict()
    state = {f"net.{name}": tensor for name, tensor in saved.items()}
    save_file(state, "w.safetensors")
    model = erfscope.load_model("networks.small:build", checkpoint="w.safetensors")
    assert torch.equal(model.network.convolution.weight, state["net.convolution.weight"])
    assert (model.info.weights.source, len(model.info.weights.matched)) == ("w.safetensors", 2)
    with pytest.raises(CheckpointError, match="doesn't fit the network that networks.small:build describes"):
        erfscope.load_model("networks.small:build", checkpoint="w.safetensors", num_classes=4)


PLACE = r"networks/small\.py, line \d+"
REFUSED = {
    "networks.small:named": "returned str; expected a torch.nn.Module",
    "networks.small:listed": r"returned \(Net, list\); expected a torch.nn.Module",
    "networks.small:undefined": rf"failed at \S+{PLACE} \(NameError: name 'nothing' is not defined\); mend",
    "networks.small:failing": rf"failed at \S+{PLACE} \(RuntimeError: Trying to create tensor with negative",
    "networks.small:leaving": rf"failed at \S+{PLACE} \(SystemExit: no way\)",
    "networks.small:nothing": "networks.small has no function nothing; it has Net, build, described",
    "networks.small:number": "networks.small has no function number",
    "networks.absent:build": "there is no module networks.absent, neither installed nor in ",
    "absent.small:build": "there is no module absent, neither installed nor in ",
    "networks.broken:f": r"failed at \S+networks/broken\.py, line 3 \(SyntaxError: ",
    "networks.needy:f": r"failed at \S+networks/needy\.py, line 2 \(ModuleNotFoundError: No module named 'no",
    "networks.small:told_wrong": r"its mean is 0\.5; expected three numbers, for R, G, B in 0 to 1",
    "networks.small:told_more": r"its preprocessing has 'scale'; it may have mean, std",
    "networks.small:told_size": r"its size is 4\.5; expected a side or \(height, width\)",
    "networks.small:told_order": "its channel_order is 'gbr'; expected 'rgb' or 'bgr'",
    "networks.small:told_std": r"its std is \(0\.1, 0\.0, 0\.1\); expected three positive numbers",
    "networks.small:told_classes": "its classes are 'road'; expected a list of names",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_goes_wrong_is_shown_in_one_line(spec, mine):
    with pytest.raises(CheckpointError, match=REFUSED[spec]) as caught:
        erfscope.load_model(spec)
    assert str(caught.value).startswith(spec)
    assert "\n" not in str(caught.value)
