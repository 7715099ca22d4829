"""The loop: batches, skipping, and the model that comes back as it was."""

import functools

import numpy as np
import pytest
import torch
from small_networks import SmallNet, noise_images, seeded
from torch import nn

import erfscope
from erfscope.datasets import Sample, SkippedImage
from erfscope.errors import ComputeError

SIZE = (21, 26)


@pytest.mark.parametrize("batch_size", [2, 3, 8])
@pytest.mark.parametrize("target", ["logits", "predicted"])
def test_batches_give_the_map_of_batch_one(small_net, batch_size, target):
    images = noise_images(7, SIZE)
    one, many = (
        erfscope.compute_erf(small_net, images, batch_size=size, target=target, precision="float64")
        for size in (1, batch_size)
    )
    # Other kernels for other batch sizes may sum in another order: float64 rounding, nothing more.
    np.testing.assert_allclose(many.erf, one.erf, rtol=1e-12, atol=1e-12 * one.erf.max())
    np.testing.assert_allclose(many.replicates, one.replicates, rtol=1e-6, atol=1e-6 * one.erf.max())
    assert many.images == one.images == 7


def test_replicates_are_disjoint_and_sum_to_the_map(small_map):
    assert small_map.replicates.shape == (16, 33, 41)
    # Stored in float32.
    np.testing.assert_allclose(small_map.replicates.sum(0), small_map.erf, rtol=1e-6)
    groups = [record.group for record in small_map.records]
    assert sorted(set(groups)) == list(range(16))
    masses = [sum(r.mass for r in small_map.records if r.group == group) for group in range(16)]
    np.testing.assert_allclose(small_map.replicates.sum((1, 2)), masses, rtol=1e-5)


def test_no_replicates(small_net):
    assert erfscope.compute_erf(small_net, noise_images(2, SIZE), replicates=0).replicates is None


def snapshot(network):
    return {
        "modes": [module.training for module in network.modules()],
        "grads": [parameter.requires_grad for parameter in network.parameters()],
        "hooks": [len(module._forward_hooks) for module in network.modules()],
        "pointers": [tensor.data_ptr() for tensor in (*network.parameters(), *network.buffers())],
        "dtypes": [tensor.dtype for tensor in (*network.parameters(), *network.buffers())],
        "values": [tensor.clone() for tensor in (*network.parameters(), *network.buffers())],
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state(),
    }


def assert_same(before, after):
    for name in ("modes", "grads", "hooks", "pointers", "dtypes", "threads"):
        assert before[name] == after[name], name
    assert all(torch.equal(a, b) for a, b in zip(before["values"], after["values"], strict=True))
    assert torch.equal(before["random"], after["random"])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_model_comes_back_as_it_was(small_net, precision):
    small_net.stem.weight.requires_grad_(False)
    small_net.body.eval()
    before = snapshot(small_net)
    erfscope.compute_erf(small_net, noise_images(2, SIZE), precision=precision, unit="body", workers=1)
    assert_same(before, snapshot(small_net))


def test_the_model_comes_back_as_it_was_after_an_error(small_net):
    before = snapshot(small_net)
    images = [*noise_images(2, SIZE), torch.zeros(3, 5, 5)]
    with pytest.raises(
        ComputeError, match=r"image-00002 is \(3, 5, 5\), the run is planned for \(3, 21, 26\)"
    ):
        erfscope.compute_erf(small_net, images, precision="float64")
    assert_same(before, snapshot(small_net))


def wrapped_cache(method):
    """Cache as transformers does: the method is a wrapper that holds the cache in its closure."""
    cached = functools.lru_cache(maxsize=10)(method)
    return functools.wraps(method)(lambda *args: cached(*args))


@functools.lru_cache(maxsize=4)
def offset(width, dtype):
    return torch.zeros(width, dtype=dtype)


class Caching(nn.Module):
    """Keeps what it computed once, in an attribute and in a dict, as position embeddings often are."""

    def __init__(self):
        super().__init__()
        self.net, self.mask, self.by_size, self.seen = seeded(SmallNet()), None, {}, []

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def scale(self, width):
        return torch.tensor(2.0)

    @staticmethod
    @wrapped_cache
    def ramp(width):
        return torch.arange(width) / width

    def forward(self, x):
        if self.mask is None:
            self.mask = torch.linspace(0, 1, x.shape[-1], dtype=x.dtype, device=x.device)
        size = x.shape[-2:]
        self.by_size.setdefault(size, torch.ones(size, dtype=x.dtype, device=x.device))
        self.seen.append(x)
        x = x * self.scale(x.shape[-1]) + self.ramp(x.shape[-1]) + offset(x.shape[-1], None)
        return self.net(x * self.mask * self.by_size[size])


