"""What a training that looks for poses does before a step, by its schedule: draw, search or refine poses, and begin
the network anew.
"""

from collections.abc import Callable

import numpy as np
import torch

from ..ab_initio.refinement import refine_poses
from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..poses.refine_options import RefineOptions
from ..ranks import Ranks
from ..run import Run
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .objective import VaeObjective
from .pose_schedule import PoseSchedule
from .pose_search import PoseSearch
from .pose_table import PoseTable


class PosePreparation:
    """The trainer's preparation of steps (`trainer.Preparation`) for an objective with a pose table.

    In an epoch that searches, particles are searched a block at a time, just before the steps that learn from them: a
    map that is still forming takes shape block by block.

    Parameters
    ----------
    series : whose images the dataset has.
    latents : the current z (B, Z) of the particles (B,), None without latent.
    batch_size : particles (or pairs) a step learns from.
    untrained : makes an objective like this one with fresh parameters, from a seed.
    """

    def __init__(
        self,
        run: Run,
        dataset: ParticleDataset,
        objective: VaeObjective,
        search: PoseSearch,
        series: TiltSeries,
        schedule: PoseSchedule,
        latents: Callable[[np.ndarray], np.ndarray | None],
        untrained: Callable[[int], VaeObjective],
        config: RunConfig,
        batch_size: int,
    ):
        assert objective.poses is not None
        self._run, self._dataset, self._objective, self._table = run, dataset, objective, objective.poses
        self._search, self._schedule, self._seed = search, schedule, config.seed
        self._compute = Compute.chosen(config)
        self._series, self._latents, self._untrained = series, latents, untrained
        self._batch_size = batch_size
        self._block = max(1, config.poses.block // batch_size)

    def __call__(self, epoch: int, batch: int, order: np.ndarray) -> bool:
        plan = self._schedule.plan(epoch)
        if plan.poses == "search" and batch % self._block == 0:
            first = batch * self._batch_size
            self._search_block(order[first : first + self._block * self._batch_size], epoch, batch, plan.march)
        if batch:
            return False
        if plan.poses == "draw":
            self._table.draw(self._seed)
        elif plan.poses == "refine":
            self._refine()
        if plan.reset:
            self._begin_anew(epoch)
        return plan.reset

    def _search_block(self, index: np.ndarray, epoch: int, batch: int, march: float) -> None:
        number = epoch * self._dataset.n + batch
        self._search.run(self._objective.decoder, self._latents(index), self._table, index, march, number)

    def _refine(self) -> None:
        posed = posed_dataset(self._dataset, self._table)
        z = self._latents(np.arange(self._series.n))
        z_of_images = None if z is None else self._series.to_images(z)
        asked = {"z": z_of_images, "seed": self._seed, "compute": self._compute, "ranks": Ranks.present()}
        refined = refine_poses(posed, RefineOptions(rounds=1), **asked).poses
        self._table.put(np.arange(posed.n), refined.rotations, refined.shifts_ang, refined.score)

    def _begin_anew(self, epoch: int) -> None:
        poses = {name: value for name, value in self._objective.state_dict().items() if name.startswith("poses.")}
        torch.manual_seed(self._seed + epoch)
        fresh = self._untrained(self._seed + epoch)
        self._objective.load_state_dict({**fresh.state_dict(), **poses})
        self._run.log("The network begins anew on the poses found.")


def posed_dataset(dataset: ParticleDataset, table: PoseTable) -> ParticleDataset:
    """The particles with the poses of the table."""
    return dataset.with_poses(on_host(table.rotations), on_host(table.shifts_ang))
