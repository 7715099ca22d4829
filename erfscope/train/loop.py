"""The loop: steps, the log, checkpoints and validation, until the end or a signal."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erfscope.engine.accumulation import limited_threads
from erfscope.errors import ComputeError, TrainError
from erfscope.system.memory import kept_memory, translate_out_of_memory
from erfscope.system.precision import arithmetic
from erfscope.system.signals import Stop
from erfscope.train.export import Exporter
from erfscope.train.log import RunLog
from erfscope.train.loss_meter import Tally
from erfscope.train.memory_advice import Room
from erfscope.train.recipes.recipe import Recipe
from erfscope.train.train_state import Parts, Progress, save_state
from erfscope.train.trainer import Batches, Stepper
from erfscope.train.validation import Validation

LAST_STATE, LAST, BEST = "last.pt", "last.safetensors", "best.safetensors"
# Steps that CUDA may be ahead of the check of the loss, which waits for it.
_AHEAD = 10
_TOO_FEW = "Expected more than 1 value per channel"
_UNREPEATABLE = "does not have a deterministic implementation"

#: Is shown a row of the log after every step that is checked, and after validation.
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
    log, show
        The log, which one process writes, and the display.
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
    tally: Tally = field(init=False)
    _saved: tuple[int, int] | None = None
    _stopped: bool = False

    def __post_init__(self) -> None:
        run, world = self.recipe.run, self.stepper.world
        self.tally = Tally(world, run.batch_size * run.accumulate * world.size)

    @property
    def parts(self) -> Parts:
        """What moves."""
        return self.stepper.parts

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self.parts.progress

    def run(self) -> bool:
        """Train to the end and return True; False if a signal came, after which the run can be resumed.

        Raises
        ------
        TrainError
            The loss is no longer finite, memory ran out, or images can't be used. What was saved stays.
        """
        precision = "tf32" if self.recipe.run.precision == "tf32" else "float32"
        while not self._stopped:
            if self._validation_is_due():
                self._validate()
            elif self._is_last():
                break
            else:
                with arithmetic(precision), limited_threads(self.threads), kept_memory():
                    fits = self._train()
                if not fits:  # asked outside, where the memory has been given back
                    room = Room(self.stepper, self.recipe.run.batch_size, self.recipe.data.size)
                    raise TrainError(room.advice())
        self._save()
        if self.log is not None:
            self.log.close()
        return not self._stopped

    def _is_last(self) -> bool:
        return self.progress.iteration == self.recipe.schedule.iterations

    def _validation_is_due(self) -> bool:
        every, progress = self.recipe.validation.every, self.progress
        if self.validation is None or not every or progress.validated == progress.iteration:
            return False
        return self._is_last() or (progress.iteration > 0 and progress.iteration % every == 0)

    def _train(self) -> bool:
        """Take steps until a validation is due, a signal comes, or the end; False where memory ended."""
        self.tally.start()
        while True:
            if not self._step():
                return False
            saves = self._is_last() or self.progress.iteration % self.recipe.run.save_every == 0
            pauses = self._is_last() or self._validation_is_due()
            if saves or pauses or self._must_check():
                self._check()
            if saves and not self._stopped:
                self._save()
                self.tally.start()
            if pauses or self._stopped:
                return True

    def _step(self) -> bool:
        """Take a step; False where memory ended."""
        try:
            with translate_out_of_memory("training"):
                self.tally.add(self.stepper.step(self.batches))
        except ComputeError:
            return False
        except ValueError as error:
            if _TOO_FEW not in str(error):
                raise
            raise TrainError(
                "batch norm after image pooling has one value to normalize in a batch of 1; give --batch-size"
                " 2 or more, or --set network.batch_norm=frozen"
            ) from error
        except RuntimeError as error:
            if _UNREPEATABLE not in str(error):
                raise
            what = str(error).partition(" ")[0]
            raise TrainError(
                f"{what} has no algorithm on this device that repeats its bits; leave run.deterministic out"
            ) from error
        self.progress.iteration += 1
        return True

    def _must_check(self) -> bool:
        """Whether to read the losses: on the CPU always, on CUDA and with others now and then."""
        world = self.stepper.world
        if world.size == 1 and (world.device.type == "cpu" or self.stop):
            return True
        return self.tally.unread >= _AHEAD or self._is_logged()

    def _is_logged(self) -> bool:
        return self._is_last() or self.progress.iteration % self.recipe.run.log_every == 0

    def _check(self) -> None:
        """Read the losses since the last check, tell of them, and note whether a signal came to anyone."""
        world, progress = self.stepper.world, self.progress
        losses, seconds = self.tally.read()
        progress.seconds += seconds
        for number, loss in enumerate(losses, progress.iteration - len(losses) + 1):
            if not math.isfinite(loss):
                raise TrainError(self._diverged(f"the loss is {loss} at iteration {number}"))
        progress.loss = self.tally.window_loss
        row = self._row(
            loss=progress.loss,
            lr=self.parts.optimizer.param_groups[0]["lr"],
            images_per_second=self.tally.window_speed,
        )
        self.show(row)
        if self._is_logged():
            self._write(row)
            self.tally.close_window()
        self._stopped = world.any(bool(self.stop))

    def _validate(self) -> None:
        """Score the network, and keep it if it is the best so far."""
        assert self.validation is not None
        began, progress = time.perf_counter(), self.progress
        self._refuse_infinite()
        scores = self.validation.scores(self.parts.weights)
        progress.seconds += time.perf_counter() - began
        if scores is None:
            self._stopped = True
            return
        progress.validated, progress.miou = progress.iteration, _finite(scores.miou)
        if progress.miou is not None and (progress.best_miou is None or progress.miou > progress.best_miou):
            progress.best_miou, progress.best_iteration = progress.miou, progress.iteration
            self._export(BEST)
        row = self._row(
            miou=progress.miou,
            pixel_accuracy=_finite(scores.pixel_accuracy),
            val_images=len(self.validation.dataset),
        )
        self.show(row)
        self._write(row)
        self._save()

    def _row(self, **told: Any) -> dict[str, Any]:
        progress = self.progress
        return {"iteration": progress.iteration, "seconds": round(progress.seconds, 3), **told}

    def _write(self, row: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.add(row)

    def _save(self) -> None:
        """Write state and weights, by one process, which the others wait for."""
        at = self.progress.iteration, self.progress.validated
        if at == self._saved:
            return
        self._refuse_infinite()
        if self.stepper.world.leads:
            metadata = self.exporter.metadata(iteration=self.progress.iteration)
            save_state(self.folder / LAST_STATE, self.parts, self.recipe, metadata)
            self._export(LAST)
        self.stepper.world.wait()
        self._saved = at

    def _export(self, name: str) -> None:
        if self.stepper.world.leads:
            facts = {"iteration": self.progress.iteration, "miou": self.progress.miou}
            self.exporter.write(self.folder / name, self.parts.weights.state_dict(), **facts)

    def _refuse_infinite(self) -> None:
        """Refuse to keep weights that a step with a finite loss has ruined."""
        for name, tensor in self.parts.model.state_dict().items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                at = self.progress.iteration
                raise TrainError(self._diverged(f"{name} is no longer finite at iteration {at}"))

    def _diverged(self, fact: str) -> str:
        saved = self.folder / LAST_STATE
        kept = f"{saved} holds the last checkpoint" if saved.is_file() else "no checkpoint was due before"
        return f"{fact}; {kept}; lower --lr, or give --set schedule.warmup=N or --set optimizer.clip_norm=1"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
