"""`erfscope extent` and `erfscope compare`."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import erfscope


@pytest.fixture
def maps(here, small_map):
    """Two maps of the same images by other weights, and one of another size."""
    small_map.save("one.h5")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 9, padding=4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(3, 33, 41, generator=generator) for _ in range(20)]
    erfscope.compute_erf(net, images).save("two.h5")
    erfscope.compute_erf(net, [image[:, :32, :32] for image in images]).save("three.h5")
    return here


def test_extent_keys(run, maps):
    first, second = run("extent", "one.h5", "two.h5", "--json").json["results"]
    assert (first["file"], second["file"]) == ("one.h5", "two.h5")
    thresholds = {"0.2", "0.3", "0.5", "0.99"}
    for ratios in (first, first["log"]):
        for name in ("area_ratio", "side_px", "area_ratio_stderr", "side_stderr_px"):
            assert set(ratios[name]) == thresholds
    assert set(first) >= {
        "effective_diameter_px", "effective_diameter_stderr_px", "effective_diameter_above_background_px",
        "side95_above_background_px", "background", "radial_profile", "images", "flags", "flag_codes",
    }  # fmt: skip
    assert first["images"]["count"] == 20
    assert 1 <= first["images"]["effective"] <= 20
    profile = first["radial_profile"]
    assert len(profile["radius_px"]) == len(profile["mean"]) == len(profile["stderr"]) > 20
    assert any("depend on the gradient's scale" in flag for flag in first["flags"])


def test_extent_of_an_imported_array(run, here):
    np.save("array.npy", np.ones((40, 40)))
    assert run("import", "array.npy", "erf.h5").code == 0
    (result,) = run("extent", "--json").json["results"]
    assert result["images"] is None
    assert result["area_ratio"]["0.99"] is None
    assert any("number of images is unknown" in flag for flag in result["flags"])
    shown = run("extent")
    assert "–" in shown.out
    assert "log10" not in shown.out
    assert "log10(1 + mean)" in run("extent", "-v").out
    assert "nothing stands above the background" in shown.err


def test_a_heavy_image_is_flagged(small_map):
    found = erfscope.measure_extent(small_map)
    share = small_map.summary()["largest_image_share"]
    assert found.images.largest_share == pytest.approx(share)
    assert any("of the gradient mass" in flag.message for flag in found.flags) == (share > 0.1)


def test_compare_keys(run, maps):
    document = run("compare", "one.h5", "two.h5", "three.h5", "--json").json
    assert [each["file"] for each in document["maps"]] == ["one.h5", "two.h5", "three.h5"]
    assert document["maps"][0]["weights"] == "as given"
    assert set(document["maps"][0]) >= {
        "images", "effective_images", "center_of_mass_y_px", "center_of_mass_x_px", "effective_diameter_px",
        "side50_px", "side95_above_background_px", "area_ratio50", "stderr", "size", "projected_center",
    }  # fmt: skip
    same, other = document["pairs"]
    assert (same["paired"], other["paired"]) == (True, True)
    assert set(same["scalars"]["side50_px"]) == {"difference", "stderr", "t", "degrees", "p_value"}
    assert same["blocks"]["tested"] > 0
    assert 0 <= same["blocks"]["overlap"] <= 1
    assert other["blocks"] is None
    assert any("sizes differ" in flag for flag in other["flags"])
    assert document["out"] is None


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_compare_draws(run, maps, suffix):
    result = run("compare", "one.h5", "two.h5", "three.h5", "--out", f"figure{suffix}")
    assert result.code == 0, result.err
    assert "two.h5 − one.h5, paired by images" in result.out
    assert result.out.splitlines()[-1] == f"figure{suffix}"
    content = (maps / f"figure{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    if suffix == ".png":
        assert len(np.unique(plt.imread(maps / "figure.png")[::4, ::4])) > 100
    if suffix == ".svg":
        text = content.decode()
        for piece in ("two against one", "as given", "not drawn: sizes differ", "log₂"):
            assert piece in text, piece
    again = run("compare", "one.h5", "two.h5", "--out", f"figure{suffix}")
    assert again.code == 2
    assert "exists already" in again.err
    assert run("compare", "one.h5", "two.h5", "--out", f"figure{suffix}", "--overwrite").code == 0


def test_compare_refuses_what_it_cannot(run, maps):
    assert "it takes two or more" in run("compare", "one.h5").err
    assert run("compare").code == 2
    assert "missing.h5 does not exist" in run("compare", "one.h5", "missing.h5").err
    result = run("compare", "one.h5", "two.h5", "--out", "figure.gif")
    assert result.code == 2
    assert "can't draw to 'figure.gif'" in result.err
