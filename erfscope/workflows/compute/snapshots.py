"""Keeps a run's unfinished map in its file, now and then and when a signal comes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.store.write import write_map
from erfscope.system.file_lock import Hold
from erfscope.system.signals import Stop


class Snapshots:
    """The keeper of a run whose map is in a file.

    Parameters
    ----------
    path, hold
        The map file, which is always complete: sums and the images in them are replaced together; and the
        lock on it.
    stop
        Ends the run when it turns true; its last words become a last snapshot.
    seconds, images
        Time and number of images between snapshots; `images` None: time alone.
    """

    def __init__(self, path: Path, hold: Hold, stop: Stop, seconds: float, images: int | None) -> None:
        self.path, self.hold, self.stop, self.seconds, self.images = path, hold, stop, seconds, images
        self._writing = threading.Lock()
        self._saved_at, self._saved_images = time.monotonic(), 0

    def begin(self, take: Callable[[], ErfMap], images: int) -> None:
        """Begin with `images` already in the map, which `take` returns at any time."""
        self._take, self._saved_images = take, images
        self._saved_at = time.monotonic()
        self.stop.on_deadline.append(self._save)

    def ends(self, images: int) -> bool:
        """Save if it is time to, or if a signal came, and then end the run."""
        waited = time.monotonic() - self._saved_at
        enough = self.images is not None and images - self._saved_images >= self.images
        if self.stop or waited >= self.seconds or enough:
            self._save()
        return bool(self.stop)

    def _save(self) -> None:
        """Write the map as it stands, unless the file holds it already."""
        with self._writing:
            erf = self._take()
            if len(erf.records) != self._saved_images:
                self._write(erf)
            self._saved_at = time.monotonic()

    def finish(self, erf: ErfMap) -> None:
        """Replace the file by the finished map, which no last snapshot of another thread replaces.

        Raises
        ------
        MapError
            It can't be written, or isn't ours any more; the last snapshot stays.
        """
        with self._writing:
            self._write(erf)

    def _write(self, erf: ErfMap) -> None:
        self.hold.check()
        try:
            write_map(erf, self.path, overwrite=True)
        except MapError as error:
            kept = f"; {self.path} keeps {self._saved_images} images, and --resume goes on from there"
            raise MapError(f"{error}{kept if self._saved_images else ''}") from error
        self._saved_at, self._saved_images = time.monotonic(), len(erf.records)
