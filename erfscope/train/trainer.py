"""The trainer: steps of the optimizer, log, checkpoints and validation, until the end or a signal."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from erfscope.errors import ComputeError, TrainError
from erfscope.system.memory import kept_memory, translate_out_of_memory
from erfscope.system.precision import arithmetic
from erfscope.system.process_group import ProcessGroup, without_gradient_sync
from erfscope.system.signals import Stop
from erfscope.system.threads import limited_threads
from erfscope.train.crops.crop_batches import Batch
from erfscope.train.crops.crop_order import step_seed
from erfscope.train.export import Exporter
from erfscope.train.log import RunLog
from erfscope.train.loss_meter import LossMeter
from erfscope.train.losses import Loss
from erfscope.train.memory_advice import MemoryAdvice
from erfscope.train.network.auxiliary import total_loss
from erfscope.train.optimizer import learning_rate, set_training
from erfscope.train.train_state import load_state, save_state
from erfscope.train.training_setup import TrainingSetup, make_batches, make_state
from erfscope.train.validation import Validation

LAST_STATE, LAST, BEST = "last.pt", "last.safetensors", "best.safetensors"
# Steps that CUDA may be ahead of the reading of losses, which waits for it.
_AHEAD = 10
_TOO_FEW = "Expected more than 1 value per channel"
_UNREPEATABLE = "does not have a deterministic implementation"

#: Is given a row of the log after every step whose loss is read, and after validation.
ShowRow = Callable[[dict[str, Any]], None]


class Trainer:
    """Trains a network in one process, alone or together with others.

    Parameters
    ----------
    setup
        What is trained, and on which images.
    processes
        The processes that train together.
    folder
        Where the run is saved; if it holds `last.pt`, `run` resumes it.
    stop
        Is set by a signal.
    show_row
        Is given the rows of the log.

    Attributes
    ----------
    state
        What changes in training.
    meter
        Losses and speed of this session.

    Raises
    ------
    TrainError
        The recipe's network or loss can't be trained as asked.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        processes: ProcessGroup,
        folder: Path,
        stop: Stop,
        show_row: ShowRow = lambda row: None,
    ) -> None:
        recipe = setup.recipe
        self.setup, self.processes, self.folder = setup, processes, folder
        self.recipe, self.stop, self.show_row = recipe, stop, show_row
        self.state = make_state(setup, processes)
        self.model = processes.data_parallel(self.state.model)
        self.loss = Loss.from_recipe(recipe.loss, len(setup.training.classes), processes.device, setup.dtype)
        self.meter = LossMeter(processes, recipe.run.batch_size * recipe.run.accumulate * processes.size)
        self.validation: Validation | None = None
        if setup.validation is not None:
            self.validation = Validation(recipe, setup.validation, processes, lambda: bool(stop))
        self._exporter = Exporter(recipe.network.model, setup.description, recipe, setup.training)
        self._log: RunLog | None = None
        self._saved: tuple[int, int] | None = None
        self._stopped = False

    def run(self) -> bool:
        """Train to the end and return True; False after a signal, after which the run can be resumed.

        Raises
        ------
        TrainError
            The loss is no longer finite, memory ran out, or images can't be used. What was saved stays.
        """
        workers, threads = self.processes.share_cores(self.recipe.run.workers)
        if (self.folder / LAST_STATE).is_file():
            load_state(self.folder / LAST_STATE, self.state, self.recipe)
        batches = make_batches(self.setup, self.processes, workers, self.state.iteration)
        if self.processes.is_main_process:
            self._log = RunLog(self.folder, self.state.iteration)
        precision = "tf32" if self.recipe.run.precision == "tf32" else "float32"
        while not self._stopped:
            if self._validation_is_due():
                self._validate()
            elif self._is_last():
                break
            else:
                with arithmetic(precision), limited_threads(threads), kept_memory():
                    fits = self._train(batches)
                if not fits:  # tried outside the block, where memory has been given back
                    raise TrainError(self._memory_advice())
        self._save()
        if self._log is not None:
            self._log.close()
        return not self._stopped

    def step(self, batches: Iterator[Batch]) -> torch.Tensor:
        """Take one step on the next `run.accumulate` batches; return this process's mean loss, a scalar.

        `state.iteration` stays as it is.
        """
        recipe, state = self.recipe, self.state
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(recipe.schedule, group["base_lr"], state.iteration)
        torch.manual_seed(step_seed(recipe.run.seed, state.iteration, self.processes.rank))
        set_training(state.model, recipe.network)
        passes, total = recipe.run.accumulate, torch.zeros((), device=self.processes.device)
        for number in range(passes):
            images, labels = next(batches)
            with nullcontext() if number == passes - 1 else without_gradient_sync(self.model):
                loss = self.batch_loss(images, labels) / passes
                loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        if recipe.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), recipe.optimizer.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        if state.average is not None:
            state.average.follow(state.model.network)
        return total

    def batch_loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, 3, H, W) and labels (N, H, W) int64 to their loss, a scalar."""
        mixed = self.recipe.run.precision == "bfloat16"
        with torch.autocast(self.processes.device.type, torch.bfloat16) if mixed else nullcontext():
            outputs = self.model(images)
        return total_loss(
            outputs,
            labels,
            self.loss,
            auxiliary_weight=self.recipe.network.auxiliary_weight,
            align_corners=self.state.model.network.align_corners,
        )

    def _memory_advice(self) -> str:
        batch_size, size = self.recipe.run.batch_size, self.recipe.data.size
        return MemoryAdvice(self.state, self.batch_loss, self.processes, batch_size, size).text()

    def _is_last(self) -> bool:
        return self.state.iteration == self.recipe.schedule.iterations

    def _validation_is_due(self) -> bool:
        every, state = self.recipe.validation.every, self.state
        if self.validation is None or not every or state.validated == state.iteration:
            return False
        return self._is_last() or (state.iteration > 0 and state.iteration % every == 0)

    def _train(self, batches: Iterator[Batch]) -> bool:
        """Take steps until a validation is due, a signal comes, or the end; False where memory ran out."""
        self.meter.start()
        while True:
            if not self._step_fits(batches):
                return False
            saves = self._is_last() or self.state.iteration % self.recipe.run.save_every == 0
            pauses = self._is_last() or self._validation_is_due()
            if saves or pauses or self._must_read():
                self._read_losses()
            if saves and not self._stopped:
                self._save()
                self.meter.start()
            if pauses or self._stopped:
                return True

    def _step_fits(self, batches: Iterator[Batch]) -> bool:
        """Take a step and count it; False where memory ran out."""
        try:
            with translate_out_of_memory("training"):
                self.meter.add(self.step(batches))
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
        self.state.iteration += 1
        return True

    def _must_read(self) -> bool:
        """Whether to read the losses: on the CPU alone always, on CUDA or with others now and then."""
        if self.processes.size == 1 and (self.processes.device.type == "cpu" or self.stop):
            return True
        return self.meter.unread >= _AHEAD or self._is_logged()

    def _is_logged(self) -> bool:
        return self._is_last() or self.state.iteration % self.recipe.run.log_every == 0

    def _read_losses(self) -> None:
        """Read the new losses, show them, and note whether a signal came to any process."""
        state = self.state
        losses, seconds = self.meter.read()
        state.seconds += seconds
        for number, loss in enumerate(losses, state.iteration - len(losses) + 1):
            if not math.isfinite(loss):
                raise TrainError(self._diverged(f"the loss is {loss} at iteration {number}"))
        state.loss = self.meter.window_loss
        row = self._row(
            loss=state.loss,
            lr=state.optimizer.param_groups[0]["lr"],
            images_per_second=self.meter.window_speed,
        )
        self.show_row(row)
        if self._is_logged():
            self._write(row)
            self.meter.close_window()
        self._stopped = self.processes.any(bool(self.stop))

    def _validate(self) -> None:
        """Score the network, and export it if it is the best so far."""
        assert self.validation is not None
        began, state = time.perf_counter(), self.state
        self._refuse_infinite()
        scores = self.validation.scores(state.network)
        state.seconds += time.perf_counter() - began
        if scores is None:
            self._stopped = True
            return
        state.validated, state.miou = state.iteration, _finite(scores.miou)
        if state.miou is not None and (state.best_miou is None or state.miou > state.best_miou):
            state.best_miou, state.best_iteration = state.miou, state.iteration
            self._export(BEST)
        row = self._row(
            miou=state.miou,
            pixel_accuracy=_finite(scores.pixel_accuracy),
            val_images=len(self.validation.dataset),
        )
        self.show_row(row)
        self._write(row)
        self._save()

    def _row(self, **values: Any) -> dict[str, Any]:
        return {"iteration": self.state.iteration, "seconds": round(self.state.seconds, 3), **values}

    def _write(self, row: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.add(row)

    def _save(self) -> None:
        """Write state and weights in the main process, while the others wait."""
        now = self.state.iteration, self.state.validated
        if now == self._saved:
            return
        self._refuse_infinite()
        if self.processes.is_main_process:
            metadata = self._exporter.metadata(iteration=self.state.iteration)
            save_state(self.folder / LAST_STATE, self.state, self.recipe, metadata)
            self._export(LAST)
        self.processes.barrier()
        self._saved = now

    def _export(self, name: str) -> None:
        if self.processes.is_main_process:
            facts = {"iteration": self.state.iteration, "miou": self.state.miou}
            self._exporter.write(self.folder / name, self.state.network.state_dict(), **facts)

    def _refuse_infinite(self) -> None:
        """Refuse to keep weights that a step with a finite loss has ruined."""
        name = self.state.first_not_finite()
        if name is not None:
            raise TrainError(
                self._diverged(f"{name} is no longer finite at iteration {self.state.iteration}")
            )

    def _diverged(self, fact: str) -> str:
        saved = self.folder / LAST_STATE
        kept = f"{saved} holds the last checkpoint" if saved.is_file() else "no checkpoint was due before"
        return f"{fact}; {kept}; lower --lr, or give --set schedule.warmup=N or --set optimizer.clip_norm=1"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