def test_what_a_network_caches_is_forgotten():
    """A fake or float64 tensor that stayed in a cache would break the caller's next run."""
    model, images = Caching(), noise_images(2, SIZE)
    handle = model.net.register_forward_hook(lambda *args: None)
    for precision in ("float64", "float32"):
        for engine in ("auto", "dense"):
            erf = erfscope.compute_erf(model, images, precision=precision, engine=engine)
            assert erf.images == 2
            assert (model.mask, model.by_size, model.seen) == (None, {}, [])
    handle.remove()
    assert not model.net._forward_hooks
    assert model(images[0][None]).dtype == torch.float32


def test_eval_mode_is_used_whatever_the_caller_left(small_net):
    images = noise_images(3, SIZE)
    trained, evaluated = (
        erfscope.compute_erf(net, images).erf for net in (small_net, seeded(SmallNet()).eval())
    )
    # Two networks of the same weights, in float32: 1e-7 a step.
    np.testing.assert_allclose(trained, evaluated, rtol=0, atol=1e-6 * evaluated.max())


@pytest.mark.parametrize("batch_size", [1, 4])
def test_broken_images_are_skipped_counted_and_named(small_net, batch_size):
    good = noise_images(5, SIZE)
    bad = good[1].clone()
    bad[0, 3, 3] = torch.nan
    samples = [Sample(image, None, f"{i}.png") for i, image in enumerate(good)]
    items = [*samples[:2], Sample(bad, None, "nan.png"), SkippedImage("cut.png", "truncated"), *samples[2:]]
    erf = erfscope.compute_erf(small_net, items, batch_size=batch_size, max_skipped=0.5, precision="float64")
    clean = erfscope.compute_erf(small_net, samples, precision="float64")
    np.testing.assert_allclose(erf.erf, clean.erf, rtol=1e-12, atol=1e-12 * clean.erf.max())
    assert erf.images == 5
    assert [(r.name, r.reason) for r in erf.skipped] == [
        ("nan.png", "its image is not finite"),
        ("cut.png", "truncated"),
    ]


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        # The gradient of 1 / x² overflows before the value does, at one image only.
        (lambda m, x: (x[:, :, :1, :1] ** -2).mean(1, keepdim=True) * torch.ones_like(x[:, :1]), "gradient"),
        (lambda m, x: torch.exp(x.mean((2, 3), keepdim=True) * 1e4) * m.layer(x)[:, :1], "output"),
    ],
)
def test_images_whose_numbers_overflow_are_skipped(forward, reason):
    images = [torch.full((3, 4, 4), value) for value in (-1e-4, 2e-4, 1e-15 if reason == "gradient" else 1.0)]
    erf = erfscope.compute_erf(Bad(forward), images, unit=(0, 0), formula="luo2016", max_skipped=0.5)
    assert [(r.name, r.reason) for r in erf.skipped] == [("image-00002", f"its {reason} is not finite")]
    assert np.isfinite(erf.erf).all()


def test_too_many_skipped_images_are_an_error(small_net):
    items = [*noise_images(99, SIZE), SkippedImage("a.png", "cut off"), SkippedImage("b.png", "cut off")]
    with pytest.raises(ComputeError, match=r"2 of 101 images .* a.png \(cut off\).*--max-skipped"):
        erfscope.compute_erf(small_net, items)
    with pytest.raises(ComputeError, match="at most 1% may be"):
        erfscope.compute_erf(small_net, iter(items))  # of unknown length: known at the end
    assert erfscope.compute_erf(small_net, items[:-1]).images == 99  # 1 of 100 is allowed


def test_iterables_of_unknown_length_give_the_same_map(small_net):
    images = noise_images(4, SIZE)
    np.testing.assert_array_equal(
        erfscope.compute_erf(small_net, iter(images)).replicates,
        erfscope.compute_erf(small_net, images).replicates,
    )


class Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.net, self.wrap = seeded(SmallNet()), wrap

    def forward(self, x):
        return self.wrap(self.net(x))


class Output:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: {"aux": y[:, :1] * 3, "out": y},
        lambda y: {"logits": y},
        lambda y: (y, y * 2),
        Output,
        lambda y: y if y.mean().item() > -1e9 else -y,  # reads a value: fake tensors can't
    ],
    ids=["out", "logits", "tuple", "object", "value-dependent"],
)
def test_wrapped_outputs(small_net, wrap):
    images = noise_images(2, SIZE)
    wrapped = erfscope.compute_erf(Wrapped(wrap), images, precision="float64")
    plain = erfscope.compute_erf(small_net, images, precision="float64")
    np.testing.assert_allclose(wrapped.erf, plain.erf, rtol=1e-12, atol=1e-12 * plain.erf.max())


