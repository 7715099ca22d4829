"""The numbers of reference maps don't drift."""

import json

import pytest
from ledger.reference_maps import LEDGER, ROWS, TOLERANCES, measure

KNOWN = json.loads(LEDGER.read_text())


def test_the_ledger_holds_every_row():
    assert list(KNOWN["rows"]) == list(ROWS)
    assert KNOWN["tolerances"] == TOLERANCES


def agree(found, expected, tolerance):
    if found is None or expected is None:
        return found is expected
    return found == pytest.approx(expected, rel=tolerance, abs=0)


@pytest.mark.parametrize("name", ROWS)
def test_no_number_drifts(name, predicted_from_it):
    expected, found = KNOWN["rows"][name], measure(ROWS[name])
    assert found.keys() == expected.keys()
    drifted = [
        f"{name}: {number} is {found[number]}, not {value} within {TOLERANCES[number]:g}"
        for number, value in expected.items()
        if not agree(found[number], value, TOLERANCES[number])
    ]
    assert not drifted, "\n".join(drifted)
