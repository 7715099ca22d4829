"""Compares the identities of two runs: the facts that decide a map's numbers, by name."""

from collections.abc import Iterable, Mapping
from typing import Any

_SHA256_DIGITS = 64


def difference(before: Mapping[str, Any], now: Mapping[str, Any], but: Iterable[str] = ()) -> str | None:
    """Say what differs between two identities, as "formula paper, not luo2016"; None if nothing does.

    Parameters
    ----------
    before, now
        Facts by name, of the earlier and of the present run.
    but
        Names that may differ.
    """
    names = [name for name in {**before, **now} if name not in but and before.get(name) != now.get(name)]
    texts = [f"{name} {_short(before.get(name))}, not {_short(now.get(name))}" for name in names]
    return "; ".join(texts) or None


def _short(value: Any) -> str:
    text = str(value)
    is_hash = len(text) == _SHA256_DIGITS and " " not in text
    return f"{text[:12]}…" if is_hash else text
