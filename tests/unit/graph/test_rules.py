"""Each rule against plain autograd in float64, at units in the middle and at the borders."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from erfscope.graph.access_graph import build_access_graph
from erfscope.graph.capture import capture
from erfscope.graph.fold import fold_batch_norms
from erfscope.graph.fov.receptive_field import receptive_field
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
    "sums of shared terms": Between(
        lambda x, c: ((y := c(x)) + x) + (x + y).view(x.shape) + (y + x.view(x.shape)), nn.Conv2d(4, 4, 1)
    ),
    "sums in a knot": Between(
        lambda x, c: (a := (y := c(x)) + x) + (b := x + a) + (y + b) + x.view(x.shape), nn.Conv2d(4, 4, 1)
    ),
    "sum after a view": Between(
        lambda x, c: (y := c(x)).view(x.shape).view(x.shape) + x + (x + y).tanh(), nn.Conv2d(4, 4, 1)
    ),
    "twice itself": Between(lambda x: x + x),
    "in place": Between(lambda x, c: F.relu_(c(x).add_(x)) * 2, nn.Conv2d(4, 4, 3, padding=1)),
    "in place, other operators": Between(
        lambda x, c: F.elu_(c(x).sub_(x).masked_fill_(x > 1, 0.5).clamp_(-0.5, 3)),
        nn.Conv2d(4, 4, 3, padding=1),
    ),
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
    "dropout in place": Between(lambda x, c, d: d(c(x)), nn.Conv2d(4, 4, 1), nn.Dropout2d(0.5, inplace=True)),
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
    "roll": Between(lambda x: x.roll((3, -5), (2, 3))),
    "slice": Between(lambda x: x[:, :, 3:-2, ::3]),
    "slice, channels": Between(lambda x, c: c(x[:, 1:]), nn.Conv2d(3, 4, 1)),
    "select a row": Between(lambda x: x + x[:, :, -3].unsqueeze(2)),
    "expand": Between(lambda x: x * x[:, :, :1].expand_as(x)),
    "stack": Between(lambda x: torch.stack([x, x.tanh(), x * 2], 1).sum(1)),
    "stack at the end": Between(lambda x: torch.stack([x, x.tanh()], -1).mean(-1)),
    "chunks": Between(lambda x: torch.cat([*reversed(x.chunk(2, 1))], 1)),
    "chunks of columns": Between(lambda x: x.split([10, 20, 4], dim=-1)[1].relu()),
    "unbind": Between(lambda x: torch.stack(x.unbind(1)[::-1], 1)),
    "pad": Between(lambda x: F.pad(x, (3, 0, 1, 4), value=0.5)),
    "pad, cropping": Between(lambda x: F.pad(x, (-3, 5))),
    "pad, reflect": Between(lambda x: F.pad(x, (3, 4, 2, 0), mode="reflect")),
    "pad, replicate": Between(lambda x: F.pad(x, (3, 4, 2, 0), mode="replicate")),
    "pad, circular": Between(lambda x: F.pad(x, (3, 4, 2, 0), mode="circular")),
    "index select": Between(lambda x: x.index_select(2, torch.tensor([3, 9, 9, 20, 1, 5]))),
    "transposed conv": Between(lambda x, c: c(x), nn.ConvTranspose2d(4, 4, 2, 2)),
    "transposed conv, padded": Between(
        lambda x, c: c(x), nn.ConvTranspose2d(4, 4, 3, 2, padding=1, output_padding=1)
    ),
    "transposed conv, holes": Between(
        lambda x, c: c(x), nn.ConvTranspose2d(4, 4, (2, 3), 4, output_padding=(3, 2), bias=False)
    ),
    "transposed conv, dilation": Between(
        lambda x, c: c(x), nn.ConvTranspose2d(4, 4, 3, 1, padding=2, dilation=3, groups=2)
    ),
    "norm after transposed conv": Between(
        lambda x, c, n: n(c(x)), nn.ConvTranspose2d(4, 4, 4, 2, padding=1), norm(nn.BatchNorm2d(4))
    ),
    "bicubic": resize(size=(40, 23), mode="bicubic", align_corners=True),
    "bicubic, scale factor": resize(scale_factor=1.7, recompute_scale_factor=False, mode="bicubic"),
    "nearest, exact copy": resize(scale_factor=2),
    "tokens": Between(
        lambda x, c: c(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape), nn.Linear(4, 4)
    ),
    "tokens with a class token": Between(
        lambda x: torch.cat([x.new_ones(x.shape[0], 1, 4), x.flatten(2).mT], 1)[:, 1:].mT.unflatten(
            2, (29, 34)
        )
    ),
    "windows": Between(
        lambda x: (
            F.pad(x, (0, 6, 0, 6))
            .unflatten(3, (8, 5))
            .unflatten(2, (7, 5))
            .permute(0, 2, 4, 3, 5, 1)
            .reshape(-1, 25, 4)
            .softmax(1)
            .view(-1, 7, 8, 5, 5, 4)
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(-1, 4, 35, 40)[:, :, :29, :34]
        )
    ),
    "attention by products": Between(
        lambda x: ((q := x.flatten(2)).mT @ q / 9).softmax(-1).matmul(q.mT).mT.reshape(x.shape)
    ),
    "attention": Between(
        lambda x: (
            F.scaled_dot_product_attention(
                q := x.flatten(2).mT.unflatten(2, (2, 2)).transpose(1, 2),
                q[:, :, ::3],
                q[:, :, 1::3],
                attn_mask=torch.linspace(-1, 1, 986 * 329).view(986, 329).to(x.dtype),
            )
            .transpose(1, 2)
            .flatten(2)
            .mT.reshape(x.shape)
        )
    ),
    "channel attention": Between(
        lambda x: (x.flatten(2) @ x.flatten(2).mT).softmax(1).bmm(x.flatten(2)).view(x.shape)
    ),
    "instance norm": Between(lambda x, n: n(x), nn.InstanceNorm2d(4, affine=True)),
    "sum over rows": Between(lambda x: x + x.sum(2, keepdim=True)),
    "mean over everything": Between(lambda x: x + x.mean()),
    "unit length": Between(lambda x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True)),
    "pixel shuffle by views": Between(
        lambda x: (
            x.unflatten(1, (1, 2, 2)).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3).expand(-1, 4, -1, -1)
        )
    ),
    "squeezed": Between(lambda x: x.unsqueeze(0).squeeze(0).clone()),
    "masked": Between(
        lambda x: torch.where(torch.arange(34) % 3 == 0, x, x * 0.5).masked_fill(
            torch.arange(34) % 5 == 0, 0.3
        )
    ),
    "no rule": Between(lambda x: x.cumsum(3)),
}


@cache
def access_graph(module, image_shape):
    """What every test asks of a module's graph, which none changes."""
    captured = capture(module, torch.zeros(image_shape, dtype=torch.float64))
    fold_batch_norms(captured)
    return build_access_graph(captured)


