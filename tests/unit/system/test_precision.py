"""Reduced precisions, and what the file says of them."""

import json

import pytest
import torch
from small_networks import noise_images

import erfscope
from erfscope.errors import ComputeError
from erfscope.system.precision import arithmetic

SIZE = (33, 41)


@pytest.mark.parametrize("engine", ["auto", "dense"])
def test_bfloat16_tells_its_deviation(small_net, engine):
    images = noise_images(9, SIZE)
    exact = erfscope.compute_erf(small_net, images, engine=engine)
    reduced = erfscope.compute_erf(small_net, iter(images), engine=engine, precision="bfloat16")
    assert reduced.images == 9  # none of the stream is lost to the comparison
    deviation = reduced.provenance["deviation_from_float32"]
    assert deviation["images"] == 4
    # 8 bits of mantissa: half a percent a product, and a ReLU that switches now and then.
    assert 0 < deviation["relative_l1"] < 0.2
    assert abs(deviation["relative_sum"]) < 0.05
    assert abs(reduced.erf.sum() / exact.erf.sum() - 1) < 0.05
    # It is the deviation of those four images' maps.
    first = [erfscope.compute_erf(small_net, images[:4], engine=engine, precision=p).erf
             for p in ("bfloat16", "float32")]  # fmt: skip
    expected = abs(first[0] - first[1]).sum() / first[1].sum()
    assert deviation["relative_l1"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_full_precisions_have_none(small_net, precision):
    erf = erfscope.compute_erf(small_net, noise_images(1, SIZE), precision=precision)
    assert erf.provenance["deviation_from_float32"] is None


def test_a_comparison_that_cannot_be_made_is_left_out(small_net):
    broken = [torch.full((3, *SIZE), torch.nan)] * 4
    erf = erfscope.compute_erf(
        small_net, [*broken, *noise_images(2, SIZE)], precision="bfloat16", max_skipped=1
    )
    assert (erf.images, erf.provenance["deviation_from_float32"]) == (2, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA has TF32")
def test_tf32_needs_cuda(small_net):
    with pytest.raises(ComputeError, match="on the CPU take float32 or bfloat16"):
        erfscope.compute_erf(small_net, noise_images(1, SIZE), precision="tf32", device="cpu")


def test_float32_is_float32_also_where_torch_would_take_tf32():
    settings = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    before = [setting.fp32_precision for setting in settings]
    for precision, expected in (("float32", "ieee"), ("bfloat16", "ieee"), ("tf32", "tf32")):
        with arithmetic(precision):
            assert [setting.fp32_precision for setting in settings] == [expected] * 2
        assert [setting.fp32_precision for setting in settings] == before


def test_batch_and_memory_are_recorded(small_net):
    erf = erfscope.compute_erf(small_net, noise_images(3, SIZE), device="cpu")
    assert erf.provenance["engine"]["batch_size"] == 1
    assert erf.provenance["peak_memory_bytes"] > 50e6  # Python and torch alone take more
    json.dumps(erf.summary())
