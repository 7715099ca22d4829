"""Which cases of a parametrized test `make test` runs."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

#: The catalog's networks for which `make test` runs what `make test-rest` runs for all.
NETWORKS = ("fcn", "deeplabv3", "deeplabv3plus", "pspnet", "upernet", "setr-aspp", "unet-aspp", "nonlocal")


def representatives(cases: Iterable[Any], chosen: Collection[Any]) -> list[Any]:
    """Mark the cases of a parametrization: `make test` runs those chosen, `make test-rest` the others.

    Each of `chosen` must be a case, so that a case which is renamed doesn't drop out of `make test` unseen.
    """
    cases = list(cases)
    unknown = [case for case in chosen if case not in cases]
    assert not unknown, f"no cases: {unknown}"
    marks = (pytest.mark.slow, pytest.mark.representative)
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks[case in chosen])
        for case in cases
    ]
