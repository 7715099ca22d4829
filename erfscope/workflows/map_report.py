"""From a map to its figure and to its report: measures what is shown, compares it with the prediction."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erfscope.measure import star as stars
from erfscope.measure.gaussian.gaussian_fit import gaussian_residual
from erfscope.measure.lattice.cells import reach
from erfscope.measure.patches import measure_patches
from erfscope.measure.pattern import classify
from erfscope.measure.sampling_error import images_needed
from erfscope.records.convergence import ErrorCheck
from erfscope.records.erf_map import ErfMap
from erfscope.records.flags import Flag, flag_fields, read_flags
from erfscope.records.gaussian import GaussianFit
from erfscope.records.masses import MassStatistics
from erfscope.records.star import StarMeasurement
from erfscope.report.advice import Crop, advise
from erfscope.report.convergence_figure import GOAL, draw_convergence, say_images
from erfscope.report.html_page import Chapter, write_html
from erfscope.report.map_figure import draw_map, draw_panels
from erfscope.report.map_view import Findings, MapView
from erfscope.report.pictures import Picture, hover_values, inline
from erfscope.store.read import read_map
from erfscope.system.atomic_files import prepare_target
from erfscope.workflows.measurements import (
    error_checks,
    fit_gaussian,
    measure_extent,
    measure_star,
    recorded_convergence,
)
from erfscope.workflows.star_prediction import compare_to_prediction, recorded_prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = ("star", "gaussian", "prediction")
ERRORS = (0.1, 0.03, GOAL)  # of a map, for which the number of images is told
_NEED_GAUSSIAN = frozenset({"gaussian", "profiles", "residual"})


def draw_erf(erf: ErfMap, *, scale: str = "log", show: Collection[str] = ("star",)) -> "Figure":
    """Measure what `show` names and draw it with the map; see `report.map_figure.draw_map`."""
    findings = Findings(
        # Without replicates: errors aren't drawn, and cost most of the time.
        star=stars.measure_star(erf.erf, erf.projected_center) if "star" in show else None,
        prediction=recorded_prediction(erf),
    )
    if _NEED_GAUSSIAN & set(show):
        findings = _with_gaussian(erf, findings)
    return draw_map(erf, scale=scale, show=show, findings=findings)


def write_report(
    files: Sequence[Path], out: Path, *, crop: int | None = None, overwrite: bool = False
) -> list[dict[str, Any]]:
    """Measure and draw every map, and write one HTML file of them all.

    Parameters
    ----------
    crop
        Side of the training crop in px, for the advice; None takes the checkpoint's, or the map's shorter
        side.

    Returns
    -------
    list
        One JSON-able document a map: file, subtitle (network, weights and data in a line), map, star (with
        its comparison with the prediction), gaussian, pattern, extent, convergence, prediction, advice,
        flags, flag_codes.

    Raises
    ------
    MapError
        A map can't be read, or `out` exists and `overwrite` is False, or can't be written.
    """
    prepare_target(out, overwrite=overwrite)
    chapters = [_chapter(file, crop) for file in files]
    write_html(chapters, out)
    return [dict(chapter.document) for chapter in chapters]


def _with_gaussian(erf: ErfMap, findings: Findings) -> Findings:
    fit = fit_gaussian(erf)
    return replace(findings, gaussian=fit, residual=gaussian_residual(erf.erf, fit))


def _chapter(file: Path, crop: int | None) -> Chapter:
    erf = read_map(file)
    star, fit = measure_star(erf), fit_gaussian(erf)
    findings = Findings(star, fit, gaussian_residual(erf.erf, fit), recorded_prediction(erf))
    checks = error_checks(erf, star)
    document = _document(file, erf, star, fit, findings.prediction, crop)
    document["convergence"] = _convergence(erf, checks)
    pictures = (*_pictures(erf, findings), *_error_picture(erf, checks))
    return Chapter(document, erf.provenance, pictures, hover_values(erf))


def _document(
    file: Path,
    erf: ErfMap,
    star: StarMeasurement,
    fit: GaussianFit,
    predicted: Mapping[str, Any],
    crop: int | None,
) -> dict[str, Any]:
    compared = star.summary() | compare_to_prediction(star, predicted, reach(erf.size, erf.projected_center))
    extent = measure_extent(erf)
    pattern = classify(star, measure_patches(erf.erf), fit, erf.size, float(np.maximum(erf.erf, 0).sum()))
    return {
        "file": str(file),
        "subtitle": MapView(erf, "log").title.replace("\n", " · "),
        "map": _map_facts(erf, extent.images),
        "star": compared,
        "gaussian": fit.summary(),
        "pattern": pattern.summary(),
        "extent": extent.summary(),
        "prediction": dict(predicted),
        "advice": advise(predicted, compared, _crop(erf, crop)).summary(),
        **flag_fields(
            [
                *(flag.prefixed("map") for flag in _map_flags(erf)),
                *_own_flags(erf, "star", star.flags),
                *_own_flags(erf, "Gaussian", fit.flags),
                *_own_flags(erf, "pattern", pattern.flags),
                *_own_flags(erf, "extent", extent.flags),
                *_own_flags(erf, "prediction", read_flags(predicted) if predicted else ()),
            ]
        ),
    }


def _own_flags(erf: ErfMap, where: str, flags: Iterable[Flag]) -> Iterator[Flag]:
    """Yield the flags of one measurement that aren't the map's own."""
    # That the logarithm depends on the scale holds for every map: a table's note says so.
    told = {"log_depends_on_scale", *(flag.code for flag in erf.flags)}
    return (flag.prefixed(where) for flag in flags if flag.code not in told)


def _pictures(erf: ErfMap, findings: Findings) -> tuple[Picture, ...]:
    """Draw the map and its profiles on both scales, and the residual."""
    scales = ("log", "linear") if bool((erf.erf > 0).any()) else ("linear",)
    drawn = {scale: _on_scale(erf, findings, scale, scale if len(scales) > 1 else "") for scale in scales}
    residual = inline(
        draw_panels([["residual"]], erf, scale="linear", findings=findings),
        alt="What the fitted Gaussian leaves: orange where the map is larger, purple where it is smaller",
        caption="The map less the fitted Gaussian, on a linear scale.",
    )
    maps, profiles = zip(*drawn.values(), strict=True)
    return (*maps, residual, *profiles)


def _on_scale(erf: ErfMap, findings: Findings, scale: str, shown_on: str) -> tuple[Picture, Picture]:
    """Draw the map, and its profiles."""
    whole = inline(
        draw_panels([["map"]], erf, scale=scale, show=MARKS, findings=findings),
        alt=f"The map on a {scale} scale, with marks at what was measured and predicted",
        caption=f"The map on a {scale} scale.",
        scale=shown_on,
        hover=True,
    )
    profiles = inline(
        draw_panels([["cuts", "radial"]], erf, scale=scale, show=MARKS, findings=findings),
        alt=f"Cuts through the projected center and radial profile on a {scale} scale, beside the Gaussian's",
        caption=f"Cuts through the projected center and radial profile, on a {scale} scale.",
        scale=shown_on,
        wide=True,
    )
    return whole, profiles


def _convergence(erf: ErfMap, checks: Sequence[ErrorCheck]) -> dict[str, Any] | None:
    """Tell the errors, and how many images others would take; None where nothing is known of them."""
    if not checks:
        return None
    recorded, last = recorded_convergence(erf), checks[-1]
    known = last.map_error or 0.0  # all of them have one
    needed = {f"{error:g}": images_needed(last.images, known, error) for error in ERRORS}
    return {
        "until": None if recorded is None else recorded.until,
        "converged": None if recorded is None else recorded.converged,
        "checks": [check.summary() for check in checks],
        "images_needed": needed,
        "sentence": say_images(last.images, known, needed[f"{GOAL:g}"]),
    }


def _error_picture(erf: ErfMap, checks: Sequence[ErrorCheck]) -> tuple[Picture, ...]:
    if not checks:
        return ()
    recorded = recorded_convergence(erf)
    until = None if recorded is None else recorded.until
    figure = draw_convergence(checks, until=until, title=MapView(erf, "log").title)
    return (
        inline(
            figure,
            alt="Relative standard error of the map against the number of its images, on logarithmic axes",
            caption="How well the map is known: its error against the number of its images.",
        ),
    )


def _map_facts(erf: ErfMap, masses: MassStatistics | None) -> dict[str, Any]:
    """Gather what is known of the map itself, with how evenly the images contribute."""
    y, x = erf.projected_center
    names = ("size", "unit", "images", "images_skipped", "formula", "target", "replicates", "sum", "peak")
    summary = erf.summary()
    return {
        **{name: summary[name] for name in names},
        "projected_center": {"y_px": y, "x_px": x},
        "masses": None if masses is None else masses.summary(),
    }


def _crop(erf: ErfMap, given: int | None) -> Crop:
    if given is not None:
        return Crop(given, "the one that you gave")
    trained = ((erf.provenance.get("network") or {}).get("training") or {}).get("crop_size")
    if trained:
        return Crop(min(trained), "the training crop that the checkpoint names")
    return Crop(min(erf.size), "the map's shorter side; --crop takes another")


def _map_flags(erf: ErfMap) -> list[Flag]:
    """Say what must be known of weights and images before any number is used."""
    weights = erf.provenance.get("weights") or {}
    flags = list(erf.flags)
    if weights.get("source") == "random":
        message = "random weights: it shows the network's structure, nothing that was learned"
        flags.append(Flag("random_weights", message))
    elif weights.get("missing"):
        message = f"{weights['missing']} tensors are missing from the checkpoint, and random"
        flags.append(Flag("missing_weights", message))
    if erf.skipped:
        flags.append(Flag("images_skipped", f"{len(erf.skipped)} images were skipped"))
    return flags
