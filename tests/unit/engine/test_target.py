"""Whatever a network returns, its main logits are found, and the map is that of the bare network."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
from erfscope.errors import ComputeError
from erfscope.model.logits import logits_of

SIZE = (33, 49)
LOGITS = torch.randn(2, 5, *SIZE)
SIDE = torch.randn(2, 5, 9, 13)


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple = ()


@dataclass
class Odd:
    whatever: torch.Tensor
    loss: float = 0.0


Pair = namedtuple("Pair", "first second")
RETURNED = {
    "tensor": LOGITS,
    "torchvision's mapping": OrderedDict(aux=SIDE, out=LOGITS),
    "mapping with logits": {"loss": torch.zeros(()), "logits": LOGITS},
    "mapping with one map": {"score_fr": LOGITS, "features": torch.zeros(2, 7)},
    "dataclass": Output(LOGITS),
    "dataclass of unknown names": Odd(LOGITS),
    "namespace": SimpleNamespace(pred=LOGITS, aux=SIDE),
    "tuple with a loss first": (None, LOGITS),
    "named tuple": Pair(LOGITS, SIDE),
    "side outputs": [LOGITS, SIDE, SIDE],
    "nested": ({"out": LOGITS}, SIDE),
    "channels last": LOGITS.permute(0, 2, 3, 1),
    "channels last at a stride": SIDE.permute(0, 2, 3, 1),
}


@pytest.mark.parametrize("name", RETURNED)
def test_main_logits_are_found(name):
    expected = SIDE if "stride" in name else LOGITS
    assert torch.equal(logits_of(RETURNED[name], SIZE), expected)


@pytest.mark.parametrize(
    "shape", [(1, 5, 9, 13), (1, 9, 10, 14), (1, 4, 4, 6), (1, 2, 3, 4), (1, 33, 33, 49)]
)
def test_channels_that_are_first_stay_there(shape):
    logits = torch.zeros(shape)
    assert logits_of(logits, SIZE) is logits


@pytest.mark.parametrize("nothing", [None, [], {}, torch.zeros(2, 5), {"a": SIDE, "b": SIDE}, 3.0, "logits"])
def test_what_holds_no_logits_is_refused(nothing):
    with pytest.raises(ComputeError, match="expected logits"):
        logits_of(nothing, SIZE)


class Wrapped(nn.Module):
    def __init__(self, network, wrap):
        super().__init__()
        self.network, self.wrap = network, wrap

    def forward(self, image):
        return self.wrap(self.network(image))


@pytest.mark.parametrize("engine", ["auto", "dense"])
@pytest.mark.parametrize(
    "wrap",
    [
        Output,
        Odd,
        lambda logits: (None, logits),
        lambda logits: {"seg": logits},
        lambda x: x.permute(0, 2, 3, 1),
    ],
)
def test_the_map_is_that_of_the_bare_network(wrap, engine):
    network, images = seeded(SmallNet()).eval(), noise_images(2, SIZE)
    bare = erfscope.compute_erf(network, images, engine=engine, precision="float64")
    wrapped = erfscope.compute_erf(Wrapped(network, wrap), images, engine=engine, precision="float64")
    assert abs(wrapped.erf - bare.erf).max() <= 1e-12 * bare.erf.max()
    assert wrapped.provenance["engine"]["mode"] == bare.provenance["engine"]["mode"]


class LastAndBack(nn.Module):
    """Moves the channels last in a layer, as Swin's do, and back."""

    def __init__(self):
        super().__init__()
        self.body, self.head = LastLayer(), nn.Conv2d(6, 2, 1)

    def forward(self, image):
        return self.head(self.body(image).permute(0, 3, 1, 2))


class LastLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 5, stride=4)

    def forward(self, image):
        return self.conv(image).permute(0, 2, 3, 1)


@pytest.mark.parametrize("engine", ["auto", "dense"])
def test_a_layer_whose_channels_are_last(engine):
    network, images = seeded(LastAndBack()).eval(), noise_images(2, SIZE)
    last = erfscope.compute_erf(network, images, unit="body", engine=engine)
    first = erfscope.compute_erf(network, images, unit="body.conv", engine=engine)
    assert (last.unit.y, last.unit.x) == (first.unit.y, first.unit.x) == (4, 6)
    assert abs(last.erf - first.erf).max() <= 1e-6 * first.erf.max()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = SmallNet(), SmallNet()


def logits_in(output):
    return output.logits


def test_the_end_of_a_layers_name_will_do():
    network, images = seeded(SmallNet()).eval(), noise_images(1, SIZE)
    bare = erfscope.compute_erf(network, images, unit="body")
    for name in ("body", "network.network.body"):
        wrapped = erfscope.compute_erf(Wrapped(Wrapped(network, Output), logits_in), images, unit=name)
        assert abs(wrapped.erf - bare.erf).max() <= 1e-6 * bare.erf.max()
    with pytest.raises(ComputeError, match="several layers are called 'body': first.body, second.body;"):
        erfscope.compute_erf(Twice(), images, unit="body")
    with pytest.raises(ComputeError, match="no layer 'bodi'"):
        erfscope.compute_erf(Wrapped(network, Output), images, unit="bodi")


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = seeded(SmallNet())

    def forward(self, image, depth):
        return self.network(image) + depth


class ImageAlone(nn.Module):
    """The adapter of the README: what else the network takes is held, not differentiated."""

    def __init__(self, network, depth):
        super().__init__()
        self.network = network
        self.register_buffer("depth", depth)

    def forward(self, image):
        return self.network(image, self.depth.expand(len(image), -1, -1, -1))


def test_a_network_of_two_inputs_takes_an_adapter():
    network, images = TwoInputs(), noise_images(2, SIZE)
    erf = erfscope.compute_erf(ImageAlone(network, torch.randn(1, 1, *SIZE)), images)
    bare = erfscope.compute_erf(network.network, images)
    assert abs(erf.erf - bare.erf).max() <= 1e-5 * bare.erf.max()
