"""Tables of one map: its JSON document, in words and rounded numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from erfscope.report.words import NOTHING, interval, listed, number, percent, point, sides, with_error

Document = Mapping[str, Any]
LONGEST_LIST = 8  # of provenance that is printed in full
NOT_PROVENANCE = (
    "prediction", "convergence", "identity", "weights.missing_names", "weights.unexpected_names",
)  # fmt: skip

#: Name, key, key of the standard error, key of the prediction.
STAR_ROWS = (
    ("center to center", "center_to_center_px", "center_to_center_stderr_px", "center_to_center_px"),
    ("bound of the method's own error", "systematic_px", None, None),
    ("end to end, +32 px by convention", "end_to_end_convention_px", None, "end_to_end_convention_px"),
    ("end to end, at {end_to_end_contour}", "end_to_end_measured_px", "end_to_end_measured_stderr_px", None),
    ("a blob's full width at half maximum", "blob_fwhm_px", "blob_fwhm_stderr_px", None),
)
REACH_ROWS = (
    ("effective diameter", "effective_diameter"),
    ("effective diameter above the background", "effective_diameter_above_background"),
    ("side that holds 95 % above the background", "side95_above_background"),
)
GAUSSIAN_ROWS = (
    ("x0", "x0_px", "px"),
    ("y0", "y0_px", "px"),
    ("σx", "sigma_x_px", "px"),
    ("σy", "sigma_y_px", "px"),
    ("θ, from +x toward +y", "theta_deg", "°"),
    ("amplitude", "amplitude", ""),
    ("offset", "offset", ""),
)
STDERR_SOURCES = {
    "replicates": "± is one standard error of the image sampling: jackknife over {groups} groups of images.",
    "fit": "± is one standard error of the fit itself: too small, for neighboring pixels correlate.",
}
#: By whether measurement and prediction differ by no more than the 95 % interval and the method's bound.
AGREEMENT = {
    True: ("Measured and predicted distance agree within the errors.",),
    False: ("Measured and predicted distance differ by more than the errors.",),
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first cell of a row names it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def make_tables(document: Document) -> tuple[Table, ...]:
    """Make the tables of one map's document, as `workflows.map_report` makes it."""
    tables = [star_table(document), ring_table(document), gaussian_table(document["gaussian"])]
    tables += [extent_table(document["extent"]), reach_table(document["extent"])]
    tables += [pattern_table(document["pattern"]), prediction_table(document["prediction"])]
    tables += [map_table(document["map"]), convergence_table(document["convergence"])]
    return tuple(table for table in tables if table.rows)


def overview_table(documents: Iterable[Document]) -> Table:
    """Set several maps side by side, one a row."""
    header = (
        "map", "network, weights, data", "pattern", "center to center", "predicted", "relative error",
        "σx", "σy", "rates to use",
    )  # fmt: skip
    return Table("Overview", header, tuple(map(_overview_row, documents)))


def _overview_row(document: Document) -> tuple[str, ...]:
    star, fit = document["star"], document["gaussian"]
    return (
        document["file"],
        document["subtitle"],
        document["pattern"]["pattern"],
        with_error(star["center_to_center_px"], star["center_to_center_stderr_px"], "px"),
        number(star["predicted_center_to_center_px"], "px"),
        percent(star["relative_error"]),
        _parameter(fit, "sigma_x_px", "px"),
        _parameter(fit, "sigma_y_px", "px"),
        listed(document["advice"]["rates"]),
    )


def star_table(document: Document) -> Table:
    """Set measured lengths beside predicted ones."""
    star, predicted = document["star"], document["prediction"]
    rows = [("pattern", star["pattern"], predicted.get("pattern") or NOTHING, "")]
    for name, key, stderr, expected in STAR_ROWS:
        measured = with_error(star[key], star[stderr] if stderr else None, "px")
        beside = number(predicted.get(expected), "px") if expected else ""
        error = percent(star["relative_error"]) if key == "center_to_center_px" else ""
        rows.append((name.format(**star), measured, beside, error))
    score = f"{star['score']:.2f} ({star['threshold']:.2f})"
    rows += [
        ("95 % interval, center to center", interval(star["center_to_center_interval95_px"]), "", ""),
        ("center (y, x)", point(star["center"]), point(predicted.get("projected_center")), ""),
        ("score (threshold)", score, "", ""),
    ]
    known = tuple(row for row in rows if row[1] != NOTHING or row[2] not in ("", NOTHING))
    errors = ("± is one standard error of the image sampling.",) if star["center_to_center_stderr_px"] else ()
    notes = (*errors, *AGREEMENT.get(star["within_errors"], ()), *map(_sentence, star["prediction_flags"]))
    return Table("Star", ("", "measured", "predicted", "relative error"), known, notes)


