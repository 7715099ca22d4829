"""The loop: steps, the log, checkpoints and validation, until the end or a signal."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from erfscope.engine.memory import kept_memory, told_when_it_ends
from erfscope.engine.precision import arithmetic
from erfscope.engine.run import limited_threads
from erfscope.errors import ComputeError, TrainError
from erfscope.records.scores import Scores
from erfscope.train.export import Exporter
from erfscope.train.interrupt import Stop
from erfscope.train.log import RunLog
from erfscope.train.recipe import Recipe
from erfscope.train.room import Room
from erfscope.train.state import Parts, Progress, save_state
from erfscope.train.step import Batches, Stepper
from erfscope.train.validation import Validation

LAST_STATE, LAST, BEST = "last.pt", "last.safetensors", "best.safetensors"
# Steps that CUDA may be ahead of the check of the loss, which waits for it.
_AHEAD = 10
_TOO_FEW = "Expected more than 1 value per channel"

#: Is shown a row of the log after every step that is checked.
Show = Callable[[dict[str, Any]], None]


@dataclass
class Loop:
    """A run in one process.

    Attributes
    ----------
    batches
        From the current iteration to the last.
    threads
        Torch's.
    validation
        None: none.
    show
        The display.
    """

    recipe: Recipe
    stepper: Stepper
    batches: Batches
    threads: int
    validation: Validation | None
    exporter: Exporter
    folder: Path
    log: RunLog | None
    stop: Stop
    show: Show
    _losses: list[torch.Tensor] = field(default_factory=list)
    _since_log: list[float] = field(default_factory=list)
    _clock: float = 0.0
    _busy: float = 0.0
    _logged_busy: float = 0.0
    trained: int = 0

    def run(self) -> bool:
        """Train to the end and return True; False if a signal came, after which the run can be resumed.

        Raises
        ------
        TrainError
            The loss is no longer finite, memory ran out, or images can't be used. What was saved stays.
        """
        while True:
            if self._validation_is_due() and not self._validate():
                return self._leave(finished=False)
            if self.progress.iteration == self.recipe.schedule.iterations:
                return self._leave(finished=True)
            with arithmetic(self._arithmetic), limited_threads(self.threads), kept_memory():
                if not self._train():
                    return self._leave(finished=False)

    @property
    def parts(self) -> Parts:
        """What moves."""
        return self.stepper.parts

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self.parts.progress

    @property
    def images_per_second(self) -> float | None:
        """Of all processes, in this session; without validation and checkpoints. None before any."""
        return self.trained / self._busy if self._busy else None

    @property
    def _arithmetic(self) -> str:
        return "tf32" if self.recipe.run.precision == "tf32" else "float32"

    def _train(self) -> bool:
        """Take steps until a validation is due or the end; False if a signal came."""
        self._clock = time.perf_counter()
        while True:
            self._losses.append(self._step())
            self.progress.iteration += 1
            self.trained += self._images_a_step
            ended = self._is_checkpoint() or self._validation_is_due()
            if ended or self._must_check():
                stopped = self._check()
                if self._is_checkpoint() and not stopped:
                    self._save()
                    self._clock = time.perf_counter()
                if stopped:
                    return False
            if self.progress.iteration == self.recipe.schedule.iterations or self._validation_is_due():
                return True

    @property
    def _images_a_step(self) -> int:
        run = self.recipe.run
        return run.batch_size * run.accumulate * self.stepper.world.size

    def _is_checkpoint(self) -> bool:
        iteration = self.progress.iteration
        return iteration % self.recipe.run.save_every == 0 or iteration == self.recipe.schedule.iterations

    def _must_check(self) -> bool:
        world = self.stepper.world
        if world.device.type == "cpu" and world.size == 1:
            return True
        waiting = len(self._losses) >= min(_AHEAD, self.recipe.run.log_every)
        return waiting or (world.size == 1 and bool(self.stop))

    def _check(self) -> bool:
        """Read the losses since the last check, log them, and tell whether a signal came to any process."""
        world, progress = self.stepper.world, self.progress
        losses = (world.sum(torch.stack(self._losses)) / world.size).tolist()
        self._losses.clear()
        now = time.perf_counter()
        self._busy += now - self._clock
        progress.seconds += now - self._clock
        self._clock = now
        first = progress.iteration - len(losses) + 1
        for number, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise TrainError(self._diverged(f"the loss is {loss} at iteration {first + number}"))
        self._since_log += losses
        progress.loss = sum(self._since_log) / len(self._since_log)
        self._tell()
        return world.any(bool(self.stop)) if world.size > 1 else bool(self.stop)

    def _tell(self) -> None:
        """Show how far the run is, and log it where it is time to."""
        progress, run = self.progress, self.recipe.run
        steps, busy = len(self._since_log), self._busy - self._logged_busy
        row = {
            "iteration": progress.iteration,
            "seconds": round(progress.seconds, 3),
            "loss": progress.loss,
            "lr": self.parts.optimizer.param_groups[0]["lr"],
            "images_per_second": steps * self._images_a_step / busy if busy else None,
        }
        self.show(row)
        last = progress.iteration == self.recipe.schedule.iterations
        if progress.iteration % run.log_every == 0 or last or steps >= run.log_every:
            self._write(row)
            self._since_log.clear()
            self._logged_busy = self._busy

    def _write(self, row: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.add(row)

    def _diverged(self, fact: str) -> str:
        saved = self.folder / LAST_STATE
        kept = f"{saved} holds the last checkpoint" if saved.is_file() else "no checkpoint was due before"
        return f"{fact}; {kept}; lower --lr, or give --set schedule.warmup=N or --set optimizer.clip_norm=1"

    def _validation_is_due(self) -> bool:
        every, progress = self.recipe.validation.every, self.progress
        if self.validation is None or not every or progress.validated == progress.iteration:
            return False
        last = progress.iteration == self.recipe.schedule.iterations
        return last or (progress.iteration > 0 and progress.iteration % every == 0)

    def _validate(self) -> bool:
        """Score the network and keep it if it is the best; False if a signal came meanwhile."""
        assert self.validation is not None
        began, progress = time.perf_counter(), self.progress
        self._check_weights()
        scores = self.validation.scores(self.parts.weights)
        progress.seconds += time.perf_counter() - began
        if scores is None:
            return False
        progress.validated, progress.miou = progress.iteration, _finite(scores.miou)
        if progress.miou is not None and progress.miou > (progress.best_miou or -1.0):
            progress.best_miou, progress.best_iteration = progress.miou, progress.iteration
            self._export(BEST)
        row = self._row_of(scores)
        self.show(row)
        self._write(row)
        self._save()
        return True

    def _row_of(self, scores: Scores) -> dict[str, Any]:
        assert self.validation is not None
        return {
            "iteration": self.progress.iteration,
            "seconds": round(self.progress.seconds, 3),
            "miou": _finite(scores.miou),
            "pixel_accuracy": _finite(scores.pixel_accuracy),
            "val_images": len(self.validation.dataset),
        }

    def _leave(self, *, finished: bool) -> bool:
        self._save()
        if self.log is not None:
            self.log.close()
        return finished

    def _save(self) -> None:
        """Write state and weights, by one process, which the others wait for."""
        self._check_weights()
        if self.stepper.world.leads:
            metadata = self.exporter.metadata(iteration=self.progress.iteration)
            save_state(self.folder / LAST_STATE, self.parts, self.recipe, metadata)
            self._export(LAST)
        self.stepper.world.wait()

    def _export(self, name: str) -> None:
        if self.stepper.world.leads:
            facts = {"iteration": self.progress.iteration, "miou": self.progress.miou}
            self.exporter.write(self.folder / name, self.parts.weights.state_dict(), **facts)

    def _check_weights(self) -> None:
        """Refuse to keep weights that a finite loss has made infinite."""
        for name, tensor in self.parts.model.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                at = self.progress.iteration
                raise TrainError(self._diverged(f"{name} is no longer finite at iteration {at}"))

    def _step(self) -> torch.Tensor:
        """Take a step, and tell in a line why it can't be taken."""
        try:
            with told_when_it_ends("training"):
                return self.stepper.step(self.batches)
        except ComputeError:
            pass  # what it has computed lives as long as the error; the trials below need the memory
        except ValueError as error:
            if _TOO_FEW not in str(error):
                raise
            raise TrainError(
                "batch norm after image pooling has one value to normalize in a batch of 1; give --batch-size"
                " 2 or more, or --set network.batch_norm=frozen"
            ) from error
        room = Room(self.stepper, self.recipe.run.batch_size, self.recipe.data.size)
        raise TrainError(room.advice())


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
