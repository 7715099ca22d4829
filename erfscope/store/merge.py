"""Merge the shards of a map, in any order, to the map that one process would have computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap, ImageRecord
from erfscope.records.identity import difference
from erfscope.records.shard import WHOLE, Shard
from erfscope.store.read import read_map, read_progress

# The batch size may depend on the memory of a shard's device; it only changes rounding.
_MAY_DIFFER = ("shard", "batch_size")
_MOST_NAMED = 20


def merge_files(paths: Sequence[Path], *, partial: bool = False) -> ErfMap:
    """Merge map files as `merge_maps` merges maps, with two at a time in memory.

    Raises
    ------
    MapError
        A file can't be read, or as `merge_maps`.
    """

    def order(path: Path) -> tuple[int, int, str]:
        found = read_progress(path)
        shard = found.shard if found else WHOLE
        return shard.index, shard.count, str(path)

    return _merge(((str(path), read_map(path)) for path in sorted(paths, key=order)), partial=partial)


def merge_maps(maps: Iterable[ErfMap], *, partial: bool = False) -> ErfMap:
    """Merge the shards of a map, given in any order, to the map that one process would have computed.

    Parameters
    ----------
    maps
        Maps of (H, W) px of `compute_erf` or `erfscope compute`, of the same network, weights, images and
        options, each with another `shard`; or partial merges of them. The images of no two may overlap.
    partial
        Merge what there is if images are missing; the map is then unfinished, and can be merged again.

    Returns
    -------
    ErfMap
        With the sums of `erf`, `gradient_sum` and `gradient_square_sum`, each (H, W) float64, and of
        `replicates`, (G, H, W). The sums are added in the order of the shards; they differ from those of one
        process by rounding alone, some 1e-16 of the peak.

    Raises
    ------
    MapError
        Images are in two maps or, unless `partial`, in none; an option that decides the numbers differs; or
        a map doesn't record its images.

    Examples
    --------
    >>> import erfscope, torch
    >>> network = torch.nn.Conv2d(3, 2, kernel_size=5, padding=2)
    >>> images = [torch.rand(3, 17, 17) for _ in range(4)]
    >>> shards = [erfscope.compute_erf(network, images, shard=(index, 2)) for index in range(2)]
    >>> [shard.images for shard in shards]
    [2, 2]
    >>> erf = erfscope.merge_maps(shards)
    >>> erf.images, erf.finished
    (4, True)
    """
    ordered = sorted(maps, key=lambda erf: (erf.shard.index, erf.shard.count))
    return _merge(((f"map {place}", erf) for place, erf in enumerate(ordered, 1)), partial=partial)


def _merge(maps: Iterable[tuple[str, ErfMap]], *, partial: bool) -> ErfMap:
    merger: _Merger | None = None
    for name, erf in maps:
        if merger is None:
            merger = _Merger(name, erf)
        else:
            merger.add(name, erf)
    if merger is None:
        raise MapError("there are no maps to merge; name the files of the shards")
    return merger.result(partial=partial)


@dataclass(frozen=True)
class _AddedMap:
    """A map that was added, without its arrays."""

    name: str
    shard: Shard
    finished: bool
    images: int
    records: tuple[ImageRecord, ...]
    sessions: tuple[dict[str, Any], ...]
    versions: dict[str, str]


class _Merger:
    """Adds one map after another to the first."""

    def __init__(self, name: str, first: ErfMap) -> None:
        self.identity = _identity(name, first)
        self.first = replace(
            first, erf=np.zeros((1, 1)), gradient_sum=None, gradient_square_sum=None, replicates=None
        )
        self.sums = _arrays(first)
        self.parts = [_without_arrays(name, first)]
        self.owners = {record.index: name for record in first.records}

    def add(self, name: str, erf: ErfMap) -> None:
        different = difference(self.identity, _identity(name, erf), but=_MAY_DIFFER)
        if different:
            raise MapError(
                f"{name} is of another run than {self.parts[0].name}: {different}; merge shards of one run"
            )
        twice = [record for record in erf.records if record.index in self.owners]
        if twice:
            raise MapError(
                f"{name} holds {len(twice)} images that {self.owners[twice[0].index]} holds too, "
                f"{twice[0].name} first; leave one of the two out"
            )
        for total, array in zip(self.sums, _arrays(erf), strict=True):
            total += array
        self.owners.update((record.index, name) for record in erf.records)
        self.parts.append(_without_arrays(name, erf))

    def result(self, *, partial: bool) -> ErfMap:
        missing = self._missing()
        if missing and not partial:
            raise MapError(f"{missing}; compute the rest, or take what there is with --partial")
        erf, gradient_sum, gradient_square_sum, *replicates = self.sums
        records = [record for part in self.parts for record in part.records]
        return replace(
            self.first,
            erf=erf,
            gradient_sum=gradient_sum,
            gradient_square_sum=gradient_square_sum,
            replicates=replicates[0].astype(np.float64 if missing else np.float32) if replicates else None,
            images=sum(part.images for part in self.parts),
            records=tuple(sorted(records, key=lambda record: record.index)),
            provenance=self._provenance(),
            images_total=self.first.images_total if missing or self.first.images_total else len(records),
            shard=WHOLE,
            finished=not missing,
        )

    def _missing(self) -> str:
        """Describe missing or unfinished shards, else missing images; "" if nothing is missing."""
        counts = {part.shard.count for part in self.parts}
        unfinished = [part for part in self.parts if not part.finished]
        if len(counts) == 1 and counts != {1}:
            (count,) = counts
            gone = sorted(set(range(count)) - {part.shard.index for part in self.parts})
            told = [f"shard {_listed([f'{index}/{count}' for index in gone])} is missing"] if gone else []
            told += [f"{part.name} is unfinished ({len(part.records)} images)" for part in unfinished]
            return "; ".join(told)
        images_total = self.first.images_total
        gone = (
            []
            if images_total is None
            else [place for place in range(images_total) if place not in self.owners]
        )
        if gone or images_total is None:
            return f"{len(gone) if gone else 'an unknown number'} of {images_total} images are missing"
        return ""

    def _provenance(self) -> dict[str, Any]:
        """Return the provenance of the merged map: all sessions, and the maps that it was merged from."""
        sessions = [session for part in self.parts for session in part.sessions]
        seconds = sum(session["seconds"] for session in sessions)
        merged = [
            {"file": part.name, "shard": str(part.shard), "images": part.images, "versions": part.versions}
            for part in self.parts
        ]
        return {
            **self.first.provenance,
            "started": min(session["started"] for session in sessions),
            "seconds": seconds,
            "images_per_second": sum(part.images for part in self.parts) / seconds,
            "sessions": sessions,
            "merged": merged,
            "options": self.first.provenance["options"] | {"shard": str(WHOLE)},
            "identity": self.identity | {"shard": str(WHOLE)},
        }


def _identity(name: str, erf: ErfMap) -> dict[str, Any]:
    identity = erf.provenance.get("identity")
    if not isinstance(identity, dict) or not erf.records:
        raise MapError(f"{name} doesn't record its images and network; merge maps of 'erfscope compute'")
    return identity


def _arrays(erf: ErfMap) -> list[NDArray[np.float64]]:
    """Return copies of the sums, in float64, to add to."""
    arrays = (erf.erf, erf.gradient_sum, erf.gradient_square_sum, erf.replicates)
    return [np.array(array, np.float64) for array in arrays if array is not None]


def _without_arrays(name: str, erf: ErfMap) -> _AddedMap:
    told = erf.provenance
    return _AddedMap(
        name, erf.shard, erf.finished, erf.images or 0, erf.records, tuple(told["sessions"]), told["versions"]
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
