"""What to do when memory runs out: try smaller batches and crops, and say which fit."""

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch

from erfscope.errors import ComputeError
from erfscope.system.memory import translate_out_of_memory
from erfscope.system.process_group import ProcessGroup
from erfscope.train.train_state import TrainState

_SHRINK = (0.75, 0.5, 0.25)
_GRID = 32  # px, the coarsest stride of a backbone


@dataclass(frozen=True)
class MemoryAdvice:
    """Finds a batch and a crop that fit, after a step that didn't.

    Attributes
    ----------
    state
        What is trained.
    batch_loss
        Maps images (N, 3, H, W) and labels (N, H, W) to the loss of a batch.
    batch_size, size
        Images and (H, W) of the crops, px, that didn't fit.
    """

    state: TrainState
    batch_loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    processes: ProcessGroup
    batch_size: int
    size: tuple[int, int]

    def text(self) -> str:
        """Return what fits, in one line. With several processes nothing is tried: all would have to."""
        height, width = self.size
        fact = f"a batch of {self.batch_size} crops of {height}×{width} px needs more memory than there is"
        if self.processes.size > 1:
            return f"{fact}; give a smaller --batch-size or --size"
        batch = next((n for n in self._batch_sizes() if self._fits(n, self.size)), None)
        size = next((s for s in self._sizes() if self._fits(self.batch_size, s)), None)
        remedies = []
        if batch is not None:
            passes = -(-self.batch_size // batch)
            remedies.append(f"--batch-size {batch} (with --set run.accumulate={passes} for the same step)")
        if size is not None:
            remedies.append(f"--size {size[0]}x{size[1]}")
        tried = " or ".join(remedies) + (" fits" if len(remedies) == 1 else " fit")
        return f"{fact}; {tried if remedies else 'a quarter of either does not fit; give a smaller network'}"

    def _batch_sizes(self) -> list[int]:
        """Return half the batch, a quarter and so on; at least two, for batch norm after image pooling."""
        halves = [self.batch_size // 2**step for step in range(1, 8)]
        return [half for half in halves if half >= 2]

    def _sizes(self) -> list[tuple[int, int]]:
        def shrunk(side: int, share: float) -> int:
            return max(_GRID, round(side * share / _GRID) * _GRID) + (side % 8 == 1)

        return [(shrunk(self.size[0], share), shrunk(self.size[1], share)) for share in _SHRINK]

    def _fits(self, batch: int, size: tuple[int, int]) -> bool:
        model, device = self.state.model, self.processes.device
        dtype = next(model.parameters()).dtype
        try:
            self._clear()
            with translate_out_of_memory("a trial"):
                reserve = [torch.empty_like(p) for p in model.parameters() for _ in range(2)]
                images = torch.zeros(batch, 3, *size, device=device, dtype=dtype)
                labels = torch.zeros(batch, *size, device=device, dtype=torch.int64)
                self.batch_loss(images, labels).backward()  # type: ignore[no-untyped-call]
                del reserve
            return True
        except ComputeError:
            return False
        finally:
            self._clear()

    def _clear(self) -> None:
        self.state.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.processes.device.type == "cuda":
            torch.cuda.empty_cache()
