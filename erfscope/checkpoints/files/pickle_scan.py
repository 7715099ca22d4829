"""Reads what a pickle would make without making it: nothing is imported, called, hashed or allocated."""

import pickletools
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, cast

# Checkpoints' pickles have some MB and 1e5 steps: the tensors' values stand elsewhere.
_MAX_BYTES = 256_000_000
_MAX_STEPS = 1_000_000
_MAX_LINE = 10_000  # bytes: names, and the numbers of old protocols
_MAX_SIZE = 10**12  # no need to count further

_SKIPPED = {"PROTO", "FRAME", "READONLY_BUFFER"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "NEXT_BUFFER": b""}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip


class TooLongError(ValueError):
    """A pickle is longer than a checkpoint's."""


class Readable(Protocol):
    """A binary file, as far as it is needed here."""

    def read(self, size: int = ..., /) -> bytes:
        """Read so many bytes."""

    def readline(self, size: int = ..., /) -> bytes:
        """Read a line, at most so many bytes."""

    def tell(self) -> int:
        """Return the position."""


class Name(str):
    """The dotted name of something that the pickle would import."""

    __slots__ = ()


@dataclass(eq=False)
class Items:
    """A tuple, with its size and depth as if nothing in it were shared.

    Sharing lets a short pickle describe a tuple that takes forever to hash.
    """

    items: list[Any]

    def __post_init__(self) -> None:
        inner = [item for item in self.items if isinstance(item, Items)]
        self.size: int = min(_MAX_SIZE, 1 + len(self.items) + sum(item.size for item in inner))
        self.depth: int = 1 + max((item.depth for item in inner), default=0)


@dataclass(eq=False)
class Entries:
    """A dict: its keys and values in turn."""

    content: list[Any] = field(default_factory=list)

    def get(self, key: str) -> Any:
        """Return the last value under a key, None without it."""
        found = None
        for name, value in zip(self.content[::2], self.content[1::2], strict=False):
            found = value if isinstance(name, str) and name == key else found
        return found


@dataclass(eq=False)
class Call:
    """What comes of a call: of what, with which arguments; and the state that is set on it."""

    of: Any
    arguments: Any
    state: Any = None


@dataclass(eq=False)
class Outline:
    """What a pickle makes, and what it names, calls and nests on the way.

    `size` and `depth` are those of its largest and its deepest tuple.
    """

    result: Any = None
    names: list[Name] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    size: int = 0
    depth: int = 0


def read_outline(file: Readable) -> Outline:
    """Read one pickle, of any protocol, from the file's position on.

    Raises
    ------
    ValueError
        It is none, is cut off, or is a `TooLongError`.
    """
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", _Bounded(file)))):
            machine.step(opcode.name, argument)
            if step == _MAX_STEPS:
                raise TooLongError(f"its pickle takes over {_MAX_STEPS} steps")
    except (IndexError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"no readable pickle, {type(error).__name__}") from error
    return machine.outline


class _Bounded:
    """Hands out no more than a pickle may be long, whatever lengths it claims."""

    def __init__(self, file: Readable) -> None:
        self.file, self.left, self.tell = file, _MAX_BYTES, file.tell

    def read(self, size: int) -> bytes:
        self.left -= size
        if not 0 <= size <= self.left:
            raise TooLongError(f"its pickle takes over {_MAX_BYTES / 1e6:.0f} MB")
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline(_MAX_LINE)


class _Machine:
    """The stack machine that a pickle is a program for; see the comments in Python's pickletools.py."""

    def __init__(self) -> None:
        self.outline = Outline()
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode not in _SKIPPED and not (
            self._arrange(opcode, argument) or self._contain(opcode) or self._make(opcode, argument)
        ):
            raise ValueError(f"a pickle with {opcode}")

    def _arrange(self, opcode: str, argument: Any) -> bool:
        """Do what concerns the stack and the memo."""
        match opcode:
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[int(argument)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                self.stack.append(self.memo[int(argument)])
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "MARK":
                self.marks.append(self.stack)
                self.stack = []
            case "POP" if self.stack:
                self.stack.pop()
            case "POP" | "POP_MARK":
                self._to_mark()
            case "DUP":
                self.stack.append(self.stack[-1])
            case "STOP":
                self.outline.result = self.stack.pop()
            case _:
                return False
        return True

    def _contain(self, opcode: str) -> bool:
        """Make containers, or fill them."""
        match opcode:
            case "EMPTY_TUPLE":
                self._tuple([])
            case "TUPLE":
                self._tuple(self._to_mark())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._tuple(self._pop(int(opcode[-1])))
            case "EMPTY_LIST" | "EMPTY_SET":
                self.stack.append([])
            case "LIST" | "FROZENSET":
                items = self._to_mark()
                self.stack.append(items)
            case "EMPTY_DICT":
                self.stack.append(Entries())
            case "DICT":
                items = self._to_mark()
                self.stack.append(Entries(items))
            case "APPEND" | "SETITEM":
                self._fill(self._pop(1 if opcode == "APPEND" else 2))
            case "APPENDS" | "ADDITEMS" | "SETITEMS":
                self._fill(self._to_mark())
            case _:
                return False
        return True

    def _make(self, opcode: str, argument: Any) -> bool:
        """Name things and call them."""
        match opcode:
            case "GLOBAL":
                self._name(argument.replace(" ", ".", 1))
            case "STACK_GLOBAL":
                self._name(".".join(map(str, self._pop(2))))
            case "EXT1" | "EXT2" | "EXT4":
                self._name(f"copyreg.extension_{argument}")
            case "REDUCE" | "NEWOBJ":
                self._call(*self._pop(2))
            case "NEWOBJ_EX":
                self._call(*self._pop(3)[:2])
            case "OBJ":
                made_of, *arguments = self._to_mark()
                self._call(made_of, Items(arguments))
            case "INST":
                arguments = self._to_mark()
                self._name(argument.replace(" ", ".", 1))
                self._call(self.stack.pop(), Items(arguments))
            case "BUILD":
                self._build(*self._pop(1))
            case "PERSID" | "BINPERSID":
                self._refer(argument if opcode == "PERSID" else self.stack.pop())
            case _:
                return False
        return True

    def _to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _tuple(self, items: list[Any]) -> None:
        made = Items(items)
        self.stack.append(made)
        self.outline.size = max(self.outline.size, made.size)
        self.outline.depth = max(self.outline.depth, made.depth)

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Entries):
            target.content += items
        elif isinstance(target, list):
            target += items

    def _name(self, dotted: str) -> None:
        self.stack.append(Name(dotted))
        self.outline.names.append(self.stack[-1])

    def _call(self, of: Any, arguments: Any) -> None:
        self.stack.append(Call(of, arguments))
        self.outline.calls.append(self.stack[-1])

    def _build(self, state: Any) -> None:
        if isinstance(self.stack[-1], Call):
            self.stack[-1].state = state

    def _refer(self, key: Any) -> None:
        """Torch refers thus to storages, and in its old format to a module's class, beside its source."""
        parts = key.items if isinstance(key, Items) else []
        self.stack.append(parts[1] if len(parts) > 1 and parts[0] == "module" else Call(None, key))
