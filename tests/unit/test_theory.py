"""The formulas against every number that the study prints."""

import pytest

from erfscope.errors import ComputeError
from erfscope.theory import grid_center_to_center, recommend_rate, star_center_to_center

TABLE_1 = {
    16: {128: 1.00, 256: 2.33, 320: 3.00, 512: 5.00, 640: 6.33, 768: 7.67, 769: 7.68, 832: 8.33, 896: 9.00,
         1024: 10.33},
    8: {128: 2.00, 256: 4.67, 320: 6.00, 512: 10.00, 640: 12.67, 768: 15.33, 769: 15.35, 832: 16.67,
        896: 18.00, 1024: 20.67},
}  # fmt: skip


@pytest.mark.parametrize(
    ("stride", "size"), [(stride, size) for stride in TABLE_1 for size in TABLE_1[stride]]
)
def test_table_1(stride, size):
    assert round(recommend_rate(size, stride).rate, 2) == TABLE_1[stride][size]


def test_recommended_rates():
    answer = recommend_rate(769, 8)
    assert (answer.rate_rounded, answer.rates) == (15, (15, 30, 45))
    assert recommend_rate(896, 8).rates == (18, 36, 54)


def test_the_star_of_the_recommended_rate_covers_the_crop():
    for stride in TABLE_1:
        for size in TABLE_1[stride]:
            answer = recommend_rate(size, stride)
            # Rounding the rate by up to one half moves the star by up to 3 strides.
            assert star_center_to_center(answer.rates, stride) + 32 == pytest.approx(size, abs=3 * stride)


def test_center_to_center():
    assert star_center_to_center((6, 12, 18), 16) == star_center_to_center((12, 24, 36), 8) == 576
    assert star_center_to_center((2, 4, 8, 12), 8) == 192
    assert grid_center_to_center((6, 6), 16) == 384


def test_too_small_a_crop():
    with pytest.raises(ComputeError, match=r"too small for a star: r\* = 0.33"):
        recommend_rate(64, 16)
    with pytest.raises(ComputeError, match="give 1 or more"):
        recommend_rate(64, 0)
