"""What the expressions of a config come to, worked out by walking the syntax tree; none of it is ever run.

Only what is written out below is understood: literals, names, `dict(...)` and a few other calls,
arithmetic, comprehensions. Whatever else a config holds is refused. So is what would cost more than a
config can be worth: a short text can ask for more memory than there is.
"""

import ast
import math
import operator
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from erfscope.checkpoints.formats.mmsegmentation.config_calls import (
    FUNCTIONS,
    METHODS,
    Inherited,
    checked_dict,
    checked_key,
    length_of_range,
)
from erfscope.errors import CheckpointError

MAX_DEPTH = 100  # of an expression; what mmengine writes stays under 30
MAX_WORK = 1_000_000  # values made and visited; a long config of mmsegmentation takes 5000
MAX_BITS = 128  # of a whole number

_REMEDY = (
    "configs are read, never run: write the plain value instead, or dump the config where mmengine runs "
    "(Config.fromfile('config.py').dump('plain.py'))"
)
#: What Python raises when an operation doesn't fit its values.
WRONG = (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError)
_MESSAGE_LENGTH = 160
# mmengine writes them bare.
_DUMPED: Mapping[str, Any] = {"inf": math.inf, "nan": math.nan}


def refusal(source: str, line: int, what: str) -> CheckpointError:
    """Return the error for `what`, which names the place and the way out in one line."""
    what = " ".join(what.split())
    what = what if len(what) <= _MESSAGE_LENGTH else what[: _MESSAGE_LENGTH - 3] + "..."
    return CheckpointError(f"{source}:{line}: {what}; {_REMEDY}")


