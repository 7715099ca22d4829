"""Shards of a map made one: exact, in whichever order they come."""

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

# Batches are as large as the memory of a shard's device has it: a matter of rounding.
_MAY_DIFFER = ("shard", "batch_size")
_MOST_NAMED = 20


def merge_files(paths: Sequence[Path], *, partial: bool = False) -> ErfMap:
    """Merge map files, of which two at a time are held in memory; see `merge_maps`.

    Raises
    ------
    MapError
        A file can't be read, besides.
    """

    def order(path: Path) -> tuple[int, int, str]:
        found = read_progress(path)
        shard = found.shard if found else WHOLE
        return shard.index, shard.count, str(path)

    return _merge(((str(path), read_map(path)) for path in sorted(paths, key=order)), partial=partial)


def merge_maps(maps: Iterable[ErfMap], *, partial: bool = False) -> ErfMap:
    """Add up maps of disjoint parts of one image list, in the order of their shards, however they are given.

    Parameters
    ----------
    maps
        Made by `compute_erf` or `erfscope compute` with the same network, weights, images and options, each
        with another `shard`; or merged ones, in which some are missing.
    partial
        Take what there is where images are missing; the map is then unfinished, and can be merged again.

    Returns
    -------
    ErfMap
        As if one process had computed it: in float64 to some 1e-16 of the peak.

    Raises
    ------
    MapError
        Images are in two of them or, unless `partial`, in none, or what decides the numbers differs.
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
class _Part:
    """What is remembered of a map that was added: all but its arrays."""

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
        self.parts = [_part(name, first)]
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
        self.parts.append(_part(name, erf))

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
        """Name the shards that are missing or unfinished, else count the images; empty if it is whole."""
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
        """Tell of the whole: all sessions, and of which files it was made."""
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
        raise MapError(
            f"{name} doesn't tell which images it holds, of which network; merge maps of 'erfscope compute'"
        )
    return identity


def _arrays(erf: ErfMap) -> list[NDArray[np.float64]]:
    """Return sums, in float64, that may be added to."""
    arrays = (erf.erf, erf.gradient_sum, erf.gradient_square_sum, erf.replicates)
    return [np.array(array, np.float64) for array in arrays if array is not None]


def _part(name: str, erf: ErfMap) -> _Part:
    told = erf.provenance
    return _Part(
        name, erf.shard, erf.finished, erf.images or 0, erf.records, tuple(told["sessions"]), told["versions"]
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
