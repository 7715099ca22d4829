"""Whether two maps, or parts of one, are of the same run: what decides their numbers, name by name."""

from collections.abc import Iterable, Mapping
from typing import Any

_SHA256_DIGITS = 64


def difference(before: Mapping[str, Any], now: Mapping[str, Any], but: Iterable[str] = ()) -> str | None:
    """Name what differs, None if nothing does: "formula paper, not luo2016"."""
    names = [name for name in {**before, **now} if name not in but and before.get(name) != now.get(name)]
    told = [f"{name} {_short(before.get(name))}, not {_short(now.get(name))}" for name in names]
    return "; ".join(told) or None


def _short(value: Any) -> str:
    text = str(value)
    is_hash = len(text) == _SHA256_DIGITS and " " not in text
    return f"{text[:12]}…" if is_hash else text
