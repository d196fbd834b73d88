"""The "fast" recipe: every step has a closed form, the images are passed over some forty times, and no GPU is needed.

1. Linear directions of variation at low frequency, contrast and pose errors integrated out; poses are moved to where
   their errors seem to be, and directions that noise could give are dropped; small parts that come and go are added
   (`small_parts`); then the frequency limit rises, half-sets apart (`direction_search`, `directions`).
2. Nodes on the compressed images, and the harmonics of their confusion graph (`nodes`, `harmonics`).
3. Maps linear in the harmonics, so non-linear in the motion, solved on half-sets; images placed anew, five times
   (`judging_maps`), and among them as many separate states as held-out images speak for (`separate_states`), which may
   move (`gaps`).
4. With `closed_form.free_poses`, poses and places at the nodes found together (`node_poses`).
5. The same maps, hardly smoothed, in coordinates whose distance is that between maps (`volume_metric`), their half-sets
   combined by a Wiener filter in space and frequency (`adaptive`); each half stays for half-maps at any z.

The images of a tilt pair or a tilt series are one particle, with one place at the nodes. The equations are 7 to 9 and
13 to 19 of docs/conventions.md. z is the posterior mean of the coordinates, the widest first; `coordinate` is the
position along the longest way through the nodes' maps.
Each step ends in a checkpoint, and a resumed run equals an uninterrupted one.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..data.tilt_images import find_series
from ..data.tilt_series import TiltSeries
from ..errors import DataError
from ..likelihood.equations import HalfSetEquations, accumulate
from ..likelihood.linear_model import LinearModel, fit_volumes, map_distances, soft_ball, sphere_at
from ..likelihood.near_images import NearImages, compress_near
from ..likelihood.whitened import WhitenedImages
from ..ranks import Ranks
from ..run import Run
from ..slicing.sphere import HalfSphere
from ..stopping import graceful_stop, wish_of_any
from .direction_search import PosedSet, advance, defocus_is_settled, schedule
from .directions import Directions, reliability
from .fast_checkpoint import State, load_state, save_state
from .fast_results import Outcome, leave
from .harmonics import harmonics
from .in_focus import FocusRound, InFocus
from .judging_maps import FREEDOM, made_to_judge, solved_to_judge
from .node_images import images_at_nodes, moments_at_nodes, node_images, with_contrast_at, with_contrast_of
from .node_poses import NODES, NodePoses, accumulate_at_nodes, place_at_nodes
from .nodes import at_nodes, evidence, fit_nodes, merged, responsibilities
from .noise_cut import kept_above_noise
from .nuisance_report import defocus_worth_telling, worth_telling
from .separate_states import NODE_ROUNDS, note_states, shares_of_states
from .small_parts import with_small_parts

FINISHED_FROM, FINISHED = 0.7, 4
"""Images are placed anew by maps up to this share of the last limit, and then so many times by maps up to the limit.
The last of them changes no figure of coordinates, states or maps by 1 % (five sets); with one fewer, though, the FSC
with the truth that `states` expects is off by more (0.055 instead of 0.024, three small sets)."""
COUNTED_AFTER = 2
"""States are counted after so many of these rounds; from then on images are placed by maps that are filtered where the
halves do not agree. Those tell images apart best, and say less of how many states there are: noise that the halves have
from each other by then may look like one more."""
POPULATION_ROUNDS = 30
BLUR_RADIUS = 3.0
"""Nodes are compared on maps blurred to this Fourier shell, where moving further always means differing more."""


class ClosedForm:
    """The steps of the recipe over one dataset."""

    def __init__(self, run: Run, config: RunConfig, dataset: ParticleDataset) -> None:
        settings = config.closed_form
        if dataset.n < 2 * (settings.n_components + 1):
            raise DataError(
                f"{config.particles}: {dataset.n} particles are too few for {settings.n_components} "
                "directions of motion; use more particles, or lower closed_form.n_components."
            )
        dataset.require_poses()
        self.run, self.config, self.dataset = run, config, dataset
        self.series = find_series(dataset) or TiltSeries.singles(dataset.n)
        self.posed_set = PosedSet(config, dataset, self.series, run.log)
        self.last_radius = dataset.box // 2 - 1
        self.bands = schedule(settings, self.last_radius, self.series.n)
        first = max(int(FINISHED_FROM * self.last_radius), self.bands[0].radius)
        self.finishing = [first, *FINISHED * [self.last_radius]]
        self.counted_after = len(self.bands) + COUNTED_AFTER
        self.n_steps = len(self.bands) + len(self.finishing) + settings.free_poses
        self._placed: NodePoses | None = None
        self.in_focus = InFocus(run, config, dataset, self.posed_set, self.series) if self.posed_set.focus else None

    @property
    def shown_from(self) -> int:
        """The step after which there are latents and maps to look at: half-sets are apart."""
        if self.in_focus and len(self.in_focus.runs) > 1:
            return len(self.bands)  # before, particles lie along directions of several regions
        return 1 + next(n for n, step in enumerate(self.bands) if step.crossed)

    @property
    def images(self) -> WhitenedImages:
        return self.posed_set.images

    def start(self) -> State:
        """Random amplitudes and random half-sets."""
        half = drawn_halves(self.dataset, self.config.seed)
        settings = self.config.closed_form
        if settings.pose_errors and settings.defocus_errors and (reason := defocus_is_settled(self.dataset)):
            self.run.log(reason)
        groups = self.posed_set.groups(settings.n_components)
        few = self.posed_set.among(self.bands[0].particles).images
        found = Directions.random(few, groups, self.config.seed, settings.pose_errors)
        return State(0, 0.0, half, found.nuisances, found)

    def advance(self, state: State) -> tuple[State, dict[str, float]]:
        """The next step, and figures for metrics.csv."""
        if state.done < len(self.bands):
            return self._find_directions(state)
        self.posed_set.follow(state.nuisances)
        if state.done == len(self.bands) + len(self.finishing):
            return self._free_poses(state)
        radius = self.finishing[state.done - len(self.bands)]
        if self.in_focus:
            return self.in_focus.place_anew(state, self._round(state, radius))
        return self._place_anew(state, radius)

    def _round(self, state: State, radius: int) -> FocusRound:
        """Of images in a focus."""
        filtered, counts = state.done >= self.counted_after, state.done + 1 == self.counted_after
        return FocusRound(radius, filtered, counts, last=state.done + 1 == self.n_steps)

    def _place_anew(self, state: State, radius: int) -> tuple[State, dict[str, float]]:
        """Maps at the nodes, and images at the nodes that their maps explain best."""
        equations, sphere, features = self._equations(state, radius)
        band = self.posed_set.band(radius)
        filtered = state.done >= self.counted_after
        last = state.done + 1 == self.n_steps
        models = made_to_judge(solved_to_judge(equations, band.mask, filtered, spent=not last), filtered)
        seen = images_at_nodes(
            compress_near(models, self.images, band.count, band.moving, state.half),
            *(state.nuisances, self.series, features, state.responsibilities),
        )
        here = at_nodes(seen.gram, seen.inner, features, seen.contrast_sd)
        responsible = responsibilities(here.scores, state.responsibilities.population, POPULATION_ROUNDS)
        nuisances = with_contrast_at(responsible, here, state.nuisances)
        self._features = features
        apart = map_distances(models, features, BLUR_RADIUS)
        del models  # the maps that are kept take as much
        if last:
            self._left = fit_volumes(equations, soft_ball(sphere.box), FREEDOM, spent=True)
        visible = float(harmonics(responsible, self.config.z_dim).visibility.sum())
        figures = {"radius": radius, "directions": visible, "loss": -evidence(here.scores, responsible.population)}
        if state.done + 1 == self.counted_after:
            note_states(self.run, seen, self.dataset, self.series, len(features), self.config.seed)
        if state.done + 1 == len(self.bands) + len(self.finishing):
            state = replace(state, states=shares_of_states(self.run, seen, len(features), self.config.seed))
        return replace(state, nuisances=nuisances, responsibilities=responsible, apart=apart), figures

    def _find_directions(self, state: State) -> tuple[State, dict[str, float]]:
        step = self.bands[state.done]
        models, near, found = advance(self.posed_set, state.directions, step, state.half)
        figures = {"radius": step.radius, "directions": float(reliability(found).sum()), "loss": found.loss}
        if step.cuts:
            runs = self.in_focus.runs if self.in_focus else (self.run,)
            found = kept_above_noise(runs, self.posed_set, found, step, models[0].mean())
            if not self.in_focus:
                known = models[0].channels(torch.arange(1 + found.n_inside, device=found.information.device))
                found = with_small_parts(self.run, self.posed_set, found, known, step)
        last = state.done + 1 == len(self.bands)
        if last:
            if self.in_focus:
                state = self.in_focus.place(state, models, near, found, self.most_nodes)
            else:
                state, found = self._place(state, models, near, found)
        if step.moves:
            found = found.moved()
        return replace(state, nuisances=found.nuisances, directions=None if last else found), figures

    def _place(
        self, state: State, models: list[LinearModel], near: NearImages, found: Directions
    ) -> tuple[State, Directions]:
        """Nodes that are fitted to the images along the directions, and the contrasts there."""
        seen = node_images(near, found, self.series)
        placed = fit_nodes(*seen.compressed, self.most_nodes, NODE_ROUNDS, self.config.seed, seen.contrast_sd)
        apart = map_distances(models, placed.nodes, BLUR_RADIUS)
        return replace(state, responsibilities=placed.responsible, apart=apart), with_contrast_of(placed, found)

    @property
    def most_nodes(self) -> int:
        return max(min(self.config.closed_form.nodes, self.dataset.n // 4), 2)

    def _free_poses(self, state: State) -> tuple[State, dict[str, float]]:
        """Poses and places at the nodes together, then the maps of both."""
        functions = harmonics(state.responsibilities, self.config.z_dim).values
        responsible = merged(state.responsibilities, functions, NODES, self.config.seed)
        equations, sphere, features = self._equations(replace(state, responsibilities=responsible), self.last_radius)
        models = fit_volumes(equations, soft_ball(sphere.box), FREEDOM, spent=True)
        report = partial(self.run.progress, "pose")
        images, dataset = self.images, self.posed_set.dataset
        placed = place_at_nodes(images, dataset, self.series, models, features, state.half, report)
        scores = placed.log_likelihood + responsible.population.log()[placed.nodes]
        responsible = placed.responsibilities(responsible.population)
        self._placed, self._features = placed, harmonics(responsible, self.config.z_dim).features
        weights = placed.weights(responsible)
        equations = accumulate_at_nodes(images, dataset, sphere, self._features, placed, weights, state.half)
        self._left = fit_volumes(equations, soft_ball(sphere.box), FREEDOM, spent=True)
        apart = map_distances(self._left, self._features, BLUR_RADIUS)
        images_per_particle = images.compute.double(self.series.to_images(self.series.counts))
        per_image = scores.logsumexp(1) / images_per_particle
        figures = {"radius": self.last_radius, "loss": -float(per_image.mean())}
        return replace(state, responsibilities=responsible, apart=apart), figures

    def _equations(self, state: State, radius: int) -> tuple[HalfSetEquations, HalfSphere, Tensor]:
        """The half-sets' equations for one volume per harmonic, and the harmonics at the nodes (M, Q + 1)."""
        features = harmonics(state.responsibilities, self.config.z_dim).features
        moments = moments_at_nodes(state.responsibilities, features, state.nuisances)
        sphere = sphere_at(self.dataset.box, self.config.decoder.padding, radius)
        equations = accumulate(self.images, sphere, self.images.lattice.count(radius), moments, state.half)
        return equations, sphere, features

    def finish(self, state: State) -> None:
        """Everything into the run folder."""
        if self.in_focus:
            self.in_focus.leave(state)
        else:
            leave(self.run, self.config, self.dataset, Outcome(state, self._left, self._features))
        passed = self.images.compute.double(np.array([state.passed]))
        self.images.ranks.total(passed)
        passes = float(passed) / self.images.n
        self.run.note(loader_wait_seconds=round(self.images.wait_seconds, 3), image_passes=round(passes, 1))

    def posed(self, state: State, species: Mapping[str, np.ndarray]) -> ParticleDataset:
        """The particles with the poses that the maps rest on; those that were found go into poses.star, with the
        defocus that was found where it is worth telling."""
        defocus = defocus_worth_telling(self.dataset, state.nuisances)
        if self._placed is None:
            posed = self.posed_set.dataset
            if worth_telling(self.dataset, state.nuisances):
                poses = posed.physical_poses()
                self.run.save_poses(self.dataset.rows, *poses, defocus_moved_ang=defocus, **species)
            return posed
        rotations, shifts_ang, score = self._placed.likeliest(state.responsibilities)
        self.run.save_poses(self.dataset.rows, rotations, shifts_ang, score=score, defocus_moved_ang=defocus, **species)
        return self.posed_set.dataset.with_poses(rotations, shifts_ang)


