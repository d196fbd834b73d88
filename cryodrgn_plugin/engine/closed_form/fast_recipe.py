"""The "fast" recipe: every step has a closed form, the images are passed over some twenty times, and no GPU is needed.

1. EM for linear directions of motion, from random starts, the frequency limit marching up (`em`).
2. Nodes on the compressed images, free to follow any shape, and the harmonics of their confusion graph (`nodes`,
   `harmonics`).
3. Maps linear in the harmonics, so non-linear in the motion, solved on half-sets; images placed anew; twice
   (`voxel_solve`).
4. With `closed_form.free_poses`, poses and places at the nodes found together (`node_poses`).
5. The same maps again, hardly smoothed, their half-sets combined by a Wiener filter in space and frequency
   (`adaptive`); each half stays for half-maps at any z.

The images of a tilt pair or a tilt series are one particle, with one place at the nodes.

The equations are 7 to 9 of docs/conventions.md.

z is the posterior mean of the harmonics, the slowest first; the coordinate is the position along the longest way
through the nodes' maps.
Each step ends in a checkpoint, and a resumed run equals an uninterrupted one.
"""

import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig, with_settings
from ..data.dataset import ParticleDataset
from ..data.tilt_images import find_series
from ..data.tilt_series import TiltSeries
from ..decoders.decoder import LinearDecoder
from ..decoders.decoder_registry import make_linear_decoder
from ..decoders.model_file import save_model
from ..errors import DataError
from ..likelihood.equations import NormalEquations, accumulate
from ..likelihood.linear_model import (
    LinearModel,
    fit_volumes,
    map_distances,
    mean_model,
    soft_ball,
    sphere_at,
)
from ..likelihood.nuisances import NearImages, Nuisances, compress_near, without_pose_errors
from ..likelihood.whitened import WhitenedImages
from ..reconstruction.adaptive import local_wiener
from ..run import Run
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from ..stopping import graceful_stop
from .detectable import SmallestParts, in_words, needed_information, smallest_parts
from .direction_search import ABOVE_NOISE, BandStep, PosedSet, above_noise, advance, noise_information, schedule
from .directions import Directions, reliability
from .fast_checkpoint import State, load_state, save_state
from .harmonics import along_the_motion, harmonics, positions
from .node_count import count_nodes
from .node_poses import NODES, NodePoses, accumulate_at_nodes, place_at_nodes
from .nodes import FittedNodes, at_nodes, evidence, fit_nodes, merged, responsibilities
from .nuisance_report import learned_of_images, sentence, sizes
from .volume_metric import VolumeMetric

