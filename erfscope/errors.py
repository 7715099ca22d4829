"""One family of errors: what happened, where, and what to do about it.

Each message is one line that names the fact, the expectation and the remedy. The command line
prints it without a traceback and exits with code 2; anything else that escapes is a bug.
"""

import difflib
from collections.abc import Iterable


class ErfscopeError(Exception):
    """Base of every error that the user can mend; its message is one line that says how.

    Examples
    --------
    >>> import erfscope
    >>> try:
    ...     erfscope.load_erf("missing.h5")
    ... except erfscope.ErfscopeError as error:
    ...     print(error)
    map missing.h5 does not exist; make one with 'erfscope compute' or name another file
    """


class DatasetError(ErfscopeError):
    """A dataset's folder, split, size or subset is not as asked for."""


class ImageError(ErfscopeError):
    """One image can't be read; a run skips it, counts it and names it."""


class NetworkError(ErfscopeError):
    """No such network, or an option that it doesn't have."""


class CheckpointError(ErfscopeError):
    """A weights file can't be read safely, or doesn't belong to the network."""


class ComputeError(ErfscopeError):
    """The map can't be computed as asked: unit, target, device, or what the gradients turned out to be."""


class ScoreError(ErfscopeError):
    """Predictions can't be scored as asked: labels, classes, sizes, or how inference is to be done."""


class TrainError(ErfscopeError):
    """A network can't be trained as asked: recipe, labels, first weights, or a loss that isn't finite."""


class MapError(ErfscopeError):
    """A map file can't be read, written, imported or exported."""


class BatchError(ErfscopeError):
    """A plan of many maps can't be read, carried out or submitted as asked."""


class PluginError(ErfscopeError):
    """Another package's reader, network or data set can't be imported, or fails."""


def one_line(error: BaseException) -> str:
    """Return the type and the message of another's error in one line of bounded length."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    return text if len(text) <= 160 else text[:157] + "..."


def suggest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return "did you mean A or B?" for known names like `name`; else `otherwise`, or all that are known."""
    names = list(known)
    near = difflib.get_close_matches(name, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return otherwise or f"known: {', '.join(names)}"
