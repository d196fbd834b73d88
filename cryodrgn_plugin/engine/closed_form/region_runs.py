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
from .fast_checkpoint import State
from .fast_results import Outcome, leave, save_decoders
from .focus import Focus
from .nuisance_report import learned_of_images, worth_telling


@dataclass(frozen=True)
class FocusMaps:
    """The half-sets' maps as functions of the harmonics of all regions of `focus`, one after the other, and these:
    `features`, (M, 1 + Q) for each region.
    """

    focus: Focus
    halves: list[LinearModel]
    features: list[Tensor]

    @property
    def own(self) -> list[Tensor]:
        """(Q,) numbers of the bases of each region."""
        return members(tuple(each.shape[1] - 1 for each in self.features), self.features[0].device)

    def of_region(self, number: int, averages: list[Tensor]) -> list[LinearModel]:
        """As functions of one region's harmonics alone, those of the others (Q,) as they are on average."""
        at = self.features[number]
        mixed = torch.zeros(1 + self.halves[0].n_bases, at.shape[1], dtype=at.dtype, device=at.device)
        mixed[0, 0] = 1
        for other, own in enumerate(self.own):
            if other == number:
                mixed[1 + own, 1:] = torch.eye(len(own), dtype=at.dtype, device=at.device)
            else:
                mixed[1 + own, 0] = averages[other]
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
    steps: tuple[int, int] | None = None,
) -> None:
    """Latents and maps of every region, and of all together where there are several; `steps`, done and wanted, mark
    those of a training that has not finished."""
    places = zip(state.places.regions, maps.features, strict=True)
    averages = [(each.responsible.shares @ at[:, 1:]).mean(0) for each, at in places]
    made = []
    for number, (of_region, at) in enumerate(zip(runs, state.places.regions, strict=True)):
        own = replace(state, responsibilities=at.responsible, apart=at.apart, states=at.states)
        models = maps.of_region(number, averages)
        outcome = Outcome(own, models, maps.features[number], maps.focus.only(models, number))
        if len(runs) == 1:
            leave(run, run.config, dataset, outcome, steps)
            return
        with of_region.working():
            _share(run, of_region, worth_telling(dataset, state.nuisances))
            made.append(leave(of_region, of_region.config, dataset, outcome, steps))
    _leave_together(run, dataset, state, maps, made, steps)


def _leave_together(
    run: Run,
    dataset: ParticleDataset,
    state: State,
    maps: FocusMaps,
    made: list[tuple[np.ndarray, list[LinearModel]]],
    steps: tuple[int, int] | None,
) -> None:
    """The latents of regions side by side, and maps that are the mean and what each region adds to it."""
    names = [region.name for region in maps.focus.regions]
    columns = [f"{name}_{k + 1}" for name, (z, _) in zip(names, made, strict=True) for k in range(z.shape[1])]
    run.save_latents(
        np.concatenate([z for z, _ in made], 1),
        rows=dataset.rows,
        steps=steps,
        columns=columns,
        half=state.half,
        **learned_of_images(dataset, state.nuisances),
    )
    added = [[models[half].coefs[:, :, 1:] for _, models in made] for half in range(len(maps.halves))]
    halves = [
        LinearModel(whole.backend, torch.cat([whole.coefs[:, :, :1], *bases], 2))
        for whole, bases in zip(maps.halves, added, strict=True)
    ]
    save_decoders(run, with_settings(run.config, z_dim=len(columns)), dataset, halves)
    run.note(regions=names)
    run.log(f"Each of {', '.join(names)} has a run of its own to be looked at: {run.region_dir(names[0])} and so on.")


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
