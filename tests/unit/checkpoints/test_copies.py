"""Networks of every format can be copied and pickled, and give the same logits."""

import copy
import pickle

import pytest
import torch
from mmsegmentation_files import build, write
from small_networks import SmallNet, seeded

import erfscope
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network

SIZE = (33, 41)


@pytest.fixture(scope="module")
def network():
    return seeded(SmallNet()).eval()


def catalog(_network, _folder):
    return erfscope.load_model("lraspp", backbone="mobilenet-v3-small", num_classes=3)


def mmsegmentation(_network, folder):
    return erfscope.load_model(str(write(folder / "w.pth", build())))


def factory(_network, _folder):
    return erfscope.load_model("small_networks:SmallNet")


def pickled(network, folder):
    torch.save(network, folder / "w.pth")
    return erfscope.load_model(str(folder / "w.pth"), trust=True)


def exported(network, folder):
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, *SIZE),)), folder / "w.pt2")
    return erfscope.load_model(str(folder / "w.pt2"), trust=True)


def torchscript(network, folder):
    torch.jit.script(network).save(folder / "w.pt")
    return erfscope.load_model(str(folder / "w.pt"))


def check(loaded, again):
    image = torch.randn(1, 3, *SIZE)
    assert again.info == loaded.info
    assert all(each is not one for each, one in zip(again.parameters(), loaded.parameters(), strict=True))
    with torch.no_grad():
        assert torch.equal(again(image), loaded(image))  # the same operations on the same values


@pytest.mark.parametrize("make", [catalog, mmsegmentation, factory, pickled])
def test_copies_and_pickles(make, network, tmp_path):
    loaded = make(network, tmp_path)
    check(loaded, copy.deepcopy(loaded))
    check(loaded, pickle.loads(pickle.dumps(loaded)))


# TorchScript is deprecated, and torch warns of itself where it copies an exported program.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("make", [exported, torchscript])
def test_programs_can_be_copied_alone(make, network, tmp_path):
    loaded = make(network, tmp_path)
    check(loaded, copy.deepcopy(loaded))
    with pytest.raises((RuntimeError, AttributeError), match=r"Tried to serialize|Can't (get|pickle) local"):
        pickle.dumps(loaded)  # torch has torch.jit.save and torch.export.save instead


#: Networks with heads, necks and backbones of every kind.
NAMES = ("fcn", "deeplabv3plus-paper", "dense-aspp", "fastfcn-enc", "unet-psp", "setr-mla", "segformer")


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_the_catalog(name):
    skeleton = build_skeleton(describe_network(name))  # without memory
    assert repr(pickle.loads(pickle.dumps(skeleton))) == repr(copy.deepcopy(skeleton)) == repr(skeleton)
