"""Plug-ins: what other packages add by entry points of three groups, imported when they are needed.

`erfscope.checkpoints`
    An object with `recognizes(request) -> str | None`, which says in words how it detected its format, and
    `read(request)`, which returns a network; `request` is a `checkpoints.request.Request`.
`erfscope.networks`
    Network name -> a function of options that returns a network, or a network and its preprocessing.
`erfscope.datasets`
    Dataset name -> a function of arguments of `open_dataset` that returns an iterable of samples.
"""

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from erfscope.errors import PluginError, one_line

CHECKPOINTS, NETWORKS, DATASETS = (f"erfscope.{group}" for group in ("checkpoints", "networks", "datasets"))

_log = logging.getLogger("erfscope")


def names(group: str) -> list[str]:
    """Return the names in a group; imports nothing."""
    return sorted(entry_points(group=group).names)


def load(group: str, name: str) -> Any:
    """Import the plug-in of a group by its name.

    Raises
    ------
    PluginError
        It can't be imported.
    """
    (entry, *_) = entry_points(group=group, name=name)
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # it is another's code
        raise PluginError(
            f"{describe(entry)} can't be imported ({one_line(error)}); mend or remove it"
        ) from error


def load_all(group: str) -> dict[str, Any]:
    """Import all plug-ins of a group; those that can't be imported are reported and left out."""
    found = {}
    for name in names(group):
        try:
            found[name] = load(group, name)
        except PluginError as error:
            report(str(error))
    return found


def report(problem: str) -> None:
    """Log, which prints on stderr, what is wrong with a plug-in that can be done without."""
    _log.warning("warning: %s", problem)


def failure(group: str, name: str, error: BaseException) -> PluginError:
    """Return an error that tells in one line what a plug-in raised."""
    (entry, *_) = entry_points(group=group, name=name)
    return PluginError(f"{describe(entry)} failed ({one_line(error)}); mend or remove it")


def describe(entry: EntryPoint) -> str:
    """Return the names of a plug-in, its group and its package."""
    package = entry.dist.name if entry.dist else "unknown"
    return f"plug-in {entry.name} ({entry.group}) of the package {package}"
