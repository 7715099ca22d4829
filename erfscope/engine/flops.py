"""Counts floating-point operations."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up, within the block, the operations that torch's own formulas give; a multiply-add is two.

    torch's FlopCounterMode counts the same, but its tables by module need hooks into the gradients, which
    would hide the network's own hooks.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(
        self,
        function: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        formula: Callable[..., int] | None = flop_registry.get(function._overloadpacket)
        result = function(*args, **(kwargs or {}))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result