NODE_ROUNDS = 40
POPULATION_ROUNDS = 30
FREEDOM = 100.0
"""How much wider the prior is for the maps that stay. A prior per shell knows nothing of where things move and takes
that for noise; filtering by where the halves agree does. A factor of 10 does half as much, 1,000 hardly more."""
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
        self.posed_set = PosedSet(config, dataset, self.series)
        self.last_radius = dataset.box // 2 - 1
        self.bands = schedule(settings.iterations, settings.first_radius, self.last_radius)
        self.finishing = [max(int(0.7 * self.last_radius), self.bands[0].radius), self.last_radius]
        self.n_steps = len(self.bands) + len(self.finishing) + settings.free_poses
        self._placed: NodePoses | None = None

    @property
    def images(self) -> WhitenedImages:
        return self.posed_set.images

    def start(self) -> State:
        """Random amplitudes and random half-sets."""
        rng = np.random.default_rng(self.config.seed)
        half = self.series.to_images((rng.permutation(self.series.n) % 2).astype(np.int8))
        settings = self.config.closed_form
        found = Directions.random(self.images, settings.n_components, self.config.seed, settings.pose_errors)
        return State(0, 0.0, half, found.nuisances, found)

    def advance(self, state: State) -> tuple[State, dict[str, float]]:
        """The next step, and figures for metrics.csv."""
        if state.done < len(self.bands):
            return self._find_directions(state)
        self.posed_set.follow(state.nuisances)
        if state.done == len(self.bands) + len(self.finishing):
            return self._free_poses(state)
        radius = self.finishing[state.done - len(self.bands)]
        equations, sphere, features = self._equations(state, radius)
        band = self.posed_set.band(radius)
        models = fit_volumes(equations, band.mask)
        if state.done + 1 == self.n_steps:
            self._left = fit_volumes(equations, soft_ball(sphere.box), FREEDOM)
        del equations
        near = compress_near(models, self.images, band.count, band.moving, state.half)
        scores = self._scores(near, state.nuisances, features)
        responsible = responsibilities(scores, state.responsibilities.population, POPULATION_ROUNDS)
        self._features = features
        apart = map_distances(mean_model(models), features, BLUR_RADIUS)
        visible = float(harmonics(responsible, self.config.z_dim).visibility.sum())
        figures = {"radius": radius, "directions": visible, "loss": -evidence(scores, responsible.population)}
        return replace(state, responsibilities=responsible, apart=apart), figures

    def _find_directions(self, state: State) -> tuple[State, dict[str, float]]:
        step = self.bands[state.done]
        models, near, found = advance(self.posed_set, state.directions, step, state.half)
        figures = {"radius": step.radius, "directions": float(reliability(found).sum()), "loss": found.loss}
        if step.cuts:
            found = self._above_noise(found, step, models[0].mean())
        last = state.done + 1 == len(self.bands)
        if last:
            placed = self._place_nodes(near, found)
            contrast = replace(
                found.nuisances,
                contrast_sd=placed.contrast_sd,
                contrast=placed.contrast,
                contrast_variance=placed.contrast_variance,
            )
            found = replace(found, nuisances=contrast)
            apart = map_distances(mean_model(models), placed.nodes, BLUR_RADIUS)
            state = replace(state, responsibilities=placed.responsible, apart=apart)
        if step.moves:
            found = found.moved()
        return replace(state, nuisances=found.nuisances, directions=None if last else found), figures

    def _above_noise(self, found: Directions, step: BandStep, mean: LinearModel) -> Directions:
        """The directions that noise could not have given; the best of them where there are none."""
        noise = noise_information(self.posed_set, step, self.config.closed_form.iterations, self.config.seed)
        count = above_noise(found, noise)
        self.run.note(
            directions=count,
            information=[round(float(value), 4) for value in on_host(found.information)],
            information_of_noise=round(noise, 4),
            **(smallest := self._smallest_parts(found, step, mean, noise).notes()),
        )
        self.run.log(f"Directions of variation that stand out from noise: {count} of {len(found.information)}.")
        self.run.log(in_words(smallest))
        return found.leading(max(count, 1))

    def _smallest_parts(self, found: Directions, step: BandStep, mean: LinearModel, noise: float) -> SmallestParts:
        needed = needed_information(noise, ABOVE_NOISE)
        images, band = self.images, self.posed_set.band(step.radius)
        return smallest_parts(images, band, mean, found.nuisances, needed, self.dataset.pixel_size_ang)

    def _place_nodes(self, near: NearImages, found: Directions) -> FittedNodes:
        """Nodes among the directions, as many as images speak for."""
        gram, inner = self._of_particles(*without_pose_errors(near, found.nuisances))
        start, settings = found.posteriors.mean, self.config.closed_form
        sd, seed = found.nuisances.contrast_sd, self.config.seed
        many = max(min(settings.nodes, self.dataset.n // 4), 2)
        chosen = count_nodes(gram, inner, start, many, sd, seed)
        count = chosen.count if chosen.states and chosen.count > 1 else many
        self.run.note(states=chosen.count if chosen.states else None, gain_by_nodes=chosen.gain)
        self.run.log(chosen.sentence)
        return fit_nodes(gram, inner, start, count, NODE_ROUNDS, seed, sd)

    def _free_poses(self, state: State) -> tuple[State, dict[str, float]]:
        """Poses and places at the nodes together, then the maps of both."""
        functions = harmonics(state.responsibilities, self.config.z_dim).values
        responsible = merged(state.responsibilities, functions, NODES, self.config.seed)
        equations, sphere, features = self._equations(replace(state, responsibilities=responsible), self.last_radius)
        models = fit_volumes(equations, soft_ball(sphere.box), FREEDOM)
        del equations
        report = partial(self.run.progress, "pose")
        images, dataset = self.images, self.posed_set.dataset
        placed = place_at_nodes(images, dataset, self.series, models, features, state.half, report)
        scores = placed.log_likelihood + responsible.population.log()[placed.nodes]
        responsible = placed.responsibilities(responsible.population)
        self._placed, self._features = placed, harmonics(responsible, self.config.z_dim).features
        weights = placed.weights(responsible)
        equations = accumulate_at_nodes(images, dataset, sphere, self._features, placed, weights, state.half)
        self._left = fit_volumes(equations, soft_ball(sphere.box), FREEDOM)
        apart = map_distances(mean_model(self._left), self._features, BLUR_RADIUS)
        images_per_particle = images.compute.double(self.series.to_images(self.series.counts))
        per_image = scores.logsumexp(1) / images_per_particle
        figures = {"radius": self.last_radius, "loss": -float(per_image.mean())}
        return replace(state, responsibilities=responsible, apart=apart), figures

    def _equations(self, state: State, radius: int) -> tuple[list[NormalEquations], HalfSphere, Tensor]:
        """The half-sets' equations for one volume per harmonic, and the harmonics at the nodes (M, Q + 1)."""
        features = harmonics(state.responsibilities, self.config.z_dim).features
        shares, outer = state.responsibilities.shares, (features[:, :, None] * features[:, None, :]).flatten(1)
        contrast, square = state.nuisances.contrast, state.nuisances.squared_contrast()

        def moments(index: np.ndarray) -> tuple[Tensor, Tensor]:
            rows = torch.as_tensor(index, device=shares.device)
            first, second = shares[rows] @ features, (shares[rows] @ outer).view(-1, *[features.shape[1]] * 2)
            return contrast[rows, None] * first, square[rows, None, None] * second

        sphere = sphere_at(self.dataset.box, self.config.decoder.padding, radius)
        equations = accumulate(self.images, sphere, self.images.lattice.count(radius), moments, state.half)
        return equations, sphere, features

    def _scores(self, near: NearImages, nuisances: Nuisances, nodes: Tensor) -> Tensor:
        """(N, M) log-likelihoods at nodes (M, C), every image with what all images of its particle say."""
        gram, inner = self._of_particles(*without_pose_errors(near, nuisances))
        return at_nodes(gram, inner, nodes, nuisances.contrast_sd).scores

    def _of_particles(self, gram: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
        one_each = self.series.n == self.dataset.n
        return (gram, inner) if one_each else (totals(gram, self.series), totals(inner, self.series))

    def finish(self, state: State) -> None:
        """Latents, coordinate, decoder and half-set decoders into the run folder."""
        responsible, nuisances = state.responsibilities, state.nuisances
        metric = VolumeMetric.between(self._left, self._features, responsible.population)
        models, features = [metric.model(model) for model in self._left], metric.features(self._features)
        order = along_the_motion(state.apart, responsible.population)
        coordinate, uncertainty = positions(responsible, order)
        learned = learned_of_images(self.dataset, nuisances)
        if self.run.info.get("notes", {}).get("states", 0):
            learned["states"] = on_host(responsible.shares)
        self.run.save_latents(
            on_host(responsible.shares @ features[:, 1:]),
            rows=self.dataset.rows,
            coordinate=on_host(coordinate),
            uncertainty=on_host(uncertainty),
            half=state.half,
            **learned,
        )
        visibility = harmonics(responsible, self.config.z_dim).visibility
        self.run.note(
            visibility=[round(float(v), 4) for v in on_host(visibility)],
            loader_wait_seconds=round(self.images.wait_seconds, 3),
            **sizes(self.dataset, nuisances),
        )
        self.run.log(sentence(self.dataset, nuisances))
        settings = with_settings(self.config, decoder={"n_bases": self.config.z_dim})
        pixel = self.dataset.pixel_size_ang
        for number, model in enumerate(models, start=1):
            save_model(self.run.half_file(number), settings, self._decoder(settings, model), None, pixel)
        volumes = [on_host(model.volumes()) for model in models]
        joined = np.stack([local_wiener(a, b) for a, b in zip(*volumes, strict=True)])
        decoder = make_linear_decoder(settings, self.dataset.box)
        decoder.set_volumes(joined)
        save_model(self.run.model_file, settings, decoder, None, pixel)

    def posed(self, state: State, species: np.ndarray | None) -> ParticleDataset:
        """The particles with the poses that the maps rest on; those that were found go into poses.star."""
        if self._placed is None:
            return self.posed_set.dataset
        rotations, shifts_ang, score = self._placed.likeliest(state.responsibilities)
        self.run.save_poses(self.dataset.rows, rotations, shifts_ang, species=species, score=score)
        return self.dataset.with_poses(rotations, shifts_ang)

    def _decoder(self, settings: RunConfig, model: LinearModel) -> LinearDecoder:
        decoder = make_linear_decoder(settings, self.dataset.box)
        decoder.set_coefficients(model.sphere, on_host(model.coefs))
        return decoder


def totals(values: Tensor, series: TiltSeries) -> Tensor:
    """(N, …) at each image, the sum of `values` (N, …) over all images of its particle."""
    particle = torch.as_tensor(series.particle, device=values.device)
    sums = values.new_zeros(series.n, *values.shape[1:])
    return sums.index_add_(0, particle, values)[particle]


def fit_fast(
    run: Run,
    config: RunConfig,
    dataset: ParticleDataset,
    resume: bool = False,
    epochs_before: int = 0,
    species: np.ndarray | None = None,
) -> ParticleDataset:
    """Train by closed forms; leaves metrics, checkpoints, latents.npz, model.pt and half-set models in `run`.

    Parameters
    ----------
    epochs_before : rows of metrics.csv that another training of the same run, of poses, has left.
    species : (N,) from 0, for poses.star, where poses are found anew.

    Returns
    -------
    The particles with the poses that the maps rest on.

    Raises
    ------
    DataError : no poses, or too few particles.
    Stopped : a signal came; the run can be resumed.
    """
    recipe = ClosedForm(run, config, dataset)
    state = load_state(run, recipe.images.compute) if resume else None
    state = state or recipe.start()
    run.log(f"Closed forms on {dataset.n:,} particles of {dataset.box}² px, {recipe.n_steps} steps.")
    with graceful_stop() as stop:
        while state.done < recipe.n_steps:
            began = time.perf_counter()
            state, figures = recipe.advance(state)
            state = replace(state, done=state.done + 1, seconds=state.seconds + time.perf_counter() - began)
            run.append_metrics({"epoch": epochs_before + state.done, "seconds": round(state.seconds, 3), **figures})
            run.progress("step", state.done, recipe.n_steps, loss=figures["loss"])
            if state.done < recipe.n_steps:  # the last step is short of nothing but writing its results
                save_state(run, state)
                stop.raise_if_requested()
    recipe.finish(state)
    return recipe.posed(state, species)
