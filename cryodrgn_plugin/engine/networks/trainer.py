"""One trainer for every decoder, encoder and number of candidate poses: epochs of Adam steps, checkpoints, early
stopping.

Every random choice of a step comes from a generator seeded with (seed, epoch, batch), and the order of batches from
(seed, epoch), so a training that was killed and resumed takes the same steps as one that was not. Processes that share
a training share every batch: each explains its own images of it, and all take the step that is the sum of what they
found, which is that of one process.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..config import TrainingConfig
from ..data.batch import ImageBatch
from ..data.loader import BatchLoader
from ..data.step_draws import StepDraws
from ..errors import DataError
from ..io.reading import understood
from ..out_of_memory import Halving
from ..ranks import Ranks
from ..run import Run
from ..stopping import KEEP, STOP, Stopped, StopRequest, graceful_stop
from .network_checkpoint import TrainingState, load_checkpoint, save_checkpoint
from .network_settings import require_work_for_all
from .objective import LossTerms
from .optimizers import add_up_gradients, make_optimizers, set_learning_rate
from .rate_schedule import learning_rate

CHECK_EVERY = 32
"""Steps between looks at the loss; looking makes a GPU wait."""


class Objective(Protocol):
    """What the trainer minimises: a module with parameters."""

    divides: bool
    """Whether the loss of a batch is the mean of those of its particles, each by itself."""

    def __call__(self, batch: ImageBatch, beta: float, draws: StepDraws) -> LossTerms: ...

    def evaluate(self, batch: ImageBatch, beta: float) -> LossTerms: ...


class Preparation(Protocol):
    """What may happen before a step, such as a search for poses."""

    def __call__(self, epoch: int, batch: int, order: np.ndarray) -> bool:
        """Prepare `batch` of `epoch`, both counted from 0; True when the parameters have begun anew.

        `order` (N,) has the particles in the order of the epoch. What it changes is part of the objective's state.
        """


class Trainer:
    """Minimises an objective over the particles of a loader.

    Parameters
    ----------
    run : receives metrics, progress and checkpoints.
    objective : a module; `tables` and `volumes` list those of its parameters that have sparse gradients.
    held_out : particles that are only looked at, for the held-out loss; None without.
    beta : weight of the prior as a function of the epochs done.
    prepare : called before each step.
    """

    def __init__(
        self,
        run: Run,
        objective: nn.Module,
        loader: BatchLoader,
        held_out: BatchLoader | None,
        config: TrainingConfig,
        *,
        beta: Callable[[float], float],
        seed: int,
        device: torch.device,
        tables: list[nn.Parameter],
        volumes: list[nn.Parameter],
        prepare: Preparation | None = None,
    ):
        self.run, self.objective, self.loader, self.held_out = run, objective, loader, held_out
        self.config, self.beta, self.seed, self.device = config, beta, seed, device
        self.prepare, self._tables, self._volumes, self.ranks = prepare, tables, volumes, loader.ranks
        self.optimizers = make_optimizers(objective, tables, volumes)
        self.state = TrainingState()
        require_work_for_all(loader.particles_in(0))
        batches = f"batches of {loader.batch_size} particles"
        self._halving = Halving(batches, "a smaller training.batch_size", run.log, objective.divides)

    def fit(self, resume: bool = False, until_epoch: int | None = None) -> None:
        """Train to the last epoch, or until the held-out loss no longer falls; pause after `until_epoch` if it is
        earlier.

        Raises
        ------
        Stopped : a signal or a request came, or the training pauses; a checkpoint was written first.
        EndedEarly : the training was asked to end with the epoch that it was in.
        DataError : the loss is no longer a number.
        """
        if resume:
            self._resume()
        with graceful_stop(self.run.stop_file) as stop:
            while self.state.epoch < self.config.epochs and not self._has_stalled():
                if self.state.epoch and self.ranks.any(stop.wish == KEEP):
                    self._save(all_need_it=True)
                    stop.raise_if_requested(agreed=lambda wish: KEEP)
                if until_epoch is not None and self.state.epoch >= until_epoch:
                    self._pause()
                self._train_epoch(stop)
        if self.config.early_stop and self.state.best_epoch < self.state.epoch:
            self._load_best()

    def _pause(self) -> None:
        self._save()
        raise Stopped(
            f"The training pauses after epoch {self.state.epoch} of {self.config.epochs}; resume it to go on."
        )

    def _resume(self) -> None:
        path = self.run.latest_checkpoint()
        if path is None:
            return
        self._load(path)
        batch = f", batch {self.state.batch}" if self.state.batch else ""
        self.run.log(f"Resuming after epoch {self.state.epoch}{batch}.")

    def _load(self, path) -> None:
        self.state, model, optimizers = load_checkpoint(path, self.device)
        with understood(f"{path} is of another model; remove it to resume from the one before."):
            self.objective.load_state_dict(model)
            for optimizer, saved in zip(self.optimizers, optimizers, strict=True):
                optimizer.load_state_dict(saved)

    def _load_best(self) -> None:
        self.run.log(f"Taking epoch {self.state.best_epoch}, which had the lowest held-out loss.")
        self._load(self.run.checkpoint_file(self.state.best_epoch))

    def _has_stalled(self) -> bool:
        patience = self.config.early_stop
        stalled = patience > 0 and self.state.best_epoch > 0 and self.state.epoch - self.state.best_epoch >= patience
        if stalled:
            self.run.log(f"Stopping early: the held-out loss has not fallen for {patience} epochs.")
        return stalled

    def _train_epoch(self, stop: StopRequest) -> None:
        """The epoch in progress, from the batch where it stands to its end."""
        state, began = self.state, time.perf_counter()
        # What was summed before a stop was summed in all processes.
        begun = state.sums if self.ranks.own == 0 else dict.fromkeys(state.sums, 0.0)
        sums = {name: torch.tensor(value, dtype=torch.float64, device=self.device) for name, value in begun.items()}
        order = self.loader.order(state.epoch)
        for batch in self.loader.iterate(state.epoch, start_batch=state.batch):
            if self.prepare is not None and self.prepare(state.epoch, state.batch, order):
                self.optimizers = make_optimizers(self.objective, self._tables, self._volumes)
            self.objective.train()
            for terms, images in self._step(batch, self.loader.images_in(state.batch, order)):
                _accumulate(sums, terms, images)
            state.batch += 1
            if state.batch % CHECK_EVERY == 0:
                self._totals(sums)
            if self.ranks.any(stop.requested):
                state.sums = self._totals(sums)
                state.epoch_seconds += time.perf_counter() - began
                self._save()
                stop.raise_if_requested(agreed=lambda wish: STOP)
        totals = self._totals(sums)
        state.epoch_seconds += time.perf_counter() - began
        self._finish_epoch(totals)

    def _step(self, batch: ImageBatch, counts: np.ndarray) -> list[tuple[LossTerms, int]]:
        """One step, by this process's images of a batch, whose particles have `counts` (P,) images in all processes:
        what was found of how many of them, piece by piece.
        """
        for optimizer in self.optimizers:
            set_learning_rate(optimizer, learning_rate(self.config, self._epochs_done))
        told = self._halving.run(lambda pieces: self._explain(batch, counts, pieces))
        if not self.ranks.alone:
            add_up_gradients(self.optimizers, self.ranks)
        for optimizer in self.optimizers:
            optimizer.step()
        return told

    def _explain(self, batch: ImageBatch, counts: np.ndarray, pieces: int) -> list[tuple[LossTerms, int]]:
        """Leave the gradients of this process's share of the loss, from as many pieces of its images."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        own, told = self.ranks.share(len(counts)), []
        first_image = np.append(0, np.cumsum(counts)).tolist()
        for piece in filter(len, (Ranks(number, pieces).share(len(own)) for number in range(pieces))):
            rows = range(own.start + piece.start, own.start + piece.stop)
            images, before = range(first_image[rows.start], first_image[rows.stop]), first_image[own.start]
            part = batch.part(slice(images.start - before, images.stop - before)) if pieces > 1 else batch
            draws = step_draws(self.seed, self.state.epoch, self.state.batch, rows, len(counts))
            draws = replace(draws, images=(images, first_image[-1]))
            terms = self.objective(part.torch(self.device), self.beta(self._epochs_done), draws)
            # The loss of a batch is the mean over its images.
            (terms.total * (len(images) / first_image[-1])).backward()
            told.append((terms.detached(), len(part)))
        return told

    @property
    def _epochs_done(self) -> float:
        return self.state.epoch + self.state.batch / len(self.loader)

    def _finish_epoch(self, sums: dict[str, float]) -> None:
        state = self.state
        rate, beta = learning_rate(self.config, state.epoch), self.beta(state.epoch + 1)
        state.epoch += 1
        state.seconds += state.epoch_seconds
        count = sums.pop("count")
        row = {"epoch": state.epoch, "seconds": round(state.seconds, 3)}
        row |= {name: value / count for name, value in sums.items()} | {"learning_rate": rate}
        if self.held_out is not None:
            row["held_out"] = self._held_out_loss(beta)
            if row["held_out"] < state.best_loss:
                state.best_loss, state.best_epoch = row["held_out"], state.epoch
        state.batch, state.sums, state.epoch_seconds = 0, {}, 0.0
        self.run.append_metrics(row)
        is_best = self.config.early_stop and state.best_epoch == state.epoch
        if state.epoch % self.config.checkpoint_every == 0 or state.epoch == self.config.epochs or is_best:
            self._save()
        self.run.progress("epoch", state.epoch, self.config.epochs, loss=row["loss"])

    def _held_out_loss(self, beta: float) -> float:
        self.objective.eval()
        own, total = self.ranks.share(len(self.held_out)), torch.zeros((), dtype=torch.float64)
        for batch in self.held_out.iterate(0, own.start, own.stop):
            total += float(self.objective.evaluate(batch.torch(self.device), beta).total) * len(batch)
        self.ranks.total(total)
        return float(total) / self.held_out.dataset.n

    def _save(self, all_need_it: bool = False) -> None:
        """Leave a checkpoint; of several processes the first does, and all where each comes back to it."""
        if self.ranks.own and not (all_need_it or self.config.early_stop):
            return
        save_checkpoint(self.run, self.state, self.objective.state_dict(), [o.state_dict() for o in self.optimizers])

    def _totals(self, sums: dict[str, torch.Tensor]) -> dict[str, float]:
        """Sums over the particles seen by all processes. Raises DataError where one is no number."""
        totals = torch.stack([value.cpu() for value in sums.values()])
        self.ranks.total(totals)
        if bool(totals.isfinite().all()):
            return dict(zip(sums, totals.tolist(), strict=True))
        raise DataError(
            f"The loss stopped being a number in epoch {self.state.epoch + 1} (by batch {self.state.batch}). "
            f"Start again with a training.learning_rate below {self.config.learning_rate:g} or "
            "training.precision = float32; the checkpoints written before are intact."
        )


def step_draws(seed: int, epoch: int, batch: int, own: range = range(1), count: int = 1) -> StepDraws:
    """The random numbers of one training step, for the particles `own` of its `count`."""
    mixed = ((seed * 1_000_003 + epoch) * 1_000_003 + batch) % (2**63)
    return StepDraws(torch.Generator().manual_seed(mixed), own, count)


def _accumulate(sums: dict[str, torch.Tensor], terms: LossTerms, count: int) -> None:
    values = {"loss": terms.total, "reconstruction": terms.reconstruction, "kl": terms.divergence, **terms.others}
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + value.double() * count
    sums["count"] = sums.get("count", torch.zeros((), dtype=torch.float64)) + count
