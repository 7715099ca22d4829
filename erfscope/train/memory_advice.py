"""What to do when memory runs out: tries smaller batches and crops, and says which fit."""

import gc
from dataclasses import dataclass

import torch

from erfscope.errors import ComputeError
from erfscope.system.memory import translate_out_of_memory
from erfscope.train.trainer import Stepper

_SHRINK = (0.75, 0.5, 0.25)
_GRID = 32  # px, the coarsest stride of a backbone


@dataclass(frozen=True)
class Room:
    """Tries passes of a training that didn't fit."""

    stepper: Stepper
    batch: int
    size: tuple[int, int]

    def advice(self) -> str:
        """Say what does fit, in one line. With several processes nothing is tried, for all would have to."""
        height, width = self.size
        fact = f"a batch of {self.batch} crops of {height}×{width} px needs more memory than there is"
        if self.stepper.world.size > 1:
            return f"{fact}; give a smaller --batch-size or --size"
        batch = next((n for n in self._batches() if self._fits(n, self.size)), None)
        size = next((s for s in self._sizes() if self._fits(self.batch, s)), None)
        remedies = []
        if batch is not None:
            passes = -(-self.batch // batch)
            remedies.append(f"--batch-size {batch} (with --set run.accumulate={passes} for the same step)")
        if size is not None:
            remedies.append(f"--size {size[0]}x{size[1]}")
        tried = " or ".join(remedies) + (" fits" if len(remedies) == 1 else " fit")
        return f"{fact}; {tried if remedies else 'a quarter of either does not fit; give a smaller network'}"

    def _batches(self) -> list[int]:
        """Half the batch, and so on; two at least, for batch norm after image pooling."""
        halves = [self.batch // 2**step for step in range(1, 8)]
        return [half for half in halves if half >= 2]

    def _sizes(self) -> list[tuple[int, int]]:
        def shrunk(side: int, share: float) -> int:
            return max(_GRID, round(side * share / _GRID) * _GRID) + (side % 8 == 1)

        return [(shrunk(self.size[0], share), shrunk(self.size[1], share)) for share in _SHRINK]

    def _fits(self, batch: int, size: tuple[int, int]) -> bool:
        stepper, device = self.stepper, self.stepper.world.device
        dtype = next(stepper.parts.model.parameters()).dtype
        try:
            self._clear()
            with translate_out_of_memory("a trial"):
                reserve = [torch.empty_like(p) for p in stepper.parts.model.parameters() for _ in range(2)]
                images = torch.zeros(batch, 3, *size, device=device, dtype=dtype)
                labels = torch.zeros(batch, *size, device=device, dtype=torch.int64)
                loss = stepper.loss_of(stepper.parts.model, images, labels)
                loss.backward()  # type: ignore[no-untyped-call]
                del reserve
            return True
        except ComputeError:
            return False
        finally:
            self._clear()

    def _clear(self) -> None:
        self.stepper.parts.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.stepper.world.device.type == "cuda":
            torch.cuda.empty_cache()