def fit_fast(
    run: Run,
    config: RunConfig,
    dataset: ParticleDataset,
    resume: bool = False,
    epochs_before: int = 0,
    species: Mapping[str, np.ndarray] | None = None,
) -> ParticleDataset:
    """Train by closed forms; leaves metrics, checkpoints, latents.npz, model.pt and half-set models in `run`.

    Parameters
    ----------
    epochs_before : rows of metrics.csv that another training of the same run, of poses, has left.
    species : what `Run.save_poses` is told of the species of particles, where poses are found anew.

    Returns
    -------
    The particles with the poses that the maps rest on.

    Raises
    ------
    DataError : no poses, or too few particles.
    Stopped : a signal came; the run can be resumed.
    """
    recipe = ClosedForm(run, config, dataset)
    state = load_state(run, recipe.images.compute, dataset.n) if resume else None
    if state is not None:
        run.log(f"Resuming after step {state.done}.")
    state, ranks = state or recipe.start(), Ranks.present()
    run.log(f"Closed forms on {dataset.n:,} particles of {dataset.box}² px, {recipe.n_steps} steps.")
    with graceful_stop(run.stop_file) as stop:
        while state.done < recipe.n_steps:
            began = time.perf_counter()
            state, figures = recipe.advance(state)
            ranks.require_same(figures["loss"])
            seconds = state.seconds + time.perf_counter() - began
            passed = state.passed + recipe.posed_set.passed.pop("images", 0)
            state = replace(state, done=state.done + 1, seconds=seconds, passed=passed)
            run.append_metrics({"epoch": epochs_before + state.done, "seconds": round(state.seconds, 3), **figures})
            run.progress("step", state.done, recipe.n_steps, loss=figures["loss"])
            if state.done < recipe.n_steps:  # the last step is short of nothing but writing its results
                save_state(run, state)
                stop.raise_if_requested(
                    may_keep=state.done >= recipe.shown_from, agreed=str if ranks.alone else wish_of_any(ranks.any)
                )
    recipe.finish(state)
    return recipe.posed(state, species or {})
