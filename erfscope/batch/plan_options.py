"""Reads the options of `erfscope compute` from a plan, by the command's own list of options."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from erfscope.errors import BatchError, suggest

NETWORKS, DATASETS, COMPUTE = "[[networks]]", "[[datasets]]", "[compute]"
_DATASET_OPTIONS = ("data", "root", "split", "images", "fit", "data_option")
# A batch sets these for each job, or they concern a terminal.
_NOT_IN_PLANS = ("out", "overwrite", "resume", "shard", "size", "rates", "as_json", "quiet", "verbose")


class PlanOptions:
    """Turns a plan's keys and values into arguments of a command line.

    Parameters
    ----------
    parameters
        Those of the click command `erfscope compute`.
    network_options
        Names of those that choose the network. Those of datasets are known here; all others are in [compute].
    """

    def __init__(self, parameters: Iterable[click.Parameter], network_options: Collection[str]) -> None:
        self._all = {each.name: each for each in parameters if isinstance(each, click.Option) and each.name}
        places = {name: COMPUTE for name in self._all if name not in _NOT_IN_PLANS}
        places |= {name: DATASETS for name in places if name in _DATASET_OPTIONS}
        self._places = places | {name: NETWORKS for name in places if name in network_options}

    def words(self, section: str, values: Mapping[str, Any], where: str, folder: Path) -> tuple[str, ...]:
        """Return the arguments for a section's keys, in the command's own order.

        Parameters
        ----------
        section
            `NETWORKS`, `DATASETS` or `COMPUTE`.
        where
            File and section, for errors.
        folder
            Folder that relative paths start from.

        Raises
        ------
        BatchError
            A key that the section doesn't have, or a value that the option doesn't take.
        """
        for name in values:
            if self._places.get(name) != section:
                raise BatchError(f"{where} has no {name!r}; {self._suggest(name, section)}")
        return tuple(
            word
            for name in self._places
            if name in values
            for word in self.option(name, values[name], where, folder)
        )

    def option(self, name: str, value: Any, where: str, folder: Path) -> tuple[str, ...]:
        """Return the arguments for one option.

        Raises
        ------
        BatchError
            The option doesn't take the value.
        """
        option = self._all[name]
        flag = option.opts[0]
        try:
            if option.is_flag:
                return _flag(option, value)
            if option.multiple:
                return tuple(word for setting in _settings(option, value) for word in (flag, setting))
            return flag, _text(option, value, folder)
        except click.UsageError as error:
            reason = error.message.rstrip(".")
            raise BatchError(f"{where}: {name} = {_shortened(value)}: {reason}") from None

    def _suggest(self, name: str, section: str) -> str:
        if name in self._places:
            return f"it belongs into {self._places[name]}"
        if name in _NOT_IN_PLANS:
            return "a batch gives it to each job itself"
        known = [each for each, place in self._places.items() if place == section]
        return suggest(name, known)


def _flag(option: click.Option, value: Any) -> tuple[str, ...]:
    if not isinstance(value, bool):
        raise click.UsageError("expected true or false")
    return tuple((option.opts if value else option.secondary_opts)[:1])


def _settings(option: click.Option, value: Any) -> list[str]:
    """Return `name=value` for each of a table's keys."""
    if not isinstance(value, Mapping):
        raise click.UsageError("expected a table such as {decoder_convs = 1}")
    settings = [f"{name}={_plain(inner)}" for name, inner in value.items()]
    for setting in settings:
        option.type.convert(setting, option, None)
    return settings


def _text(option: click.Option, value: Any, folder: Path) -> str:
    if isinstance(value, (bool, Mapping)) or (option.type is click.STRING and isinstance(value, list)):
        raise click.UsageError("expected one value")
    text = _plain(value)
    option.type.convert(text, option, None)
    if isinstance(option.type, click.Path):
        return str(absolute(text, folder))
    return text


def absolute(text: str, folder: Path) -> Path:
    """Return a plan's path as an absolute one; `~` is the home folder, relative ones start from `folder`."""
    return folder / Path(text).expanduser()


def _plain(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_plain, value))
    if isinstance(value, (str, int, float)):
        return str(value)
    raise click.UsageError("expected a text, a number, true or false, or a list of them")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
