"""Saves a run's unfinished map in its file, now and then and when a signal comes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from erfscope.errors import MapError
from erfscope.records.erf_map import ErfMap
from erfscope.store.write import write_map
from erfscope.system.file_lock import Hold
from erfscope.system.signals import Stop


class SnapshotWriter:
    """Saves a run's map as it grows, and ends the run when a signal comes.

    Parameters
    ----------
    path, hold
        The map file, which is always complete, since sums and the images in them are replaced together; and
        the lock on it.
    stop
        Ends the run when it turns true. If a step takes too long after a signal, the map is saved before the
        process is ended.
    seconds, images
        Time and number of images between snapshots; `images` None: time alone.
    """

    def __init__(self, path: Path, hold: Hold, stop: Stop, seconds: float, images: int | None) -> None:
        self.path, self.hold, self.stop, self.seconds, self.images = path, hold, stop, seconds, images
        self._writing = threading.Lock()
        self._saved_at, self._saved_images = time.monotonic(), 0

    def begin(self, build: Callable[[], ErfMap], images: int) -> None:
        """Begin with so many images in the map, which `build` returns at any time, in any thread."""
        self._build, self._saved_images = build, images
        self._saved_at = time.monotonic()
        self.stop.on_deadline.append(self._save)

    def ends(self, images: int) -> bool:
        """Save the map, of so many images by now, if it is time to; return True if a signal came."""
        waited = time.monotonic() - self._saved_at
        enough = self.images is not None and images - self._saved_images >= self.images
        if self.stop or waited >= self.seconds or enough:
            self._save()
        return bool(self.stop)

    def _save(self) -> None:
        """Write the map as it stands, unless the file holds it already."""
        with self._writing:
            erf = self._build()
            if len(erf.records) != self._saved_images:
                self._write(erf)
            self._saved_at = time.monotonic()

    def finish(self, erf: ErfMap) -> None:
        """Replace the file by the finished map; no snapshot of another thread comes after it.

        Raises
        ------
        MapError
            It can't be written, or the lock is another's by now; the last snapshot stays.
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
