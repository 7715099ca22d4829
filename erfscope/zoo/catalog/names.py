"""Names that people type, and the ones they may have meant."""

import difflib
from collections.abc import Iterable

from erfscope.errors import NetworkError


def known(kind: str, name: str, names: Iterable[str]) -> str:
    """Return the name if it is one of `names`; else `NetworkError` suggests the nearest."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    raise NetworkError(f"no {kind} is called {name!r}; {hint} ('erfscope models' lists all)")
