"""The first steps of the fast recipe: directions of variation, what noise would give, poses moved, the limit raised."""

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import ClosedFormConfig, RunConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..geometry.continuous import turns
from ..imaging.ctf import wavelength_ang
from ..imaging.noise import estimate_noise
from ..likelihood.linear_model import LinearModel, sphere_at
from ..likelihood.near_images import NearImages
from ..likelihood.nuisance_sizes import DEFOCUS
from ..likelihood.nuisances import Nuisances
from ..likelihood.whitened import ANG_PER_MICROMETRE, WhitenedImages
from ..likelihood.working_memory import WorkingMemory
from ..ranks import Ranks
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .directions import Band, Directions, band_of, improved
from .focus import Focus
from .growing_parts import images_of, sizes

MOVED_AFTER = (1 / 3, 2 / 3)
"""Poses are moved to where their errors seem to be after these shares of the iterations in the first band."""
NULL_DIRECTIONS = 3
ABOVE_NOISE = 1.1
"""How much stronger than the strongest direction of noise a direction must be seen."""
LEAST_INFORMATION = 0.05
"""And how well at least: in a small region directions of noise die out, and leave nothing to compare with."""
RAISED = 3
"""Iterations while the frequency limit rises."""
DEFOCUS_ERROR_ANG, LEAST_PHASE_RAD = 300.0, 0.25
"""An error of the defocus as estimates from micrographs have it, and what it must do to the phase of the CTF at the
highest frequency to be looked for."""


@dataclass(frozen=True)
class BandStep:
    """One round of EM."""

    radius: int
    particles: int
    """How many take part."""
    then: int
    """And in the round after it, whose amplitudes this one finds."""
    crossed: bool
    """Images are judged by the volumes of the half-set they are not in."""
    moves: bool
    """Poses are moved afterwards."""
    cuts: bool
    """Directions that noise could have given are dropped afterwards."""


def schedule(settings: ClosedFormConfig, last_radius: int, particles: int) -> list[BandStep]:
    """All iterations in the first band with the half-sets together, on a growing part of the particles; then the limit
    rises, half-sets apart."""
    first, count = min(settings.first_radius, last_radius), settings.iterations
    moving = [max(1, round(share * count)) for share in MOVED_AFTER]
    parts = [*sizes(particles, settings.first_particles, count, all_from=moving[-1]), particles]
    settling = [
        BandStep(first, *parts[n - 1 : n + 1], crossed=False, moves=n in moving, cuts=n == count)
        for n in range(1, count + 1)
    ]
    rising = [int(round(radius)) for radius in np.geomspace(first, last_radius, RAISED + 1)[1:]]
    return settling + [
        BandStep(radius, particles, particles, crossed=True, moves=n == RAISED, cuts=False)
        for n, radius in enumerate(rising, start=1)
    ]