def program_and_truth(module, unit, image, *, channel_sum=False):
    leaf = image.clone().requires_grad_()
    output = module(leaf)
    y, x = (round(share * (size - 1)) for share, size in zip(unit, output.shape[2:], strict=True))
    value = output[:, :, y, x].sum()
    (expected,) = torch.autograd.grad(value, leaf)
    graph = access_graph(module, image.shape)
    region = list(whole(graph.output.meta["val"].shape))
    region[2], region[3] = region[2][y : y + 1], region[3][x : x + 1]
    return (
        prune(graph, tuple(region), channel_sum=channel_sum),
        value.detach(),
        expected,
    )


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


IMAGE_READERS = {
    "conv": lambda x, c: c(x),
    "shifted conv": lambda x, c: c(x[:, :, 2:, 3:]),
    "gray": lambda x, c: c(x.mean(1, keepdim=True).expand(-1, 3, -1, -1)),
    "channels apart": lambda x, c: c(torch.cat([x[:, 2:], x[:, :2] * 2], 1)),
    "product": lambda x, c: c(x * x.flip(3)) + c(x),
    "channels last": lambda x, c: c((x.permute(0, 2, 3, 1) / 3).permute(0, 3, 1, 2)),
}


@pytest.mark.parametrize("layer", [{}, {"stride": 3, "padding": 2}, {"dilation": 2}, {"groups": 3}], ids=str)
@pytest.mark.parametrize("name", IMAGE_READERS)
def test_gradient_summed_over_channels(name, layer):
    torch.manual_seed(0)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.after = nn.Conv2d(3, 6, 3, **layer), nn.Conv2d(6, 2, 3)

        def forward(self, x):
            return self.after(torch.tanh(IMAGE_READERS[name](x, self.conv)))

    module = Reader().double().requires_grad_(False)
    image = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    for unit in ((0.5, 0.5), (0.0, 1.0)):
        program, _, expected = program_and_truth(module, unit, image, channel_sum=True)
        _, gradient = program.gradient(image, lambda output: output.sum((1, 2, 3)))
        torch.testing.assert_close(gradient, expected.sum(1, keepdim=True), rtol=1e-11, atol=1e-13)


