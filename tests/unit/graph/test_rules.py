"""Each rule against plain autograd in float64, at units in the middle and at the borders."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from erfscope.graph.capture import capture
from erfscope.graph.fold import fold_batch_norms
from erfscope.graph.prune import prune
from erfscope.graph.regions import whole

SIZE = (29, 34)


class Between(nn.Module):
    """An operation between two convolutions, so that it is asked for a region and gives one."""

    def __init__(self, function, *modules):
        super().__init__()
        torch.manual_seed(0)
        self.before, self.after = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.inner = nn.ModuleList(modules)
        self.function = function

    def forward(self, x):
        return self.after(torch.tanh(self.function(self.before(x), *self.inner)))


def conv(*args, **kwargs):
    return Between(lambda x, c: c(x), nn.Conv2d(4, 4, *args, **kwargs))


def pool(layer):
    return Between(lambda x, p: p(x), layer)


def norm(layer):
    for name, low, high in (("running_mean", -1, 1), ("running_var", 0.5, 2)):
        getattr(layer, name).uniform_(low, high)
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.uniform_(layer.bias, -1, 1)
    return layer


def resize(**options):
    return Between(lambda x: F.interpolate(x, **options))


BILINEAR = {"mode": "bilinear", "align_corners": False}
ALIGNED = {"mode": "bilinear", "align_corners": True}

OPERATIONS = {
    "conv": conv(3, padding=1),
    "conv, no padding": conv(3),
    "conv, wide padding": conv(3, padding=5),
    "conv, even kernel": conv(4, padding=2),
    "conv, stride": conv(3, stride=2, padding=1),
    "conv, 1×1 with stride": conv(1, stride=2),
    "conv, stride beyond kernel": conv(2, stride=3),
    "conv, dilation": conv(3, padding=4, dilation=4),
    "conv, dilation beyond the map": conv(3, padding=40, dilation=40),
    "conv, oblong": conv((1, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 3)),
    "conv, depthwise": conv(3, padding=2, dilation=2, groups=4),
    "conv, groups": conv(3, padding=1, groups=2, bias=False),
    "conv, same": conv(3, padding="same", dilation=3),
    "norm after conv": Between(lambda x, c, n: n(c(x)), nn.Conv2d(4, 4, 1), norm(nn.BatchNorm2d(4))),
    "norm after conv without bias": Between(
        lambda x, c, n: n(c(x)), nn.Conv2d(4, 4, 1, bias=False), norm(nn.BatchNorm2d(4))
    ),
    "norm after a shared conv": Between(
        lambda x, c, n: n(y := c(x)) + y, nn.Conv2d(4, 4, 1), norm(nn.BatchNorm2d(4))
    ),
    "norm before conv": Between(lambda x, n, c: c(n(x.relu())), norm(nn.BatchNorm2d(4)), nn.Conv2d(4, 4, 3)),
    "norm without weights": Between(lambda x, n: n(x.relu()), nn.BatchNorm2d(4, affine=False)),
    "max pool": pool(nn.MaxPool2d(3, 2, 1)),
    "max pool, ceil": pool(nn.MaxPool2d(3, 2, ceil_mode=True)),
    "max pool, dilation": pool(nn.MaxPool2d(2, 3, dilation=2)),
    "average pool": pool(nn.AvgPool2d(3, 2, 1)),
    "average pool, ceil": pool(nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
    "average pool, padding not counted": pool(nn.AvgPool2d((2, 3), padding=1, count_include_pad=False)),
    "average pool, divisor": pool(nn.AvgPool2d(3, 2, divisor_override=5)),
    "image pooling": Between(lambda x: x + F.adaptive_avg_pool2d(x, 1)),
    "pyramid": Between(
        lambda x: x + F.interpolate(F.adaptive_avg_pool2d(x, 6), size=x.shape[-2:], **BILINEAR)
    ),
    "bilinear, up": resize(size=(90, 61), **BILINEAR),
    "bilinear, up, aligned": resize(size=(90, 61), **ALIGNED),
    "bilinear, down": resize(size=(11, 40), **BILINEAR),
    "bilinear, to one row": resize(size=(1, 20), **ALIGNED),
    "bilinear, scale factor": resize(scale_factor=1.7, recompute_scale_factor=False, **BILINEAR),
    "nearest": resize(size=(70, 33)),
    "nearest, scale factor": resize(scale_factor=1.3),
    "residual": Between(lambda x, c: (c(x) + x).relu(), nn.Conv2d(4, 4, 3, padding=1)),
    "twice itself": Between(lambda x: x + x),
    "in place": Between(lambda x, c: F.relu_(c(x).add_(x)) * 2, nn.Conv2d(4, 4, 3, padding=1)),
    "in place on a shared tensor": Between(lambda x, c: (y := c(x)).relu_() + y, nn.Conv2d(4, 4, 1)),
    "in place through a view": Between(lambda x, c: (y := c(x), y[:, :2].mul_(3))[0], nn.Conv2d(4, 4, 1)),
    "gate": Between(lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
    "broadcast constants": Between(lambda x: x * torch.arange(34.0) / torch.arange(1.0, 30)[:, None] - 1),
    "channel join": Between(lambda x, c: c(torch.cat([x, x.tanh()], 1)), nn.Conv2d(8, 4, 1)),
    "spatial join": Between(lambda x: torch.cat([x, x * 2], 3)),
    "join with a constant": Between(
        lambda x, c: c(torch.cat([x, torch.ones(2, 1, 29, 34, dtype=x.dtype)], 1)), nn.Conv2d(5, 4, 1)
    ),
    "activations": Between(
        lambda x: F.gelu(x) + F.silu(x) + F.hardswish(x) + F.hardsigmoid(x) + F.relu6(x) + F.leaky_relu(x)
    ),
    "dropout": Between(lambda x, d: d(x), nn.Dropout2d(0.5)),
    "softmax over channels": Between(lambda x: x.softmax(1)),
    "layer norm over channels": Between(
        lambda x, n: n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(4)
    ),
    "layer norm over rows": Between(lambda x, n: n(x), nn.LayerNorm(34)),
    "linear": Between(lambda x, c: c(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Linear(4, 4)),
    "linear along a row": Between(lambda x, c: c(x), nn.Linear(34, 20)),
    "transpose": Between(lambda x: x.transpose(2, 3)),
    "transpose, from the end": Between(lambda x: x.transpose(-1, -2) * 2),
    "group norm": Between(lambda x, n: n(x), nn.GroupNorm(2, 4)),
    "softmax along a row": Between(lambda x: x.softmax(-1)),
    "flip": Between(lambda x: x.flip(3)),
    "roll": Between(lambda x: x.roll(3, 2)),
}


def program_and_truth(module, unit, image):
    leaf = image.clone().requires_grad_()
    output = module(leaf)
    y, x = (round(share * (size - 1)) for share, size in zip(unit, output.shape[2:], strict=True))
    value = output[:, :, y, x].sum()
    (expected,) = torch.autograd.grad(value, leaf)
    captured = capture(module, image)
    fold_batch_norms(captured)
    region = list(whole(captured.output.meta["val"].shape))
    region[2], region[3] = region[2][y : y + 1], region[3][x : x + 1]
    return prune(captured, tuple(region)), value.detach(), expected


@pytest.mark.parametrize("name", OPERATIONS)
def test_rule(name):
    module = OPERATIONS[name].double().eval().requires_grad_(False)
    image = torch.randn(2, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for unit in ((0.5, 0.5), (0.0, 1.0), (0.9, 0.1)):
        program, value, expected = program_and_truth(module, unit, image)
        kept = image.clone()
        for _ in range(2):  # a program keeps nothing between two runs
            values, gradient = program.gradient(kept, lambda output: output.sum((1, 2, 3)))
            # Two orders of the same few hundred float64 products.
            torch.testing.assert_close(values.sum(), value, rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(
                gradient, expected, rtol=1e-11, atol=1e-12 * float(expected.abs().max())
            )
        assert torch.equal(kept, image)


LOCAL = [
    name
    for name in OPERATIONS
    if name.startswith(("conv", "norm", "max", "average", "resid", "activ", "lin", "layer"))
]


@pytest.mark.parametrize("name", [n for n in LOCAL if n != "average pool, divisor" and "wide" not in n])
def test_local_operators_read_a_part_of_the_image(name):
    module = OPERATIONS[name].double().eval().requires_grad_(False)
    program, _, _ = program_and_truth(module, (0.5, 0.5), torch.zeros(1, 3, *SIZE, dtype=torch.float64))
    rows, columns = (len(index) for index in program.image_region[2:])
    assert rows * columns < SIZE[0] * SIZE[1] / 2
    assert program.without_rule == ()


def test_operators_without_a_rule_are_named():
    program, _, _ = program_and_truth(
        OPERATIONS["flip"].double(), (0.5, 0.5), torch.zeros(1, 3, *SIZE, dtype=torch.float64)
    )
    assert program.without_rule == (("aten.flip.default", 1),)