class PosedSet:
    """The images of a dataset at poses that are moved as their errors become known."""

    def __init__(
        self,
        config: RunConfig,
        dataset: ParticleDataset,
        series: TiltSeries,
        told: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.config, self.given, self.series = config, dataset, series
        self.focus = Focus.chosen(config, dataset)
        asked = config.closed_form.pose_errors and config.closed_form.defocus_errors
        self._with_defocus = asked and not defocus_is_settled(dataset)
        self._noise, self.compute = estimate_noise(dataset, config.seed), Compute.chosen(config)
        self._ranks, self.passed = Ranks.present(), Counter[str]()
        self._memory = WorkingMemory(config.closed_form.equations_mb, told)
        self._moved: Tensor | None = None
        self._parts: dict[int, PosedSet] = {}
        self._at(dataset)

    def _at(self, dataset: ParticleDataset) -> None:
        self.dataset = dataset
        self.images = WhitenedImages(
            dataset,
            self._noise,
            series=self.series,
            compute=self.compute,
            with_defocus=self._with_defocus,
            ranks=self._ranks,
            passed=self.passed,
            memory=self._memory,
        )
        self._bands: dict[int, Band] = {}

    def follow(self, nuisances: Nuisances) -> None:
        """Take the images where `nuisances` says that they are."""
        moved = nuisances.moved
        if moved.shape[1] == 0 or self._moved is moved or (self._moved is None and not moved.any()):
            return
        self._moved = moved
        self._at(moved_images(self.given, moved))

    def among(self, particles: int) -> "PosedSet":
        """So many of the particles (`growing_parts`); parts that are smaller than this one are let go."""
        self._parts = {count: part for count, part in self._parts.items() if count >= particles}
        if particles == self.series.n:
            return self
        if particles not in self._parts:
            part, images = copy(self), images_of(self.series, particles, self.config.seed)
            part.given, part.series = self.given.subset(images), self.series.among(images)
            part._moved, part._parts = None, {}
            part._at(part.given)
            self._parts[particles] = part
        return self._parts[particles]

    def widened(self, nuisances: Nuisances, fewer: int, more: int) -> Nuisances:
        """What is known of the images of `fewer` particles, as part of those of `more`, of which nothing is known."""
        known, wanted = (images_of(self.series, count, self.config.seed) for count in (fewer, more))
        return nuisances.among(torch.as_tensor(np.searchsorted(wanted, known)), len(wanted))

    def groups(self, inside: int) -> tuple[int, ...]:
        """Sizes of the groups of directions, `inside` in each region of a focus; (inside, 0) without one."""
        if self.focus is None:
            return inside, 0
        return (*[inside] * len(self.focus), self.config.closed_form.outside)

    def band(self, radius: int) -> Band:
        """The molecule up to a frequency limit, at the poses as they are."""
        if radius not in self._bands:
            sphere = sphere_at(self.dataset.box, self.config.decoder.padding, radius)
            self._bands = {radius: band_of(self.images, sphere, self.config.closed_form.pose_errors, self.focus)}
        return self._bands[radius]


def defocus_is_settled(dataset: ParticleDataset) -> str:
    """Why errors of the defocus cannot be allowed for, as a sentence; empty where they can."""
    if dataset.ctf_params is None:
        return "Errors of the defocus are not looked for: the images have no CTF, or are corrected for it."
    if dataset.ctf_multiplied.any():
        return (
            "Errors of the defocus are not looked for: images were multiplied by their CTF, and where that was 0 "
            "nothing is left of what another defocus would show."
        )
    highest_per_ang = dataset.lattice.radius / (dataset.box * dataset.pixel_size_ang)
    longest_ang = float(wavelength_ang(dataset.ctf_params.voltage_kv).max())
    if np.pi * longest_ang * DEFOCUS_ERROR_ANG * highest_per_ang**2 < LEAST_PHASE_RAD:
        return (
            f"Errors of the defocus are not looked for: in pixels of {dataset.pixel_size_ang:.3g} Å one of "
            f"{DEFOCUS_ERROR_ANG:.0f} Å hardly shows."
        )
    return ""


def moved_images(dataset: ParticleDataset, moved: Tensor) -> ParticleDataset:
    """The images moved by (N, J), as `Nuisances.moved`."""
    posed = dataset.with_poses(*moved_poses(dataset, moved))
    if moved.shape[1] <= DEFOCUS:
        return posed
    return posed.with_defocus_moved(on_host(moved[:, DEFOCUS]) * ANG_PER_MICROMETRE)


def moved_poses(dataset: ParticleDataset, moved: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Physical rotations (N, 3, 3) and shifts (N, 2) in Å of images moved by (N, 5) or more: radians, then boxes."""
    rotations, shifts_ang = dataset.physical_poses()
    turned = on_host(turns(moved[:, :3])) @ rotations
    boxes = on_host(moved[:, 3:5]) / dataset.frequency_ratio[:, None]
    return turned.astype(rotations.dtype), shifts_ang + boxes * dataset.box * dataset.pixel_size_ang


def advance(
    posed: PosedSet, found: Directions, step: BandStep, half: np.ndarray
) -> tuple[list[LinearModel], NearImages, Directions]:
    """One step of the schedule, without what comes after it."""
    part = posed.among(step.particles)
    part.follow(found.nuisances)
    band = part.band(step.radius).with_parts(found.parts)
    if step.then == step.particles:
        return improved(part.images, band, found, half if step.crossed else None)
    wider, nuisances = posed.among(step.then), posed.widened(found.nuisances, step.particles, step.then)
    wider.follow(nuisances)
    return improved(part.images, band, found, then=(wider.images, nuisances))


def noise_information(posed: PosedSet, step: BandStep, iterations: int, seed: int) -> tuple[float, ...]:
    """How well the strongest direction is seen that the same search finds in noise, in each region of a focus."""
    images, band = posed.images.of_noise(seed + 1), replace(posed.band(step.radius), moving=None)
    found = Directions.random(images, posed.groups(NULL_DIRECTIONS), seed, pose_errors=False)
    for _ in range(iterations):
        _, _, found = improved(images, band, found)
    return tuple(float(found.information[group[0]]) for group in found.members()[:-1])


def above_noise(found: Directions, noise: tuple[float, ...]) -> tuple[int, ...]:
    """How many directions stand out, in each region of a focus."""
    least = [max(ABOVE_NOISE * of_noise, LEAST_INFORMATION) for of_noise in noise]
    groups = zip(found.members()[:-1], least, strict=True)
    return tuple(int((found.information[group] > above).sum()) for group, above in groups)
