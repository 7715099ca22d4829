"""The options of `erfscope compute` as keys of a plan, read off its click options: no second list."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from erfscope.errors import BatchError

NETWORKS, DATASETS, COMPUTE = "[[networks]]", "[[datasets]]", "[compute]"
_OF_DATASETS = ("data", "root", "split", "images", "fit", "data_option")
# What a job gets otherwise, or not at all.
_OWN = ("out", "overwrite", "resume", "shard", "size", "rates", "as_json", "quiet", "verbose")


class PlanOptions:
    """Turns a plan's keys and values into the words of a command line.

    Parameters
    ----------
    parameters
        Those of the click command `erfscope compute`.
    of_networks
        Names of those that say which network; those of datasets are known here, the rest is [compute]'s.
    """

    def __init__(self, parameters: Iterable[click.Parameter], of_networks: Collection[str]) -> None:
        self._all = {each.name: each for each in parameters if isinstance(each, click.Option) and each.name}
        places = {name: COMPUTE for name in self._all if name not in _OWN}
        places |= {name: DATASETS for name in places if name in _OF_DATASETS}
        self._places = places | {name: NETWORKS for name in places if name in of_networks}

    def words(self, section: str, values: Mapping[str, Any], where: str, folder: Path) -> tuple[str, ...]:
        """Return the words for a section's keys, in the command's own order.

        Parameters
        ----------
        section
            `NETWORKS`, `DATASETS` or `COMPUTE`.
        where
            Names file and section in errors.
        folder
            What relative paths are relative to.

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
        """Return the words for one option.

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
            raise BatchError(f"{where}: {name} = {_shown(value)}: {reason}") from None

    def _suggest(self, name: str, section: str) -> str:
        if name in self._places:
            return f"it belongs into {self._places[name]}"
        if name in _OWN:
            return "a batch gives it to each job itself"
        known = [each for each, place in self._places.items() if place == section]
        near = difflib.get_close_matches(name, known, n=1)
        return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"


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
    """Return a path of a plan's, `~` for the home folder, relative ones from `folder` on."""
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


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