class ConfigValues:
    """Works out expressions over `names`, which its caller fills as statements assign them.

    Values are shared as in Python: a list that has two names is one list. Every error is a
    `CheckpointError` of one line with source, line and remedy.
    """

    def __init__(self, source: str, names: MutableMapping[str, Any]) -> None:
        self.source = source
        self.names = names
        self._work = 0
        self._depth = 0

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression.

        Raises
        ------
        CheckpointError
            The expression is of a kind that isn't understood, or is wrong, or too large.
        """
        rule = _RULES.get(type(node))
        if rule is None:
            raise self.refused(node, f"an expression of the kind {type(node).__name__} is not understood")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.refused(node, f"an expression is nested more than {MAX_DEPTH} deep")
        try:
            result = rule(self, node)
        except WRONG as error:
            raise self.refused(node, f"this can't be worked out ({type(error).__name__}: {error})") from error
        self._depth -= 1
        made = len(result) if isinstance(result, list | tuple | set | dict | str) else 0
        self.spend(node, 1 if isinstance(node, _READING) else 1 + made)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise self.refused(node, f"a whole number has more than {MAX_BITS} bits")
        return result

    def key(self, node: ast.expr) -> Any:
        """Return the value of an expression that is to be a key."""
        return checked_key(self.value(node))

    def refused(self, node: ast.AST, what: str) -> CheckpointError:
        """Return the error that names `node`'s place."""
        return refusal(self.source, getattr(node, "lineno", 1), what)

    def spend(self, node: ast.AST, work: int) -> None:
        """Count work; raise once it is more than any config needs."""
        self._work += work
        if self._work > MAX_WORK:
            raise self.refused(node, f"the config comes to more than {MAX_WORK} values")

    def bind(self, target: ast.expr, value: Any) -> None:
        """Give `value` to a name, or its parts to a tuple of names."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
            return
        if not isinstance(target, ast.Tuple | ast.List) or not isinstance(value, list | tuple):
            raise self.refused(target, "an assignment to more than names is not understood")
        if len(value) != len(target.elts):
            raise self.refused(target, f"{len(value)} values don't go into {len(target.elts)} names")
        for part, item in zip(target.elts, value, strict=True):
            self.bind(part, item)

    def combine(self, node: ast.AST, kind: ast.operator, left: Any, right: Any) -> Any:
        """Return + - * / // or % of two numbers, + of two sequences, * of a sequence and a number."""
        apply = _BINARY.get(type(kind))
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        sequences = [side for side in (left, right) if isinstance(side, list | tuple | str)]
        joined = isinstance(kind, ast.Add) and len(sequences) == 2 and type(left) is type(right)
        times = [side for side in (left, right) if isinstance(side, int)]
        repeated = isinstance(kind, ast.Mult) and len(sequences) == len(times) == 1
        if apply is None or not (numbers or joined or repeated):
            raise TypeError(f"{type(kind).__name__} of {type(left).__name__} and {type(right).__name__}")
        if joined:
            self.spend(node, len(left) + len(right))
        elif repeated:
            self.spend(node, len(sequences[0]) * max(0, times[0]))
        return apply(left, right)

    def _constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, int | float | str | None):
            raise TypeError(f"a {type(node.value).__name__} has no place in a config")
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        if node.id in _DUMPED:
            return _DUMPED[node.id]
        raise self.refused(node, f"the name {node.id} has no value yet")

    def _elements(self, nodes: Iterable[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                values = self.value(node.value)
                self.spend(node, len(values))
                yield from values
            else:
                yield self.value(node)

    def _set(self, node: ast.Set) -> Any:
        if len(node.elts) == 1 and isinstance(node.elts[0], ast.Set) and len(node.elts[0].elts) == 1:
            return self.value(node.elts[0].elts[0])  # {{_base_.name}}: a set of a set can't be meant
        return {checked_key(element) for element in self._elements(node.elts)}

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                entries = checked_dict(self.value(value))
                self.spend(value, len(entries))
                result.update(entries)
            else:
                result[self.key(key)] = self.value(value)
        return result

    def _unary(self, node: ast.UnaryOp) -> Any:
        apply = _UNARY.get(type(node.op))
        operand = self.value(node.operand)
        if apply is None or not isinstance(operand, int | float):
            raise TypeError(f"{type(node.op).__name__} of {type(operand).__name__}")
        return apply(operand)

    def _binary(self, node: ast.BinOp) -> Any:
        return self.combine(node, node.op, self.value(node.left), self.value(node.right))

    def _subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if not isinstance(owner, dict | list | tuple | str):
            raise TypeError(f"a {type(owner).__name__} has no entries")
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            return owner[slice(*(None if end is None else self.value(end) for end in ends))]
        return owner[self.key(node.slice)]

    def _attribute(self, node: ast.Attribute) -> Any:
        return checked_dict(self.value(node.value))[node.attr]

    def _joined(self, node: ast.JoinedStr) -> str:
        return "".join(self.value(part) for part in node.values)

    def _formatted(self, node: ast.FormattedValue) -> str:
        value = self.value(node.value)
        if node.format_spec is not None or node.conversion != -1 or not isinstance(value, int | float | str):
            raise TypeError("only plain names and numbers go into an f-string")
        return str(value)

    def _comprehension(self, node: ast.ListComp) -> list[Any]:
        return [self.value(node.elt) for _ in self._turns(node.generators)]

    def _dict_comprehension(self, node: ast.DictComp) -> dict[Any, Any]:
        return {self.key(node.key): self.value(node.value) for _ in self._turns(node.generators)}

    def _turns(self, loops: list[ast.comprehension]) -> Iterator[None]:
        """Give the names of the loops their next values, as often as there are any."""
        if not loops:
            yield
            return
        target, outer = loops[0].target, self.names
        if loops[0].ifs or loops[0].is_async:
            raise self.refused(target, "a condition in a comprehension is not understood")
        for value in list(self.value(loops[0].iter)):
            self.spend(target, 1)
            self.names = ChainMap({}, outer)
            self.bind(target, value)
            yield from self._turns(loops[1:])
        self.names = outer

    def _call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            return self._call_method(node, node.func)
        function = node.func.id if isinstance(node.func, ast.Name) else "an expression"
        if function not in FUNCTIONS or function in self.names:
            raise self.refused(node, f"a call of {function} is not understood")
        arguments, named = self._arguments(node)
        if function == "range":
            self.spend(node, length_of_range(*arguments))
        return FUNCTIONS[function](*arguments, **named)

    def _call_method(self, node: ast.Call, method: ast.Attribute) -> Any:
        if isinstance(method.value, ast.Name) and method.value.id not in self.names:
            raise self.refused(node, f"a call of {method.value.id}.{method.attr} is not understood")
        owner = self.value(method.value)
        call = METHODS.get((dict if isinstance(owner, dict) else type(owner), method.attr))
        if call is None:
            raise self.refused(node, f"a call of {type(owner).__name__}.{method.attr} is not understood")
        arguments, named = self._arguments(node)
        if isinstance(owner, Inherited) and method.attr == "update":
            for entries in (*arguments, named):
                self._merge(node, owner, checked_dict(entries))
            return None
        return call(owner, *arguments, **named)

    def _merge(self, node: ast.AST, target: dict[str, Any], entries: dict[str, Any]) -> None:
        for name, value in entries.items():
            self.spend(node, 1)
            if isinstance(value, dict) and isinstance(target.get(name), dict):
                self._merge(node, target[name], value)
            else:
                target[name] = value

    def _arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        arguments = list(self._elements(node.args))
        self.spend(node, sum(len(each) for each in arguments if isinstance(each, list | tuple | dict | str)))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            given = checked_dict(value) if keyword.arg is None else {keyword.arg: value}
            for name in given:
                if not isinstance(name, str) or name in named:
                    raise TypeError(f"the keyword {name!r} is no name, or comes twice")
            self.spend(node, len(given))
            named.update(given)
        return arguments, named


_READING = (ast.Constant, ast.Name, ast.Attribute)
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_RULES: Mapping[type[ast.expr], Callable[[ConfigValues, Any], Any]] = {
    ast.Constant: ConfigValues._constant,
    ast.Name: ConfigValues._name,
    ast.List: lambda values, node: list(values._elements(node.elts)),
    ast.Tuple: lambda values, node: tuple(values._elements(node.elts)),
    ast.Set: ConfigValues._set,
    ast.Dict: ConfigValues._dict,
    ast.UnaryOp: ConfigValues._unary,
    ast.BinOp: ConfigValues._binary,
    ast.Subscript: ConfigValues._subscript,
    ast.Attribute: ConfigValues._attribute,
    ast.JoinedStr: ConfigValues._joined,
    ast.FormattedValue: ConfigValues._formatted,
    ast.ListComp: ConfigValues._comprehension,
    ast.DictComp: ConfigValues._dict_comprehension,
    ast.Call: ConfigValues._call,
}