def _sentence(flag: str) -> str:
    return f"{flag[0].upper()}{flag[1:]}."


def ring_table(document: Document) -> Table:
    """Each measured ring, with the rate that predicts it, and predicted rings that weren't found."""
    star = document["star"]
    predicted = {ring["measured_distance_px"]: ring for ring in star["predicted_rings"]}
    rows = [_ring_row(ring, predicted.get(ring["distance_px"])) for ring in star["rings"]]
    rows += [_ring_row({}, ring) for ring in star["predicted_rings"] if ring["measured_distance_px"] is None]
    header = ("ring", "rate", "measured", "predicted", "relative error", "blobs inside", "share of the map")
    numbered = tuple((str(place), *row) for place, row in enumerate(rows, 1))
    return Table("Rings", header, numbered)


def _ring_row(ring: Document, predicted: Document | None) -> tuple[str, ...]:
    predicted = predicted or {}
    share = ring.get("mass_share")
    missing = "not found" if predicted.get("in_map", True) else "outside the map"
    return (
        str(predicted.get("rate", NOTHING)),
        with_error(ring["distance_px"], ring["stderr_px"], "px") if ring else missing,
        number(predicted.get("predicted_distance_px"), "px"),
        percent(predicted.get("relative_error")),
        str(ring.get("blobs_inside", NOTHING)),
        percent(share, places=1, sign=False),
    )


def gaussian_table(fit: Document) -> Table:
    """Set the fit beside the study's protocol."""
    both = (fit, fit["study"])
    rows = [(name, *(_parameter(each, key, unit) for each in both)) for name, key, unit in GAUSSIAN_ROWS]
    for name, key in (("R²", "r_squared"), ("R², smoothed", "r_squared_smoothed")):
        rows.append((name, *(f"{each[key]:.3f}" for each in both)))
    shifts = (point(each["shift_from_projected_center"], sign=True) for each in both)
    rows.append(("shift from the projected center (y, x)", *shifts))
    header = ("", f"{fit['model']}, with offset", "the study's protocol: axis-aligned, no offset")
    verdict = fit["asymmetry"]["verdict"]
    errors = STDERR_SOURCES[fit["stderr_source"]].format(groups=fit["groups"])
    return Table("Gaussian", header, tuple(rows), (f"{verdict}.", errors))


def _parameter(fit: Document, key: str, unit: str) -> str:
    return with_error(fit[key], fit["stderr"].get(key), unit)


def extent_table(extent: Document) -> Table:
    """Set the boxes that hold given shares of the mean map beside those of its logarithm."""
    rows = []
    for threshold in extent["side_px"]:
        cells = []
        for kind in (extent, extent["log"]):
            cells.append(with_error(kind["side_px"][threshold], kind["side_stderr_px"][threshold], "px"))
            cells.append(percent(kind["area_ratio"][threshold], places=1, sign=False))
        rows.append((percent(float(threshold), places=0, sign=False), *cells))
    header = ("share of the map", "side", "of the image", "side, log10(1 + map)", "of the image")
    notes = (
        "Smallest square boxes about the projected center that hold a share of the mean map.",
        "Those of its logarithm depend on the gradient's scale.",
    )
    return Table("Extent", header, tuple(rows), notes)


def reach_table(extent: Document) -> Table:
    """List the widths that need no threshold on the whole map."""
    rows = [
        (name, with_error(extent[f"{key}_px"], extent[f"{key}_stderr_px"], "px")) for name, key in REACH_ROWS
    ]
    rows.append(("background", with_error(extent["background"], extent["background_stderr"], "")))
    return Table("Reach", ("", ""), tuple(row for row in rows if row[1] != NOTHING))


