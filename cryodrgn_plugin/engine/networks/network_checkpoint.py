"""Checkpoints: everything a training needs to go on as if it had never stopped. Atomic, and readable with
weights_only=True.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..io.reading import understood
from ..io.torch_files import load_torch, save_torch
from ..run import Run

SCHEMA = 1
KEPT = 2
"""Latest checkpoints kept beside the best one: should the newest be damaged, the one before it is there."""


@dataclass
class TrainingState:
    """Where a training stands, beside its parameters and optimisers."""

    epoch: int = 0
    """Epochs that are complete."""
    batch: int = 0
    """Batches done of the epoch in progress."""
    seconds: float = 0.0
    """Time spent training."""
    epoch_seconds: float = 0.0
    """Time spent in the epoch in progress."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums over the particles seen in the epoch in progress."""
    best_epoch: int = 0
    best_loss: float = float("inf")
    """The lowest held-out loss and the epoch that had it."""

    def require_plausible(self) -> None:
        """Raises ValueError for figures that no training has."""
        counts = (self.epoch, self.batch, self.best_epoch)
        figures = (self.seconds, self.epoch_seconds, self.best_loss, *self.sums.values())
        if not all(isinstance(n, int) and n >= 0 for n in counts) or not all(isinstance(x, float) for x in figures):
            raise ValueError("figures of another kind")


def save_checkpoint(run: Run, state: TrainingState, model: dict[str, Any], optimizers: list[dict[str, Any]]) -> None:
    """Write the checkpoint of `state.epoch` and drop those that are neither recent nor the best."""
    run.checkpoints_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": SCHEMA,
        "training": asdict(state),
        "model": model,
        "optimizers": optimizers,
        "rng": torch.get_rng_state(),
    }
    save_torch(run.checkpoint_file(state.epoch), content)
    _prune(run, state)


def load_checkpoint(path: Path, device: torch.device) -> tuple[TrainingState, dict[str, Any], list[dict[str, Any]]]:
    """(state, model, optimizers) of a checkpoint; also restores torch's own random state.

    Raises DataError when the file is not a checkpoint of this program.
    """
    with understood(f"{path} cannot be read as a checkpoint; remove it to resume from the one before."):
        content = load_torch(path, device)
        state = TrainingState(**content["training"])
        state.require_plausible()
        model, optimizers, rng = dict(content["model"]), list(content["optimizers"]), content["rng"]
        torch.set_rng_state(rng.cpu())
    return state, model, optimizers


def _prune(run: Run, state: TrainingState) -> None:
    recent = range(state.epoch - KEPT + 1, state.epoch + 1)
    for file in run.checkpoints_dir.glob("epoch_*.pt"):
        epoch = int(file.stem.removeprefix("epoch_"))
        if epoch not in recent and epoch != state.best_epoch and epoch < state.epoch:
            file.unlink(missing_ok=True)