def test_operations_are_counted(small_net):
    images = noise_images(1, SIZE)
    engine = erfscope.compute_erf(small_net, images, engine="dense").provenance["engine"]
    pixels = 11 * 13  # of the stride-2 maps
    forward = 2 * pixels * (3 * 6 * 9 + 6 * 6 * 9 + 6 * 4)
    # Backward to the input costs each convolution once more; no weight gradients.
    assert engine["flops_dense"] == 2 * forward
    assert engine["flops_needed"] == engine["flops_dense"]
    assert engine["mode"] == "dense"
    pruned = erfscope.compute_erf(small_net, images).provenance["engine"]
    assert pruned["mode"] == "graph"
    assert pruned["flops_dense"] == engine["flops_dense"]
    assert pruned["flops_needed"] < engine["flops_dense"] / 4


class Bad(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        self.unused = nn.Conv2d(3, 2, 1)
        self.flat = nn.Flatten()
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


@pytest.mark.parametrize(
    ("forward", "options", "message"),
    [
        (lambda m, x: m.layer(x).detach(), {}, "detached"),
        (lambda m, x: m.layer(x).argmax(1, keepdim=True).float(), {}, "detached"),
        (lambda m, x: m.layer(x) * 0, {}, "zero everywhere.*dead"),
        (lambda m, x: -m.layer(x).square().sum(1, keepdim=True) * 0 - x.sum(1, keepdim=True), {}, "luo2016"),
        (lambda m, x: m.flat(x), {}, "returned shape .*expected logits"),
        (lambda m, x: [], {}, "returned list"),
        (lambda m, x: m.layer(x), {"unit": "unused"}, "took no part"),
        (lambda m, x: m.layer(x), {"unit": "layr"}, "no layer 'layr'; did you mean layer"),
        (lambda m, x: m.flat(m.layer(x))[:, :, None, None], {"unit": "flat"}, "no feature map"),
        (lambda m, x: m.layer(x), {"unit": (21, 0)}, "rows 0 to 20"),
        (lambda m, x: m.layer(x), {"target": 2}, "classes 0 to 1"),
        (lambda m, x: m.layer(x), {"target": "car"}, "no target is called 'car'"),
        (lambda m, x: m.layer(x), {"target": "margin", "unit": "layer"}, "needs class logits"),
        (lambda m, x: m.layer(x)[:, :1], {"target": "margin"}, "at least two classes"),
        (lambda m, x: m.layer(x), {"formula": "mean"}, "no formula"),
        (lambda m, x: m.layer(x), {"precision": "float16"}, "no precision"),
        (lambda m, x: m.layer(x), {"batch_size": 0}, "at least one image"),
        (lambda m, x: m.layer(x), {"device": "gpu"}, "no device"),
        (lambda m, x: m.layer(x), {"device": "meta"}, "not supported"),
        (lambda m, x: m.layer(x[:, :2]), {}, r"does not run on an image of 21×26 px .*try another size"),
        (lambda m, x: int("side"), {}, r"does not run on an image of 21×26 px \(ValueError: .*another size"),
        (
            lambda m, x: m.layer(x) * torch.ones(1 << 50)[0],
            {"engine": "dense"},
            r"Bad at 21×26 px needs more memory than",
        ),
        (lambda m, x: m.layer(), {}, r"does not run .*missing 1 required .*module that takes images alone"),
    ],
)
def test_what_cannot_be_computed_is_said_in_one_line(forward, options, message, capfd):
    with pytest.raises(ComputeError, match=message) as caught:
        erfscope.compute_erf(Bad(forward), noise_images(2, SIZE), **options)
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().err  # torch logs a traceback where fake tensors fail


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(small_net):
    with pytest.raises(ComputeError, match="no CUDA device here; use --device cpu"):
        erfscope.compute_erf(small_net, noise_images(1, SIZE), device="cuda")


@pytest.mark.parametrize("images", [[], iter(()), [torch.zeros(1, 4, 4)], [torch.zeros(4, 4)]])
def test_no_images(small_net, images):
    with pytest.raises(ComputeError, match="at least one image|expected \\(3, H, W\\)"):
        erfscope.compute_erf(small_net, images)


def test_class_names_need_the_networks_classes(small_net):
    leaves = erfscope.open_dataset("synthetic-leaves", size=24, images=1)
    with pytest.raises(ComputeError, match="one of the dataset's 5, but the network has 4 classes"):
        erfscope.compute_erf(small_net, leaves, target="disk")
    erf = erfscope.compute_erf(seeded(SmallNet(5)), leaves, target="disk")
    assert erf.target == f"class {leaves.classes.index('disk')} (disk)"
