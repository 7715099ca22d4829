"""Arrays in, files out."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import erfscope
from erfscope.errors import MapError
from erfscope.store.exchange import export_map, map_from_array, read_array
from erfscope.store.write import write_map


@pytest.fixture
def array():
    return np.random.default_rng(0).random((7, 9))


def test_an_array_becomes_a_map(array, tmp_path):
    erf = map_from_array(array)
    assert (erf.unit.y, erf.unit.x) == (3, 4)
    assert erf.projected_center == (3.0, 4.0)
    assert erf.replicates is None
    assert erf.images is None
    erf = map_from_array(array.astype(np.float32), (0, 8))
    assert erf.erf.dtype == np.float64
    write_map(erf, tmp_path / "e.h5")
    again = erfscope.load_erf(tmp_path / "e.h5")
    np.testing.assert_array_equal(again.erf, array.astype(np.float32))
    assert (again.unit.y, again.unit.x, again.images) == (0, 8, None)


def test_partial_sums_become_replicates(array):
    parts = np.stack([array, 2 * array, 3 * array])
    erf = map_from_array(parts)
    np.testing.assert_allclose(erf.erf, 6 * array, rtol=1e-15)
    np.testing.assert_array_equal(erf.replicates, parts.astype(np.float32))


@pytest.mark.parametrize(
    ("bad", "unit", "message"),
    [
        (np.ones(5), None, r"expected \(H, W\)"),
        (np.ones((2, 2, 2, 2)), None, r"expected \(H, W\)"),
        (np.ones((0, 4)), None, r"expected \(H, W\)"),
        (np.full((4, 4), np.nan), None, "NaN"),
        (np.ones((4, 4)) * 1j, None, "real numbers"),
        (np.array([["a"]]), None, "real numbers"),
        (np.zeros((4, 4)), None, "zero everywhere"),
        (np.ones((4, 5)), (4, 0), "outside the 4×5 array"),
    ],
)
def test_what_is_no_map(bad, unit, message):
    with pytest.raises(MapError, match=message):
        map_from_array(bad, unit)


def test_unreadable_arrays(tmp_path):
    with pytest.raises(MapError, match="does not exist"):
        read_array(tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "several.npz", a=np.ones(2), b=np.ones(2))
    for name in ("text.npy", "pickle.npy", "several.npz"):
        with pytest.raises(MapError, match=r"not a readable|several arrays"):
            read_array(tmp_path / name)


def test_exports_are_what_other_readers_read(array, tmp_path):
    erf = map_from_array(array)
    for suffix in ("npy", "csv", "tiff", "png"):
        export_map(erf, tmp_path / f"e.{suffix}")
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), array)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "e.csv", delimiter=","), array)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "e.tiff"), array.astype(np.float32))
    png = np.asarray(Image.open(tmp_path / "e.png"))
    assert png.max() == 65535
    np.testing.assert_allclose(png / 65535 * array.max(), array, atol=0.5 / 65535)  # rounded to 16 bits
    with pytest.raises(MapError, match="exists already"):
        export_map(erf, tmp_path / "e.npy")
    with pytest.raises(MapError, match=r"expected one of .npy"):
        export_map(erf, tmp_path / "e.jpeg")
