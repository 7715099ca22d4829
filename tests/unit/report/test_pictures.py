"""What the cursor reads."""

from base64 import b64decode

import numpy as np
import pytest

from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.report.map_figure import draw_panels
from erfscope.report.pictures import block_means, hover_values, inline


@pytest.mark.parametrize("block", [1, 3, 7])
def test_block_means(block):
    values = np.random.default_rng(0).random((20, 33))
    means = block_means(values, block)
    assert means.shape == (-(-20 // block), -(-33 // block))
    for i in range(means.shape[0]):
        for j in range(means.shape[1]):
            here = values[i * block : (i + 1) * block, j * block : (j + 1) * block]
            assert means[i, j] == pytest.approx(here.mean(), rel=1e-12)


def test_hover_values_are_shares_of_the_peak():
    values = np.zeros((300, 200))
    values[150, 100] = 4.0
    hover = hover_values(ErfMap(values, Unit(150, 100), (149.5, 99.5), "paper", "logits", 2))
    assert (hover["height"], hover["width"], hover["center"], hover["block"]) == (300, 200, [149.5, 99.5], 3)
    shares = np.frombuffer(b64decode(hover["values"]), "<f4").reshape(-1, hover["columns"])
    assert max(shares.shape) <= 128
    assert shares[150 // 3, 100 // 3] == pytest.approx(1 / 9)
    assert np.count_nonzero(shares) == 1


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_box_is_where_the_map_is(star_map, scale):
    """The frame of the axes is dark at the box's borders, and white beyond its left one."""
    from io import BytesIO

    from PIL import Image

    picture = inline(draw_panels([["map"]], star_map, scale=scale), alt="", caption="", hover=True)
    image = np.asarray(Image.open(BytesIO(b64decode(picture.source.split(",")[1]))).convert("L"), float)
    assert image.shape[::-1] == picture.size
    left, top, width, height = picture.box
    row = round((top + 0.37 * height) * image.shape[0])  # between the ticks
    edge = round(left * image.shape[1])
    assert image[row, edge - 2 : edge + 3].min() < 100
    assert image[row, edge - 7 : edge - 3].min() > 200
    bottom, column = round((top + height) * image.shape[0]), round((left + 0.37 * width) * image.shape[1])
    assert image[bottom - 2 : bottom + 3, column].min() < 100
    assert image[bottom + 4 : bottom + 8, column].min() > 200
    # The map keeps its shape: pixels are square.
    assert width * image.shape[1] / (height * image.shape[0]) == pytest.approx(201 / 161, rel=0.01)
