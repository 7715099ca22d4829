"""Compares a measured star with what the network's graph predicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erfscope.errors import MapError
from erfscope.measure.lattice.cells import reach
from erfscope.records.erf_map import ErfMap
from erfscope.records.flags import Flag, flag_fields
from erfscope.records.star import StarMeasurement
from erfscope.store.read import read_map
from erfscope.workflows.measurements import measure_star


def measure_star_file(file: Path, network: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Measure the star of a map file; beside it, in fields of their own, the prediction.

    Parameters
    ----------
    network
        Arguments of `load_model` for the network to predict from; None takes the prediction that was
        recorded when the map was computed, if there is one.

    Raises
    ------
    MapError
        The file can't be read, or a network is given for the map of a layer's unit.
    """
    erf = read_map(file)
    star = measure_star(erf)  # sees the array, the center and the replicates only
    predicted = recorded_prediction(erf) if network is None else _predict(erf, network)
    return {
        "file": str(file),
        **star.summary(),
        **compare_to_prediction(star, predicted, reach(erf.size, erf.projected_center)),
    }


def recorded_prediction(erf: ErfMap) -> Mapping[str, Any]:
    """Return the summary of the prediction that was made when the map was computed, empty without one."""
    return erf.provenance.get("prediction") or {}


def compare_to_prediction(
    star: StarMeasurement, predicted: Mapping[str, Any], farthest: float
) -> dict[str, Any]:
    """Compare center-to-center distances, and each ring with the nearest predicted one.

    Parameters
    ----------
    predicted
        A `FovPrediction`'s summary, or an empty mapping.
    farthest
        From the unit's projected center to the map's farthest border, px.

    Returns
    -------
    dict
        predicted_pattern, predicted_center_to_center_px; relative_error = (measured − predicted) /
        predicted; within_errors: whether the two differ by no more than the 95 % interval and the systematic
        bound together; predicted_rings: rate, predicted and measured distance and relative error of each
        ring of a star, None where nothing was measured nearby, and whether it lies in the map. Where the
        outermost ring doesn't, the two center-to-center distances are those of different rings, and are not
        compared: `prediction_flags` says so, with `prediction_flag_codes`. All None or empty without a
        prediction.
    """
    distance, measured = predicted.get("center_to_center_px"), star.center_to_center_px
    inside = distance is not None and distance / 2 <= farthest
    compared = distance if inside else None
    error = (measured - compared) / compared if compared and measured is not None else None
    message = "the outermost predicted ring lies outside the map: compare ring by ring"
    flags = [Flag("predicted_ring_outside_map", message)] if distance is not None and not inside else []
    return {
        "predicted_pattern": predicted.get("pattern"),
        "predicted_center_to_center_px": distance,
        "relative_error": error,
        "within_errors": None if compared is None else _agree(star, compared),
        "predicted_rings": _rings(star, predicted, farthest),
        **flag_fields(flags, "prediction_"),
    }


def _agree(star: StarMeasurement, predicted: float) -> bool | None:
    if star.center_to_center_interval95_px is None or star.systematic_px is None:
        return None
    low, high = star.center_to_center_interval95_px
    return low - star.systematic_px <= predicted <= high + star.systematic_px


def _rings(star: StarMeasurement, predicted: Mapping[str, Any], farthest: float) -> list[dict[str, Any]]:
    if predicted.get("pattern") != "star" or not predicted.get("read_stride"):
        return []
    expected = [rate * float(predicted["read_stride"]) for rate in predicted["rates"]]
    found = [ring.distance_px for ring in star.rings]
    rings = []
    for rate, distance in zip(predicted["rates"], expected, strict=True):
        near = _nearest(distance, expected, found)
        error = None if near is None else (near - distance) / distance
        rings.append(
            {
                "rate": rate,
                "predicted_distance_px": distance,
                "measured_distance_px": near,
                "relative_error": error,
                "in_map": distance <= farthest,
            }
        )
    return rings


def _nearest(distance: float, expected: Sequence[float], found: Sequence[float]) -> float | None:
    """Return the nearest found ring that lies nearer to this distance than to any other expected one."""
    mine = [ring for ring in found if min(expected, key=lambda each: abs(each - ring)) == distance]
    return min(mine, key=lambda ring: abs(ring - distance), default=None)


def _predict(erf: ErfMap, network: Mapping[str, Any]) -> Mapping[str, Any]:
    from erfscope.workflows.predict_fov import predict_file  # torch only where a network is wanted

    if erf.unit.layer is not None:
        raise MapError("this map's unit belongs to a layer; measure it without --model")
    unit = (erf.unit.y, erf.unit.x)
    return predict_file(network=network, size=erf.size, unit=unit).summary()
