"""Reads the text of an mmengine or mmcv config, without running it."""

import ast
import warnings
from collections.abc import MutableMapping
from typing import Any

from erfscope.checkpoints.files.plain_data import NotPlainError, plain_copy
from erfscope.checkpoints.formats.mmsegmentation.config_values import WRONG, ConfigValues, refusal
from erfscope.errors import CheckpointError

MAX_BYTES = 1_000_000  # a long config of mmsegmentation has 20 000
BASE = "_base_"


def parse_config(text: str, source: str) -> dict[str, Any]:
    """Read a config that stands for itself, such as the one that a checkpoint holds.

    Parameters
    ----------
    text
        Python source: assignments of literals, `dict(...)` calls and what else `ConfigValues` works out.
    source
        Where it comes from, for errors.

    Returns
    -------
    dict
        The values under the names that they are assigned to at module level, as plain data (None, bool,
        int, float, str, list, tuple, set, dict) of which no part is shared with another.

    Raises
    ------
    CheckpointError
        The text holds anything else, inherits from `_base_`, or is too large. It is one line that names
        what, the source and the line, and what to do.
    """
    tree = parse_syntax(text, source)
    base = base_assignment(tree)
    if base is not None:
        raise refusal(
            source, base.lineno, "a config that inherits from _base_ can't be read without its files"
        )
    return read_statements(tree, source, {})


def parse_syntax(text: str, source: str) -> ast.Module:
    """Parse Python source; refuse it in one line if it is none, or too large."""
    if len(text) > MAX_BYTES:
        raise CheckpointError(
            f"{source}: the config has {len(text)} characters, no config has more than {MAX_BYTES}; "
            "give the right one by --config"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that a future Python won't take
            return ast.parse(text)
    except SyntaxError as error:
        raise refusal(source, error.lineno or 1, f"this is not Python ({error.msg})") from error
    # No null bytes, no lone surrogates, no thousands of nested brackets: Python's own bounds.
    except (ValueError, MemoryError, RecursionError) as error:
        what = f"this is not Python, or is nested too deeply ({type(error).__name__})"
        raise refusal(source, 1, what) from error


def base_assignment(tree: ast.Module) -> ast.Assign | None:
    """Return the statement that says what the config inherits from, if there is one."""
    return next(
        (node for node in tree.body if isinstance(node, ast.Assign) and _is_base(node.targets[0])), None
    )


def read_statements(tree: ast.Module, source: str, given: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return what the statements of a module assign, with the names in `given` known to them.

    Values of `given` that the statements change in place are changed. What `_base_` is set to is left
    out: see `config_file.read_config`. Raises CheckpointError as `parse_config` does.
    """
    known = set(given)
    values = ConfigValues(source, given)
    for statement in tree.body:
        try:
            _read_statement(statement, values)
        except WRONG as error:
            raise values.refused(
                statement, f"this can't be done ({type(error).__name__}: {error})"
            ) from error
    own = {name: value for name, value in given.items() if name not in known and not name.startswith("__")}
    try:
        copied: dict[str, Any] = plain_copy(own)
    except NotPlainError as error:
        raise refusal(source, 1, f"the config holds {error}") from error
    return copied


def _read_statement(statement: ast.stmt, values: ConfigValues) -> None:
    match statement:
        case ast.Assign(targets=[target]) if _is_base(target):
            pass
        case ast.Assign(targets=targets, value=node):
            value = values.value(node)
            for target in targets:
                _assign(target, value, values)
        case ast.AugAssign(target=target, op=kind, value=node):
            current, operand = values.value(target), values.value(node)
            result = values.combine(statement, kind, current, operand)
            if isinstance(current, list):
                current[:] = result  # it stays the same list, as in Python
            else:
                _assign(target, result, values)
        case ast.Delete(targets=targets):
            for target in targets:
                _delete(target, values)
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            pass
        case ast.Expr(value=ast.Call() as call):
            values.value(call)
        case ast.Import() | ast.ImportFrom() | ast.With():
            raise values.refused(statement, "an import, or `with read_base()`, is not followed")
        case _:
            what = f"a statement of the kind {type(statement).__name__} is not understood"
            raise values.refused(statement, what)


def _assign(target: ast.expr, value: Any, values: ConfigValues) -> None:
    if isinstance(target, ast.Subscript | ast.Attribute):
        owner, key = _place(target, values)
        owner[key] = value
    else:
        values.bind(target, value)


def _delete(target: ast.expr, values: ConfigValues) -> None:
    if isinstance(target, ast.Name):
        del values.names[target.id]
    elif isinstance(target, ast.Subscript | ast.Attribute):
        owner, key = _place(target, values)
        del owner[key]
    else:
        raise values.refused(target, f"a deletion of {type(target).__name__} is not understood")


def _place(target: ast.Subscript | ast.Attribute, values: ConfigValues) -> tuple[Any, Any]:
    """Return the dict or list that a target is an entry of, and the key of that entry."""
    owner = values.value(target.value)
    if not isinstance(owner, dict | list):
        raise TypeError(f"the entries of a {type(owner).__name__} can't be changed")
    return owner, target.attr if isinstance(target, ast.Attribute) else values.key(target.slice)


def _is_base(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == BASE