def pattern_table(pattern: Document) -> Table:
    """Name the map's pattern, and give every pattern's score."""
    scores = sorted(pattern["scores"].items(), key=lambda item: -item[1])
    rows = tuple((name, f"{score:.2f}") for name, score in scores)
    return Table(f"Pattern: {pattern['pattern']}", ("", "score"), rows)


def prediction_table(predicted: Document) -> Table:
    """List what the network's graph predicts without any image."""
    if not predicted:
        return Table("Predicted from the network's graph", (), ())
    shares = predicted.get("valid_tap_fraction") or ()
    taps = (percent(share, places=0, sign=False) for share in shares)
    rows = [
        ("output stride", number(predicted.get("output_stride"))),
        ("stride of the map that the atrous convolutions read", number(predicted.get("read_stride"))),
        ("rates", listed(predicted.get("rates"))),
        ("share of each rate's taps inside the map", ", ".join(taps) or NOTHING),
        ("positions read", str(len(predicted.get("lattice") or ())) if predicted.get("lattice") else NOTHING),
        ("theoretical receptive field", sides(predicted.get("theoretical_rf_px"))),
        ("the same without global branches", sides(predicted.get("theoretical_rf_without_global_px"))),
        ("r* for the map's shorter side", number(predicted.get("recommended_rate"), places=2)),
    ]
    known = tuple(row for row in rows if row[1] != NOTHING)
    return Table("Predicted from the network's graph", ("", ""), known)


def map_table(facts: Document) -> Table:
    """Size, images and weight of the map."""
    masses = facts["masses"] or {}
    largest = percent(masses.get("largest_share"), places=1, sign=False)
    rows = [
        ("size", sides(facts["size"])),
        ("projected center (y, x)", point(facts["projected_center"])),
        ("images", number(facts["images"], places=0)),
        ("images skipped", str(facts["images_skipped"])),
        ("effective number of images", number(masses.get("effective"))),
        ("largest image's share of the gradient mass", largest),
        ("groups of images (replicates)", str(facts["replicates"])),
        ("formula, target", f"{facts['formula']}, {facts['target']}"),
        ("sum over images and pixels", f"{facts['sum']:.6g}"),
        ("peak", f"{facts['peak']:.6g}"),
    ]
    return Table("Map", ("", ""), tuple(row for row in rows if row[1] != NOTHING))


def convergence_table(convergence: Document | None) -> Table:
    """Tell how well the map is known, and was at each check of a run with `--until`."""
    if convergence is None:
        return Table("Error against images", (), ())
    checks = convergence["checks"]
    rows = [
        (
            f"{check['images']:,}",
            percent(check["map_error"], sign=False),
            percent(check["arm_error"], sign=False),
            with_error(check["center_to_center_px"], check["center_to_center_stderr_px"], "px"),
        )
        for check in checks
    ]
    header = ("images", "the map's error", "the worst ring's", "center to center")
    columns = 2 if all(check["pattern"] == "none" for check in checks) else 4
    notes = (
        convergence["sentence"],
        "The map's error is the L1 norm of its standard error (jackknife over the groups of images) over "
        f"its own, both smoothed over {checks[-1]['smoothing_px']:.0f} px.",
    )
    return Table("Error against images", header[:columns], tuple(row[:columns] for row in rows), notes)


def provenance_table(provenance: Document) -> Table:
    """One fact a row, nested ones as `weights.source`; long lists by their length."""
    rows = tuple((name, str(value)) for name, value in _facts(provenance, ""))
    return Table("Provenance", ("", ""), rows)


def _facts(facts: Document, prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if name in NOT_PROVENANCE or value is None or value in ("", [], {}):
            continue
        if isinstance(value, Mapping):
            yield from _facts(value, f"{name}.")
        elif isinstance(value, list) and (len(value) > LONGEST_LIST or isinstance(value[0], Mapping)):
            yield name, f"{len(value)} entries"
        elif isinstance(value, list):
            yield name, listed(value)
        else:
            yield name, value
