"""A run for each of several regions of a focus, inside the run of all of them.

RUN/regions/NAME is a run like any other: it has the latents of one region, and maps in which the others are what they
are on average. So whoever looks at runs looks at a region without knowing that there are more. The run itself has the
latents of all regions side by side, and the maps that all of them make together.
"""

import os
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig, with_settings
from ..data.dataset import ParticleDataset
from ..likelihood.linear_model import LinearModel
from ..likelihood.outside import members
from ..run import Run
from ..slicing.place import on_host
from .fast_checkpoint import State
from .fast_results import Outcome, leave, save_decoders
from .focus import Focus
from .focus_places import with_mean
from .nuisance_report import learned_of_images, worth_telling


@dataclass(frozen=True)
class FocusMaps:
    """The half-sets' maps as functions of the harmonics of all regions, one after the other, and these: `features`,
    (M, 1 + Q) for each region.
    """

    halves: list[LinearModel]
    features: list[Tensor]

    @property
    def own(self) -> list[Tensor]:
        """(Q,) numbers of the bases of each region."""
        return members(tuple(each.shape[1] - 1 for each in self.features), self.features[0].device)

    def of_region(self, number: int, state: State) -> list[LinearModel]:
        """As functions of one region's harmonics alone, the others what they are on average over the particles."""
        channels = 1 + self.halves[0].n_bases
        mixed = torch.zeros(channels, self.features[number].shape[1], dtype=torch.float64, device=self.features[0].device)
        mixed[0, 0] = 1
        for other, (own, at) in enumerate(zip(self.own, self.features, strict=True)):
            if other == number:
                mixed[own + 1, torch.arange(1, len(own) + 1, device=own.device)] = 1
            else:
                mixed[own + 1, 0] = (state.places.regions[other].responsible.shares @ at[:, 1:]).mean(0)
        return [model.mixed(mixed) for model in self.halves]


def region_runs(run: Run, config: RunConfig, focus: Focus) -> tuple[Run, ...]:
    """The run of each region: `run` itself where there is but one."""
    if len(focus.regions) == 1:
        return (run,)
    return tuple(
        Run.create(run.region_dir(each.name), with_settings(config, closed_form={"focus": each.text}), resume=True)
        for each in focus.regions
    )


def leave_regions(
    run: Run,
    runs: tuple[Run, ...],
    dataset: ParticleDataset,
    state: State,
    maps: FocusMaps,
    focus: Focus,
    steps: tuple[int, int] | None,
) -> None:
    """Latents and maps of every region, and of all together where there are several; `steps`, done and wanted, mark
    those of a training that has not finished."""
    coordinates, bases = [], []
    for number, of_region in enumerate(runs):
        at = state.places.regions[number]
        own = replace(state, responsibilities=at.responsible, apart=at.apart, states=at.states)
        models = maps.of_region(number, state)
        outcome = Outcome(own, models, maps.features[number], focus.only(models, number))
        if len(runs) == 1:
            leave(run, run.config, dataset, outcome, steps)
            return
        with of_region.working():
            _share(run, of_region, worth_telling(dataset, state.nuisances))
            z, halves = leave(of_region, of_region.config, dataset, outcome, steps)
        coordinates.append(z)
        bases.append([model.channels(torch.arange(1, model.n_bases + 1, device=model.coefs.device)) for model in halves])
    _leave_together(run, dataset, state, maps, (focus, coordinates, bases), steps)


def _leave_together(run, dataset, state, maps, made, steps) -> None:
    focus, coordinates, bases = made
    columns = [f"{each.name}_{k + 1}" for each, z in zip(focus.regions, coordinates, strict=True) for k in range(z.shape[1])]
    known = learned_of_images(dataset, state.nuisances)
    run.save_latents(
        np.concatenate(coordinates, 1), rows=dataset.rows, steps=steps, columns=columns, half=state.half, **known
    )
    halves = [
        LinearModel(mean.backend, torch.cat([mean.coefs[:, :, :1], *(of_region[half].coefs for of_region in bases)], 2))
        for half, mean in enumerate(maps.halves)
    ]
    save_decoders(run, with_settings(run.config, z_dim=len(columns)), dataset, halves)
    run.note(regions=[each.name for each in focus.regions])


def _share(run: Run, of_region: Run, with_poses: bool) -> None:
    """What is known of all particles whatever the region: notes, copies, the training's course, poses that are to be
    written."""
    own = of_region.info["notes"]
    of_region.note(**{name: value for name, value in run.info["notes"].items() if name not in own})
    pairs = [(run.copies_file, of_region.copies_file), (run.metrics_file, of_region.metrics_file)]
    for shared, link in [*pairs, *([(run.poses_file, of_region.poses_file)] if with_poses else [])]:
        link.unlink(missing_ok=True)
        if shared.exists() or shared == run.poses_file:
            link.symlink_to(os.path.relpath(shared, of_region.path))
