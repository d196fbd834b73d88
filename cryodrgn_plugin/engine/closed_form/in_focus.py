"""The last steps of the fast recipe in a focus: images placed in each of its regions, whatever the others do.

In every round maps are solved for the harmonics of all regions and the directions outside together (`focus_places`),
those of a region confined to it, and images are placed anew by the maps of the other half-set, as without a focus.
Contrasts stay what the whole molecule said at low frequency. The maps that a run keeps are functions of the harmonics
alone, and free to be anywhere.
"""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..likelihood.equations import HalfSetEquations, accumulate
from ..likelihood.linear_model import LinearModel, fit_volumes, map_distances, soft_ball, sphere_at
from ..likelihood.near_images import NearImages, compress_near
from ..likelihood.nuisances import Nuisances, without_pose_errors
from ..likelihood.outside import at_known_contrast, members
from ..reconstruction.mask_file import resampled
from ..run import Run
from .direction_search import PosedSet
from .directions import Directions
from .fast_checkpoint import State
from .focus_places import AtRegion, FocusPlaces, joint_moments, seen_in, with_mean
from .harmonics import harmonics
from .judging_maps import FREEDOM, judging_maps
from .node_images import of_particles
from .nodes import at_nodes, evidence, fit_nodes, responsibilities
from .region_runs import FocusMaps, leave_regions, region_runs
from .separate_states import NODE_ROUNDS, note_states, shares_of_states
from .together import note_together

POPULATION_ROUNDS = 30
BLUR_RADIUS = 3.0
"""As in `fast_recipe`."""


@dataclass(frozen=True)
class FocusRound:
    """One round: the frequency limit, whether maps are filtered by what half-sets share, whether states are counted
    after it, and whether it is the last."""

    radius: int
    filtered: bool
    counts: bool
    last: bool


class InFocus:
    """Placing over one dataset."""

    def __init__(
        self, run: Run, config: RunConfig, dataset: ParticleDataset, posed_set: PosedSet, series: TiltSeries
    ) -> None:
        self.run, self.config, self.dataset, self.posed_set, self.series = run, config, dataset, posed_set, series
        self.focus = posed_set.focus
        self.runs = region_runs(run, config, self.focus)
        self._maps: FocusMaps | None = None

    def place(self, state: State, models: list[LinearModel], near: NearImages, found: Directions, most: int) -> State:
        """Nodes of each region that are fitted to the images along its directions."""
        gram, inner = self._of_particles(near, found.nuisances)
        fitted, regions, seed = [], [], self.config.seed
        for own in found.members()[:-1]:
            seen = seen_in(gram, inner, own, found.posteriors.mean[:, own])
            fitted.append(fit_nodes(*seen.compressed, most, NODE_ROUNDS, seed))
            apart = map_distances(models, fitted[-1].nodes, BLUR_RADIUS, with_mean(own))
            regions.append(AtRegion(fitted[-1].responsible, apart))
        note_together(self.run, self.focus, near, found)
        return replace(state, places=self._joint(regions, [each.nodes for each in fitted], gram, inner))

    def place_anew(self, state: State, step: FocusRound) -> tuple[State, dict[str, float]]:
        """Maps at the nodes, and images at the nodes that their maps explain best."""
        equations = self._equations(state, step.radius)
        features = self._features(state.places)
        own = members(tuple(each.shape[1] - 1 for each in features), features[0].device)
        band = self.posed_set.band(step.radius)
        models = self._confined(judging_maps(equations, band.mask, step.filtered), own)
        if step.last:
            self._maps = self._kept(equations, features)
        del equations
        near = compress_near(models, self.posed_set.images, band.count, band.moving, state.half)
        gram, inner = self._of_particles(near, state.nuisances)
        regions, loss, visible = [], 0.0, 0.0
        for run, of_region, numbers, at in zip(self.runs, state.places.regions, own, features, strict=True):
            seen = seen_in(gram, inner, numbers, of_region.responsible.shares @ at[:, 1:])
            here = at_nodes(seen.gram, seen.inner, at)
            responsible = responsibilities(here.scores, of_region.responsible.population, POPULATION_ROUNDS)
            apart = map_distances(models, at, BLUR_RADIUS, with_mean(numbers))
            if step.counts:
                note_states(run, seen, self.dataset, self.series, len(at), self.config.seed)
            states = shares_of_states(run, seen, len(at), self.config.seed) if step.last else None
            regions.append(AtRegion(responsible, apart, states))
            loss -= evidence(here.scores, responsible.population)
            visible += float(harmonics(responsible, self.config.z_dim).visibility.sum())
        places = self._joint(regions, features, gram, inner)
        return replace(state, places=places), {"radius": step.radius, "directions": visible, "loss": loss}

    def leave(self, state: State, steps: tuple[int, int] | None = None) -> None:
        """Everything into the run folder; `steps`, done and wanted, mark a training that has not finished."""
        if steps:
            equations = self._equations(state, self.dataset.box // 2 - 1)
            self._maps = self._kept(equations, self._features(state.places))
        leave_regions(self.run, self.runs, self.dataset, state, self._maps, steps)

    def _of_particles(self, near: NearImages, nuisances: Nuisances) -> tuple[Tensor, Tensor]:
        known = at_known_contrast(*without_pose_errors(near, nuisances), nuisances)
        return of_particles(*known, self.series)

    def _features(self, places: FocusPlaces) -> list[Tensor]:
        return [harmonics(each.responsible, self.config.z_dim).features for each in places.regions]

    def _joint(self, regions: list[AtRegion], at: list[Tensor], gram: Tensor, inner: Tensor) -> FocusPlaces:
        """Images at the nodes of regions, which lie `at` (M, 1 + K) among the volumes of `gram`."""
        features = [harmonics(each.responsible, self.config.z_dim).features for each in regions]
        shares = [each.responsible.shares for each in regions]
        return FocusPlaces(tuple(regions), *joint_moments(shares, at, features, gram, inner))

    def _equations(self, state: State, radius: int) -> HalfSetEquations:
        images = self.posed_set.images
        sphere = sphere_at(self.dataset.box, self.config.decoder.padding, radius)
        moments = state.places.moments(state.nuisances)
        return accumulate(images, sphere, images.lattice.count(radius), moments, state.half)

    def _kept(self, equations: HalfSetEquations, features: list[Tensor]) -> FocusMaps:
        """The half-sets' maps as functions of the harmonics, what moves outside left to be what it is on average."""
        channels = 1 + sum(each.shape[1] - 1 for each in features)
        alone = equations.leading(channels)
        return FocusMaps(self.focus, fit_volumes(alone, soft_ball(alone.sphere.box), FREEDOM), features)

    def _confined(self, models: list[LinearModel], own: list[Tensor]) -> list[LinearModel]:
        """Maps of each region inside of it, those of the directions outside elsewhere, the mean everywhere."""
        box, count = models[0].sphere.box, models[0].n_bases + 1
        regions = [resampled(region.mask, box) for region in self.focus.regions]
        masks = np.ones((count, box, box, box), np.float32)
        masks[1:] = 1 - np.sum(regions, axis=0)
        for region, numbers in zip(regions, own, strict=True):
            masks[1 + int(numbers[0]) : 2 + int(numbers[-1])] = region
        return [LinearModel.of(each.backend, each.volumes() * each.backend.compute.tensor(masks)) for each in models]
