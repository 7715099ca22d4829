"""Reads a config file with all that it inherits from, as mmengine would, without running it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from erfscope.checkpoints.files.plain_data import NotPlainError, plain_copy
from erfscope.checkpoints.formats.mmsegmentation.config_calls import inherited
from erfscope.checkpoints.formats.mmsegmentation.config_text import (
    BASE,
    MAX_BYTES,
    base_assignment,
    parse_syntax,
    read_statements,
)
from erfscope.checkpoints.formats.mmsegmentation.config_values import ConfigValues, refusal
from erfscope.errors import CheckpointError

MAX_FILES = 100  # that one config takes in; mmsegmentation's take in up to ten

_DELETE = "_delete_"
_DEPRECATION = "_deprecation_"
_ENVIRONMENT = re.compile(r"\{\{['\"]?\s*\$\w+")


def read_config(path: str | Path) -> dict[str, Any]:
    """Read an mmengine config file, .py or .json, with the files in its `_base_` merged into it.

    Dicts are merged into those of the same name, everything else replaces; `_delete_=True` in a dict
    makes it replace, too. `{{_base_.name}}`, `_base_.name`, `{{ fileDirname }}`, `{{ fileBasename }}`,
    `{{ fileBasenameNoExtension }}` and `{{ fileExtname }}` are filled in.

    Returns
    -------
    dict
        As `config_text.parse_config` returns it.

    Raises
    ------
    CheckpointError
        A file is missing, inherits from itself, defines what another base defines already, takes values
        from environment variables, or holds what `parse_config` refuses, such as the imports of
        mmengine's new style (`with read_base()`).
    """
    return _Inheritance().read(Path(path), ())


class _Inheritance:
    def __init__(self) -> None:
        self.files = 0

    def read(self, path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
        """Return the merged config of `path`, which the files `heirs` inherit from, the nearest last."""
        place = path.absolute()
        identity = _resolved(place)
        if identity in heirs:
            raise CheckpointError(f"{path} inherits from itself; take it out of the _base_ of {heirs[-1]}")
        self.files += 1
        if self.files > MAX_FILES:
            raise CheckpointError(
                f"{path}: a config takes in more than {MAX_FILES} files; dump it to one file"
            )
        text = _fill_in(_read_text(path, heirs), place)
        read = {".py": self._read_python, ".json": self._read_json}.get(path.suffix.lower())
        if read is None:
            raise CheckpointError(
                f"{path} is no config that can be read; expected .py or .json, convert it to one"
            )
        return read(text, path, (*heirs, identity))

    def _read_python(self, text: str, path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
        tree, source = parse_syntax(text, str(path)), str(path)
        statement = base_assignment(tree)
        names = None if statement is None else ConfigValues(source, {}).value(statement.value)
        base = inherited(self._read_bases(names, path, heirs))
        own = read_statements(tree, source, {BASE: base})
        return _merge(own, base, source)

    def _read_json(self, text: str, path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
        try:
            own = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is no JSON ({error}); write it anew") from error
        if not isinstance(own, dict):
            raise CheckpointError(f"{path} holds a JSON {type(own).__name__}; a config is an object")
        return _merge(own, self._read_bases(own.pop(BASE, None), path, heirs), str(path))

    def _read_bases(self, names: Any, path: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for name in _base_names(names, path):
            base = self.read(path.parent / name, heirs)
            twice = sorted(merged.keys() & base.keys())
            if twice:
                raise CheckpointError(
                    f"{path}: {', '.join(map(repr, twice))} of {name} is defined by another file in "
                    "_base_, too; mmengine takes no such config, keep one of the two"
                )
            merged.update(base)
        return merged


def _base_names(names: Any, path: Path) -> Iterator[str]:
    for name in names if isinstance(names, list | tuple) else [] if names is None else [names]:
        if not isinstance(name, str) or not name.isprintable():
            raise CheckpointError(f"{path}: _base_ holds {name!r}; expected paths of config files")
        if "::" in name:
            raise CheckpointError(
                f"{path}: _base_ names {name}, a file of an installed package, which is not looked for; "
                "give its path, or dump the config where mmengine runs"
            )
        yield name


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle, a name that is too long
        raise CheckpointError(
            f"{path} can't be looked up ({error}); give the path of a config file"
        ) from error


def _read_text(path: Path, heirs: tuple[Path, ...]) -> str:
    try:
        if not path.is_file():
            named = f"{heirs[-1]} inherits from" if heirs else "the config"
            raise CheckpointError(f"{named} {path}, which is no file; give the path of one that is there")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise CheckpointError(
                f"{path} is larger than {MAX_BYTES} bytes, as no config is; give the right file"
            )
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} can't be read as UTF-8 text ({error}); give a config file") from error
    variable = _ENVIRONMENT.search(text)
    if variable:
        line = text.count("\n", 0, variable.start()) + 1
        raise refusal(str(path), line, "a value from an environment variable is not filled in")
    return text


def _fill_in(text: str, path: Path) -> str:
    """Replace the placeholders for parts of the file's own path."""
    parts = {
        "fileDirname": path.parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    return re.sub(r"\{\{\s*(" + "|".join(parts) + r")\s*\}\}", lambda found: parts[found[1]], text)


def _merge(own: Mapping[str, Any], base: Mapping[str, Any], source: str) -> dict[str, Any]:
    try:
        merged: dict[str, Any] = plain_copy(_merged(plain_copy(own), base, source, ""))
    except NotPlainError as error:
        raise refusal(source, 1, f"the config holds {error}") from error
    merged.pop(_DEPRECATION, None)
    return merged


def _merged(own: Mapping[str, Any], base: Mapping[str, Any], source: str, place: str) -> dict[str, Any]:
    merged = dict(base)
    for name, value in own.items():
        if name == _DELETE:
            continue
        if not isinstance(value, dict):
            merged[name] = value
            continue
        below = {} if value.get(_DELETE) else merged.get(name, {})
        if not isinstance(below, dict):
            raise CheckpointError(
                f"{source}: {f'{place}{name}'!r} is a dict here and a {type(below).__name__} in what it "
                "inherits from; give it _delete_=True to replace that"
            )
        merged[name] = _merged(value, below, source, f"{place}{name}.")
    return merged