CLIPPED = ("max", "activ", "in place", "residual", "norm before", "norm without", "chunks of columns")


@pytest.mark.parametrize("name", OPERATIONS)
def test_receptive_field(name):
    """No gradient beyond it, and one everywhere within where nothing is clipped."""
    module = OPERATIONS[name].double().eval().requires_grad_(False)
    image = torch.randn(2, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    graph = access_graph(module, image.shape)
    _, _, height, width = graph.output.meta["val"].shape
    for unit in ((height // 2, width // 2), (0, width - 1)):
        leaf = image.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(module(leaf)[..., unit[0], unit[1]].sum(), leaf)
        support = (gradient != 0).flatten(0, 1).any(0).numpy()
        seen = receptive_field(graph, unit)
        assert not (support & ~seen).any()
        if not name.startswith((*CLIPPED, "no rule")):
            np.testing.assert_array_equal(seen, support)


LOCAL = [
    name
    for name in OPERATIONS
    if name.startswith((
        "conv", "norm", "max", "average", "resid", "activ", "lin", "layer", "roll", "slice", "stack",
        "chunks", "unbind", "pad", "trans", "bicubic", "tokens", "windows", "unit", "pixel", "squeezed",
        "masked",
    ))
]  # fmt: skip


@pytest.mark.parametrize("name", [n for n in LOCAL if n != "average pool, divisor" and "wide" not in n])
def test_local_operators_read_a_part_of_the_image(name):
    module = OPERATIONS[name].double().eval().requires_grad_(False)
    program, _, _ = program_and_truth(module, (0.5, 0.5), torch.zeros(1, 3, *SIZE, dtype=torch.float64))
    rows, columns = (len(index) for index in program.image_region[2:])
    assert rows * columns < SIZE[0] * SIZE[1] / 2
    assert program.without_rule == {}


def test_operators_without_a_rule_are_named():
    program, _, _ = program_and_truth(
        OPERATIONS["no rule"].double(), (0.5, 0.5), torch.zeros(1, 3, *SIZE, dtype=torch.float64)
    )
    assert program.without_rule == {"aten.cumsum.default": 1}


@pytest.mark.parametrize("name", ["in place", "in place, other operators", "dropout in place"])
def test_what_changes_nothing_else_is_replaced_without_torchs_second_trace(name, monkeypatch):
    monkeypatch.delattr(torch.export.ExportedProgram, "run_decompositions")
    captured = capture(OPERATIONS[name].double().eval(), torch.zeros(1, 3, 29, 34, dtype=torch.float64))
    assert not any(call.target._schema.is_mutable for call in captured.calls)
