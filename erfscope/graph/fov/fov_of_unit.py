"""Predicts the field of view of one unit from a captured network."""

from dataclasses import replace

import numpy as np

from erfscope.graph.access import Mask
from erfscope.graph.access_graph import AccessGraph
from erfscope.graph.fov.atrous import AtrousHead, find_atrous_head
from erfscope.graph.fov.lattice import Lattice, find_lattice, locate_unit
from erfscope.graph.fov.places import place_cells
from erfscope.graph.fov.receptive_field import local_receptive_field, receptive_field
from erfscope.records.flags import Flag
from erfscope.records.fov_prediction import FovPrediction
from erfscope.records.unit import Unit
from erfscope.theory import END_TO_END_MARGIN_PX, fit_rates


def predict_fov_of_unit(
    graph: AccessGraph, unit: Unit, model: str, *, receptive_fields: bool
) -> FovPrediction:
    """Predict the unit's center in the image, the positions that it reads, and its receptive field.

    Parameters
    ----------
    graph
        The network up to the map in which the unit lies.
    model
        The network's name, for the record.
    receptive_fields
        Whether to find the receptive fields too, which takes a second or two.
    """
    places = place_cells(graph)
    *_, height, width = graph.image.meta["val"].shape
    at = (unit.y, unit.x)
    center = locate_unit(graph, places, at)
    prediction = FovPrediction(
        model=model,
        size=(height, width),
        unit=unit,
        pattern="none",
        output_stride=places[graph.output].deepest if center else None,
        projected_center=center,
    )
    head = find_atrous_head(graph, places)
    if head is not None and center is not None and head.source in places:
        own = place_cells(graph, coarsest=False)[head.source]
        prediction = _with_lattice(prediction, head, find_lattice(graph, head, own, center))
    if receptive_fields:
        seen, local = receptive_field(graph, at), local_receptive_field(graph, at, places)
        prediction = replace(
            prediction,
            theoretical_rf_px=_extent(seen),
            theoretical_rf_without_global_px=_extent(local),
            receptive_field=seen,
            receptive_field_without_global=local,
        )
    return replace(prediction, flags=_flags(prediction))


def _with_lattice(prediction: FovPrediction, head: AtrousHead, lattice: Lattice) -> FovPrediction:
    order = list(range(len(head.convolutions)))
    if not head.in_a_row:
        order.sort(key=lambda i: head.convolutions[i].rate)
    rates = tuple(head.convolutions[i].rate for i in order)
    width = float(np.ptp(lattice.offsets, axis=0).max()) * lattice.stride
    proportional = not head.in_a_row or len(set(rates)) == 1
    rate, recommended = fit_rates(rates, width, min(prediction.size)) if proportional else (None, None)
    return replace(
        prediction,
        pattern="grid" if head.in_a_row else "star",
        read_stride=lattice.stride,
        rates=rates,
        lattice=tuple((float(dy), float(dx)) for dy, dx in lattice.offsets[lattice.inside] * lattice.stride),
        center_to_center_px=width,
        end_to_end_convention_px=width + END_TO_END_MARGIN_PX,
        valid_tap_fraction=tuple(lattice.fractions[i] for i in order),
        valid_tap_fraction_map=tuple(lattice.map_fractions[i] for i in order),
        recommended_rate=rate,
        recommended_rates=recommended or None,
    )


def _extent(mask: Mask) -> tuple[int, int] | None:
    """Return the height and width that the True pixels span; None if there are none."""
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def _flags(prediction: FovPrediction) -> tuple[Flag, ...]:
    """Say what must be known to use the prediction."""
    flags = []
    read, deepest, rate = prediction.read_stride, prediction.output_stride, prediction.recommended_rate
    if read and deepest and rate is not None and round(deepest / read) > 1:
        message = (
            f"the atrous convolutions read a map of stride {read:g}, not the network's deepest of "
            f"{deepest:g}, by which r* would be {rate * read / deepest:.2f}"
        )
        flags.append(Flag("shallower_stride", message))
    if rate is not None and prediction.recommended_rates is None:
        message = f"no atrous rate is small enough for {min(prediction.size)} px: r* = {rate:.2f}"
        flags.append(Flag("no_rate_small_enough", message))
    outside = [
        f"{rate}"
        for rate, fraction in zip(prediction.rates, prediction.valid_tap_fraction, strict=True)
        if fraction < 1
    ]
    if outside:
        message = f"taps of rate {', '.join(dict.fromkeys(outside))} fall outside the map at this size"
        flags.append(Flag("taps_outside_map", message))
    if prediction.rates and len(set(prediction.size)) > 1:
        flags.append(Flag("rates_for_shorter_side", "the recommended rates are for the shorter side"))
    return tuple(flags)
