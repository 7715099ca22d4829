"""What the measured and the predicted star mean for the choice of atrous rates, in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from erfscope.theory import END_TO_END_MARGIN_PX, fit_rates

SAME_STAR = 0.05  # relative difference up to which a measured star passes for the predicted one


@dataclass(frozen=True)
class Crop:
    """Side of the training crop in px, and where that number is from."""

    side: int
    source: str


@dataclass(frozen=True)
class Advice:
    """What to do about the rates.

    Attributes
    ----------
    text
        One or two sentences: what is read, what the crop is, which rates to use, or why none are advised.
    notes
        What must be known beside it.
    rate, rates
        The exact base rate r*, and the rates to use; None where none are advised.
    """

    text: str
    notes: tuple[str, ...] = ()
    rate: float | None = None
    rates: tuple[int, ...] | None = None

    def summary(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def advise(predicted: Mapping[str, Any], star: Mapping[str, Any], crop: Crop) -> Advice:
    """Say which atrous rates suit a crop: r* = (L − 32) / (6 s) for r, 2r, 3r, (L − 32) / (4 s) for a grid.

    Parameters
    ----------
    predicted
        Summary of a `FovPrediction`, or an empty mapping.
    star
        Summary of a `StarMeasurement`, with its comparison with the prediction.
    crop
        What the network is trained on.
    """
    if predicted.get("pattern") in ("star", "grid") and predicted.get("center_to_center_px"):
        return _by_prediction(predicted, star, crop)
    if predicted.get("pattern") == "none":
        return _without_atrous_head(star)
    if star["pattern"] == "none":
        reason = "the file holds no prediction of the network's, and no star was found in the map"
        return Advice(f"No rate is to be advised: {reason} {_score(star)}.")
    return _by_measurement(star, crop)


def _by_prediction(predicted: Mapping[str, Any], star: Mapping[str, Any], crop: Crop) -> Advice:
    across, rates, stride = (
        predicted["center_to_center_px"],
        tuple(predicted["rates"]),
        predicted["read_stride"],
    )
    notes = (_crop_note(crop), *_agreement(predicted, star))
    reads = f"This network reads {_reads(across)}"
    if predicted["pattern"] == "grid" and len(set(rates)) > 1:
        text = f"{reads}. No rate is to be advised: no formula holds for unlike atrous convolutions in a row."
        return Advice(text, notes)
    exact, advised = fit_rates(rates, across, crop.side)
    if not advised:
        small = f"no atrous rate at stride {stride:g} is small enough (r* = {exact:.2f})"
        remedy = "let them read a map of smaller stride, or train on larger crops"
        return Advice(f"{reads}; your crop is {crop.side} px: {small}; {remedy}.", notes, exact)
    too_large = across + END_TO_END_MARGIN_PX > crop.side
    size = ", more than your crop of" if too_large else "; your crop is"
    step = "keep" if advised == rates else ("use the smaller" if max(advised) < max(rates) else "use")
    text = f"{reads}{size} {crop.side} px: {step} {_named(advised)} at stride {stride:g}."
    return Advice(text, (*notes, f"Exactly, r* = {exact:.2f}."), exact, advised)


def _by_measurement(star: Mapping[str, Any], crop: Crop) -> Advice:
    """Advise a factor, for a star tells its width but neither rates nor stride."""
    across = star["center_to_center_px"]
    factor = (crop.side - END_TO_END_MARGIN_PX) / across
    reads = f"This network reads {_reads(across)}, as measured; your crop is {crop.side} px"
    if factor <= 0:
        return Advice(f"{reads}, too small for any atrous rate.", (_crop_note(crop),))
    unknown = "The file doesn't tell the network's rates and their stride; hence a factor, and no rates."
    return Advice(f"{reads}: multiply your atrous rates by {factor:.2f}.", (_crop_note(crop), unknown))


def _without_atrous_head(star: Mapping[str, Any]) -> Advice:
    if star["pattern"] == "none":
        found = f"and no star was found in the map {_score(star)}"
        return Advice(f"No rate is to be advised: the network's head has no atrous convolutions, {found}.")
    found = f"the map holds what looks like a {star['pattern']} {star['center_to_center_px']:.0f} px wide"
    return Advice(
        f"No rate is to be advised: by its graph the network's head has no atrous convolutions, yet {found}.",
        ("Check that map and network belong together.",),
    )


def _agreement(predicted: Mapping[str, Any], star: Mapping[str, Any]) -> tuple[str, ...]:
    """Say whether the map shows what the graph predicts."""
    if star["pattern"] == "none":
        return (f"These numbers are predicted: no star was found in the map itself {_score(star)}.",)
    notes = []
    if star["pattern"] != predicted["pattern"]:
        notes.append(f"The map shows a {star['pattern']}, but a {predicted['pattern']} is predicted.")
    error = star.get("relative_error")
    if error is not None and abs(error) > SAME_STAR:
        notes.append(
            f"The map shows {star['center_to_center_px']:.0f} px from center to center, {abs(error):.0%} "
            f"{'more' if error > 0 else 'less'} than predicted: find out why before you trust either."
        )
    return tuple(notes)


def _reads(across: float) -> str:
    whole = across + END_TO_END_MARGIN_PX
    return f"{whole:.0f} px (center to center {across:.0f} px plus {END_TO_END_MARGIN_PX:.0f} px)"


def _named(rates: tuple[int, ...]) -> str:
    if len(set(rates)) == 1:
        return f"rate {rates[0]}"
    return f"base rate {min(rates)} ({', '.join(map(str, rates))})"


def _score(star: Mapping[str, Any]) -> str:
    return f"(score {star['score']:.2f}, threshold {star['threshold']:.2f})"


def _crop_note(crop: Crop) -> str:
    return f"The crop of {crop.side} px is {crop.source}."
