"""What is drawn stands where it was measured, and the figure's file is what it says."""

import re

import numpy as np
import pytest

from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.records.unit import Unit
from erfscope.report.map_figure import draw_map, draw_panels, save_figure
from erfscope.report.map_view import SHOWABLE, Findings


def by_gid(axes, gid):
    (artist,) = [each for each in axes.get_children() if each.get_gid() == gid]
    return artist


@pytest.fixture(scope="module")
def everything(star_map, findings):
    figure = draw_map(star_map, show=SHOWABLE, findings=findings)
    figure.draw_without_rendering()
    return {axes.get_label(): axes for axes in figure.axes}


def test_every_blob_is_marked_where_it_was_measured(everything, findings):
    places = by_gid(everything["map"], "star-blobs").get_offsets()
    arms = findings.star.arms
    assert len(arms) == 24
    np.testing.assert_array_equal(places, [(arm.x_px, arm.y_px) for arm in arms])


def test_rings_are_squares_about_the_stars_own_center(everything, findings):
    y, x = findings.star.center
    for number, ring in enumerate(findings.star.rings, 1):
        box = by_gid(everything["map"], f"ring-{number}").get_bbox()
        half = ring.distance_px
        np.testing.assert_allclose(box.extents, (x - half, y - half, x + half, y + half))
    assert number == 3


@pytest.mark.parametrize("sigmas", [1, 2])
def test_ellipses_follow_the_gaussian(everything, findings, sigmas):
    ellipse, fit = by_gid(everything["map"], f"gaussian-{sigmas}-sigma"), findings.gaussian
    assert ellipse.get_center() == (fit.x0_px, fit.y0_px)
    assert (ellipse.width, ellipse.height) == (2 * sigmas * fit.sigma_x_px, 2 * sigmas * fit.sigma_y_px)
    # The end of its first axis, in data coordinates (y down): θ counts from +x toward +y.
    data = ellipse.get_patch_transform().transform([(1.0, 0.0)])[0] - ellipse.get_center()
    assert np.degrees(np.arctan2(data[1], data[0])) == pytest.approx(fit.theta_deg)


def test_predicted_positions_count_from_the_projected_center(everything, star_map):
    places = by_gid(everything["map"], "predicted-lattice").get_offsets()
    lattice = np.array(star_map.provenance["prediction"]["lattice"])
    np.testing.assert_array_equal(places, lattice[:, ::-1] + (100.0, 80.0))


def test_the_maps_limits_stay_and_the_legend_is_off_it(everything, star_map):
    axes = everything["map"]
    height, width = star_map.size
    assert axes.get_xlim() == (-0.5, width - 0.5)
    assert axes.get_ylim() == (height - 0.5, -0.5)
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1  # px of the screen


def test_residual_has_zero_in_the_middle_of_its_colors(everything, star_map, findings):
    image = by_gid(everything["residual"], "residual")
    low, high = image.get_clim()
    assert low == -high < 0
    np.testing.assert_allclose(image.get_array(), findings.residual / 16)
    beyond = (np.abs(image.get_array()) > high).mean()
    assert 0 < beyond < 0.01
    (bar,) = everything["residual"].child_axes
    assert f"{1 - beyond:.1%}" in bar.get_ylabel()


def test_only_what_is_asked_for_is_drawn(star_map, findings):
    figure = draw_map(star_map, findings=findings)
    assert [axes.get_label() for axes in figure.axes] == ["map"]
    assert {each.get_gid() for each in figure.axes[0].get_children()} == {None, "center"}


def test_what_was_not_found_is_not_drawn(star_map):
    figure = draw_map(star_map, show=SHOWABLE, findings=Findings())
    (axes,) = [each for each in figure.axes if each.get_label() == "map"]
    assert {each.get_gid() for each in axes.get_children()} == {None, "center"}


@pytest.mark.parametrize("scale", ["log", "linear", "power"])
def test_the_figure_names_network_data_and_scale(star_map, scale):
    figure = draw_map(star_map, scale=scale)
    assert "star-net" in figure.get_suptitle()
    assert "weights unknown" in figure.get_suptitle()
    assert "16 images" in figure.get_suptitle()
    (bar,) = figure.axes[0].child_axes
    assert ("square-root" if scale == "power" else scale) in bar.get_ylabel()


@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (40, 40)])
def test_nothing_is_cut_off(shape):
    y, x = np.indices(shape)
    values = np.exp(-((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / 500) * 1e-7
    erf = ErfMap(values, Unit(20, 20), (20.0, 20.0), "paper", "logits", 3)
    figure = draw_map(erf, scale="linear", show=("residual",), findings=Findings(residual=values))
    figure.draw_without_rendering()
    whole = figure.get_tightbbox().padded(-0.02)  # inches
    assert whole.x0 >= 0
    assert whole.y0 >= 0
    assert whole.x1 <= figure.get_figwidth()
    assert whole.y1 <= figure.get_figheight()


def test_names_with_dollars_and_backslashes_are_no_formula(star_map, tmp_path):
    erf = ErfMap(
        star_map.erf, star_map.unit, star_map.projected_center, "paper", "logits", 16,
        provenance={"network": {"name": r"$\frac{net$"}, "dataset": {"name": "$x$"}},
    )  # fmt: skip
    figure = draw_map(erf)
    save_figure(figure, tmp_path / "a.png")
    assert figure.get_suptitle().startswith(r"$\frac{net$")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_vector_files_keep_their_text(star_map, findings, tmp_path, suffix):
    path = tmp_path / f"figure.{suffix}"
    save_figure(draw_map(star_map, show=SHOWABLE, findings=findings), path)
    content = path.read_bytes()
    if suffix == "svg":
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", content.decode())
        assert {"x (px)", "predicted positions", "Gaussian, 2σ"} <= set(texts)
        assert len(re.findall(r"<image ", content.decode())) >= 2  # the maps' pixels are no vectors
    else:
        assert b"/CIDFontType2" in content
        assert b"/Type3" not in content


def test_unknown_names_are_refused(star_map):
    with pytest.raises(MapError, match="can't show stars; expected some of star, gaussian"):
        draw_map(star_map, show=("stars",))
    with pytest.raises(MapError, match="no scale is called 'cubic'; expected log, linear, power"):
        draw_panels([["map"]], star_map, scale="cubic")
