"""What other packages bring: entry points of three groups, looked up when they are needed, never before.

`erfscope.checkpoints`
    An object with `recognizes(request) -> str | None`, which says in words what told it, and
    `read(request)`, which returns a network; `request` is a `checkpoints.request.Request`.
`erfscope.networks`
    By its name, a function of options that returns a network, or a network and its preprocessing.
`erfscope.datasets`
    By its name, a function of what `open_dataset` takes that returns an iterable of samples.
"""

import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from erfscope.errors import PluginError, one_line

CHECKPOINTS, NETWORKS, DATASETS = (f"erfscope.{group}" for group in ("checkpoints", "networks", "datasets"))

_log = logging.getLogger("erfscope")


def names(group: str) -> list[str]:
    """Names in a group. Imports none of them."""
    return sorted(entry_points(group=group).names)


def load(group: str, name: str) -> Any:
    """Import what is called so.

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
    """Import all of a group; those that can't be are reported, in a line each, and left out."""
    found = {}
    for name in names(group):
        try:
            found[name] = load(group, name)
        except PluginError as error:
            report(str(error))
    return found


def report(problem: str) -> None:
    """Say on the log, which goes to stderr, what is wrong with a plug-in that is not needed."""
    _log.warning("warning: %s", problem)


def failure(group: str, name: str, error: BaseException) -> PluginError:
    """Make one line of whatever a plug-in raised."""
    (entry, *_) = entry_points(group=group, name=name)
    return PluginError(f"{describe(entry)} failed ({one_line(error)}); mend or remove it")


def describe(entry: EntryPoint) -> str:
    """Name a plug-in and the package that brings it."""
    package = entry.dist.name if entry.dist else "unknown"
    return f"plug-in {entry.name} ({entry.group}) of the package {package}"
