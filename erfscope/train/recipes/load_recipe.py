"""Load recipes by name or from TOML files, and change their fields."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w

from erfscope.errors import TrainError, suggest
from erfscope.train.recipes.fields import build, plain
from erfscope.train.recipes.recipe import Recipe

_FOLDER = files("erfscope.train.recipes")
_MAX_BASES = 8


def recipe_names() -> list[str]:
    """Names of the package's recipes."""
    return sorted(
        path.name.removesuffix(".toml") for path in _FOLDER.iterdir() if path.name.endswith(".toml")
    )


def list_recipes() -> list[dict[str, Any]]:
    """Return name and fields of every recipe of the package, JSON-able."""
    return [{"name": name, **plain(load_recipe(name))} for name in recipe_names()]


def load_recipe(spec: str | Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Recipe:
    """Load a recipe and change fields of it.

    Parameters
    ----------
    spec
        Name of a recipe of the package, or a TOML file. A recipe may name another as its `base`; it then
        holds only the fields that differ.
    changes
        Fields to change, by section. Another `network.model` discards all other fields of that section,
        another `data.name` discards root, options and `augment.frame`: they belong to the old one.

    Raises
    ------
    TrainError
        There is no such recipe, the file isn't TOML, or a field or value is wrong.
    """
    values = _resolve(spec, 0)
    return build(Recipe, _changed(values, changes or {}), f"recipe {spec}")


def parse_setting(text: str) -> tuple[str, str, Any]:
    """Parse `section.field=value`; the value is one of TOML, a list without brackets, or a word.

    Raises
    ------
    TrainError
        The text has another form.
    """
    path, equals, value = text.partition("=")
    section, dot, name = path.strip().partition(".")
    if not (equals and dot and name):
        raise TrainError(f"--set {text}: expected section.field=value, such as optimizer.lr=0.02")
    return section, name.replace("-", "_"), _parse_value(value.strip())


def settings_of(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Gather texts `section.field=value`, also `section.options.NAME=value`, by section."""
    changes: dict[str, dict[str, Any]] = {}
    for text in texts:
        section, name, value = parse_setting(text)
        outer, dot, inner = name.partition(".")
        place = changes.setdefault(section, {})
        if dot:
            place.setdefault(outer, {})[inner] = value
        else:
            place[name] = value
    return changes


def write_toml(recipe: Recipe) -> bytes:
    """Return a recipe as TOML, with all fields except those that are None."""
    return tomli_w.dumps(plain(recipe)).encode()


def _resolve(spec: str | Path, depth: int) -> dict[str, Any]:
    if depth > _MAX_BASES:
        raise TrainError(f"recipe {spec} is its own base; correct `base`")
    values, folder = _read(spec)
    base = values.pop("base", None)
    if base is None:
        return values
    beside = folder / str(base) if folder else None
    return _changed(_resolve(beside if beside and beside.is_file() else str(base), depth + 1), values)


def _read(spec: str | Path) -> tuple[dict[str, Any], Path | None]:
    """Return a file's content and, for one on disk, its folder."""
    path, name = Path(spec), str(spec)
    if path.suffix == ".toml":
        try:
            return _parse(path.read_bytes(), name), path.parent
        except OSError as error:
            raise TrainError(f"{path}: {error.strerror}; expected a recipe in TOML") from error
    if name not in recipe_names():
        hint = suggest(name, recipe_names())
        raise TrainError(f"no recipe is called {name!r}; {hint} (or give a file that ends in .toml)")
    return _parse((_FOLDER / f"{name}.toml").read_bytes(), name), None


def _parse(content: bytes, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except ValueError as error:  # of TOML, and of UTF-8
        raise TrainError(f"{name} is no TOML ({error}); correct it") from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with the values of other nested tables in their place."""
    merged = dict(base)
    for name, value in changes.items():
        before = merged.get(name)
        nested = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(before, value) if nested else value  # type: ignore[arg-type]
    return merged


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge changes, without the fields that belong to a network or dataset that is replaced."""
    kept = dict(values)
    if _replaces(values, changes, "network", "model"):
        kept["network"] = {}
    if _replaces(values, changes, "data", "name"):
        kept["data"] = _without(values["data"], "root", "options")
        kept["augment"] = _without(values.get("augment", {}), "frame")
    return _merged(kept, changes)


def _replaces(values: Mapping[str, Any], changes: Mapping[str, Any], section: str, key: str) -> bool:
    before, after = (
        place.get(key) if isinstance(place := each.get(section), Mapping) else None
        for each in (values, changes)
    )
    return before is not None and after not in (None, before)


def _without(section: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name not in names}


def _parse_value(text: str) -> Any:
    for form in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {form}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return text
