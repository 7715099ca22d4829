"""Lets torch's restricted unpickler pass over what training leaves in a checkpoint beside the weights.

A checkpoint names classes and functions that load, count or log; torch refuses the whole file for one
name it doesn't know. The names below are common and of no use here, so each becomes a stand-in that can
do nothing. None of them is imported, called or looked up: `builtins.getattr` of a file is the same
stand-in. Every other name is refused as before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, NoReturn, Self

from torch import serialization


class Inert:
    """Takes whatever an unpickler gives it and keeps nothing: no state, no attributes, no other class."""

    __slots__ = ()

    def __new__(cls, *_arguments: Any, **_named: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setattr__(self, name: str, _value: Any) -> NoReturn:
        raise AttributeError(f"an inert stand-in has no {name}")


class InertDict:
    """Makes a plain dict in place of a class derived from dict: torch fills no other kind of mapping."""

    def __new__(cls, *arguments: Any) -> dict[Any, Any]:  # type: ignore[misc]
        return dict(arguments[0]) if arguments and type(arguments[0]) is dict else {}


_NUMPY = [
    f"{package}.{name}"
    for package in ("numpy.core", "numpy._core")
    for name in ("multiarray.scalar", "multiarray._reconstruct")
]
#: Names that become `Inert`.
INERT_NAMES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "builtins.getattr",  # of a HistoryBuffer's methods
    *_NUMPY,
    "numpy.dtype",
    "numpy.ndarray",
    # What trainers keep of how they were called.
    "argparse.Namespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib.PurePosixPath",
    "pathlib._local.PosixPath",
    "datetime.datetime",
    "datetime.timedelta",
    # Lightning's: keys of its callbacks' states before 1.6, and hyperparameters.
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
    "builtins.bool",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.str",
    "builtins.tuple",
)
#: Names that become `InertDict`.
DICT_NAMES = (
    "collections.defaultdict",
    "mmengine.config.config.ConfigDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)

_lock = RLock()


@contextmanager
def only_inert_names() -> Iterator[None]:
    """Within it, `torch.load(weights_only=True)` admits torch's own names and the stand-ins, no others.

    What the process has admitted by `torch.serialization.add_safe_globals` is set aside meanwhile.
    """
    stand_ins: list[Any] = [(Inert, name) for name in INERT_NAMES]
    stand_ins += [(InertDict, name) for name in DICT_NAMES]
    with _lock:
        admitted = serialization.get_safe_globals()
        serialization.clear_safe_globals()
        serialization.add_safe_globals(stand_ins)
        try:
            yield
        finally:
            # Modules of torch that were imported meanwhile may have admitted names of theirs.
            admitted += [each for each in serialization.get_safe_globals() if each not in stand_ins]
            serialization.clear_safe_globals()
            serialization.add_safe_globals(admitted)
