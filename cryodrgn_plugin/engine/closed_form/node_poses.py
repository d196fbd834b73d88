"""Poses and latent coordinates found together: a particle has a pose of its own at every node where it may lie.

A pose that was found against one conformation leans towards it. A latent space read off such poses takes the lean for
a state, and what moves continuously falls into clumps: a particle between two of them fits neither, as it lies. So each
particle climbs, from the pose that it has, against the maps at all nodes, half-sets crossed, and counts at each with
the pose that suits it there.

Memory: 20 maps in Fourier space up to the shell where the halves agree, of one half at a time, and some 700 bytes per
image for its six poses and the shares of the nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..likelihood.equations import EquationSums, HalfSetEquations
from ..likelihood.expansion import ChosenExpansion, LocalImages
from ..likelihood.half_models import without_solvent
from ..likelihood.linear_model import LinearModel, sphere_at
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..poses.refine import Bounds, Poses, RefinedPoses
from ..poses.tied import Ties, refine_tied
from ..slicing.backend import Backend
from ..slicing.fine import cropped_volume
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from .judging_maps import locally_shared
from .nodes import Responsibilities

NODES, KEPT = 20, 6
"""How many nodes all particles are compared with, loosely, and at how many the likeliest poses of each are refined."""
COUNTED = 0.02
"""Nodes at which a particle lies in less than this share of the likeliest are left out."""
MAX_ANGLE_DEG, MAX_SHIFT, STEPS = 15.0, 0.06, 8
"""How far a pose may be moved, shifts as a share of the box, and in how many steps."""
AGREED, BEYOND = 0.5, 3
"""FSC of the halves' mean maps, inside their mask, from which they tell about poses, and how many shells more count."""


@dataclass(frozen=True)
class NodePoses:
    """Where N images lie at K of the nodes each; physical poses."""

    nodes: Tensor
    """(N, K) int64. The nodes, the likeliest at low frequency first."""
    rotations: Tensor
    """(N, K, 3, 3) float32."""
    shifts_ang: Tensor
    """(N, K, 2) float32."""
    log_likelihood: Tensor
    """(N, K) float64, of the whole particle."""

    @classmethod
    def empty(cls, n: int, k: int, device: torch.device) -> "NodePoses":
        """To be filled."""
        single, double = ({"dtype": kind, "device": device} for kind in (torch.float32, torch.float64))
        nodes = torch.zeros(n, k, dtype=torch.int64, device=device)
        return cls(
            nodes, torch.zeros(n, k, 3, 3, **single), torch.zeros(n, k, 2, **single), torch.zeros(n, k, **double)
        )

    def responsibilities(self, population: Tensor) -> Responsibilities:
        """How far images belong to the nodes, whose populations (M,) are brought up to date."""
        posterior = (self.log_likelihood + population.log()[self.nodes]).log_softmax(1)
        log_shares = posterior.new_full((len(self.nodes), len(population)), -torch.inf).scatter(
            1, self.nodes, posterior
        )
        shares = log_shares.exp()
        return Responsibilities(log_shares, (shares.sum(0) + 1) / (len(shares) + len(population)))

    def weights(self, responsible: Responsibilities) -> Tensor:
        """(N, K) how much each pose counts; they sum to 1."""
        shares = responsible.shares.gather(1, self.nodes)
        shares = shares.where(shares >= COUNTED * shares.amax(1, keepdim=True), 0)
        return shares / shares.sum(1, keepdim=True)

    def likeliest(self, responsible: Responsibilities) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3), shifts (N, 2) and log-likelihood (N,) at the node where each image most likely lies."""
        best = torch.arange(len(self.nodes), device=self.nodes.device), self.weights(responsible).argmax(1)
        return on_host(self.rotations[best]), on_host(self.shifts_ang[best]), on_host(self.log_likelihood[best])


def place_at_nodes(
    images: WhitenedImages,
    dataset: ParticleDataset,
    series: TiltSeries,
    models: list[LinearModel],
    features: Tensor,
    half: np.ndarray,
    report: Callable[[int, int], object],
) -> NodePoses:
    """Let every particle climb at every node up to half the frequency limit, and then at its likeliest nodes to the
    limit, against the maps of the half-set that it is not in.

    Parameters
    ----------
    images : of `dataset`, which has poses; batches hold whole particles of `series`.
    models : of the two half-sets, not smoothed; features (M, C) mix their volumes at the nodes.
    half : (N,) 0 or 1.
    report : told (batches done, batches in all), each half's counted by themselves.
    """
    radius = _frequency_limit(models, dataset.pixel_size_ang)
    placed = NodePoses.empty(dataset.n, min(KEPT, len(features)), images.compute.device)
    poses, done = dataset.physical_poses(), 0
    # Images of half 0 climb against the maps of half 1, and the other way round.
    for part, model in enumerate(without_solvent(locally_shared(models), dataset.pixel_size_ang)[::-1]):
        backend, maps = _at_nodes(model, features, radius)
        for batch in images.passes(images.lattice.count(radius)):
            own = batch.at(np.flatnonzero(half[batch.index] == part))
            if len(own):
                first = tuple(images.compute.double(values[own.index]) for values in poses)
                _place(_Climb(dataset, series, backend, maps, own, first), placed, radius)
            done += 1
            report(done, 2 * images.n_batches)
    images.ranks.total(placed.nodes, placed.rotations, placed.shifts_ang, placed.log_likelihood)
    return placed


def _place(climb: "_Climb", placed: NodePoses, radius: float) -> None:
    """Write where some images lie into `placed`."""
    n, k = len(climb.index), placed.nodes.shape[1]
    device = placed.nodes.device
    every = torch.arange(len(climb.maps), device=device)
    loose = [climb.at(node.expand(n), climb.first, radius / 2) for node in every]
    rotations = torch.stack([refined.rotations for refined in loose])
    shifts_ang = torch.stack([refined.shifts_ang for refined in loose])
    order = torch.stack([refined.score for refined in loose]).argsort(dim=0, descending=True, stable=True)
    image, rows = torch.arange(n, device=device), torch.as_tensor(climb.index, device=device)
    for rank, chosen in enumerate(order[:k]):
        last = climb.at(chosen, (rotations[chosen, image], shifts_ang[chosen, image]), radius)
        placed.nodes[rows, rank], placed.log_likelihood[rows, rank] = chosen, last.score * climb.count
        placed.rotations[rows, rank], placed.shifts_ang[rows, rank] = last.rotations.float(), last.shifts_ang.float()


class _Climb:
    """Some images of one half-set, all of each particle, ready to climb against the maps (S, M, 2) of the other."""

    def __init__(
        self,
        dataset: ParticleDataset,
        series: TiltSeries,
        backend: Backend,
        maps: Tensor,
        batch: WhitenedBatch,
        first: Poses,
    ) -> None:
        self.index, self.maps, self.first, self._backend = batch.index, maps, first, backend
        self.local = LocalImages.of(dataset, batch)
        device = first[0].device
        self.ties = Ties.of(series, self.index, device)
        self.count = torch.as_tensor(series.counts[series.particle[self.index]], device=device)
        self._bounds = Bounds(*first, MAX_ANGLE_DEG, MAX_SHIFT * dataset.box * dataset.pixel_size_ang)

    def at(self, nodes: Tensor, start: Poses, radius: float) -> RefinedPoses:
        """Uphill from `start`, each image at its node (B,)."""
        model = ChosenExpansion(self._backend, self.maps, nodes, self.local)
        return refine_tied(model, self.ties, start, [radius], STEPS, self._bounds)


def accumulate_at_nodes(
    images: WhitenedImages,
    dataset: ParticleDataset,
    sphere: HalfSphere,
    features: Tensor,
    placed: NodePoses,
    weights: Tensor,
    half: np.ndarray,
) -> HalfSetEquations:
    """As `equations.accumulate`, each image with its `weights` (N, K) at its nodes and the pose that it has there."""
    count, extent_ang = images.lattice.count(sphere.radius), dataset.box * dataset.pixel_size_ang

    def add(sums: EquationSums, batch: WhitenedBatch) -> None:
        rows = torch.as_tensor(batch.index, device=weights.device)
        ratio = images.compute.double(dataset.frequency_ratio[batch.index])
        moved_by = images.compute.double(dataset.shifts_ang[batch.index])
        for rank in range(weights.shape[1]):
            image = torch.nonzero(weights[rows, rank])[:, 0]
            row = rows[image]
            moves = (placed.shifts_ang[row, rank] * ratio[image, None] - moved_by[image]) / extent_ang
            turned = placed.rotations[row, rank] * ratio[image, None, None]
            share = weights[row, rank].to(batch.weights.dtype)
            amplitudes = features[placed.nodes[row, rank]]
            posed = batch.counted(image, turned, moves, share, sums.lattice)
            sums.add(posed, amplitudes, amplitudes[:, :, None] * amplitudes[:, None, :])

    return HalfSetEquations(images, sphere, count, features.shape[1], half, add)


def totals(values: Tensor, series: TiltSeries) -> Tensor:
    """(N, …) at each image, the sum of `values` (N, …) over all images of its particle."""
    particle = torch.as_tensor(series.particle, device=values.device)
    sums = values.new_zeros(series.n, *values.shape[1:])
    return sums.index_add_(0, particle, values)[particle]


def _frequency_limit(models: list[LinearModel], pixel_size_ang: float) -> int:
    """The frequency limit up to which images are compared."""
    means = without_solvent([model.mean() for model in models], pixel_size_ang)
    agreed = Maps([[mean] for mean in means], np.ones(1)).known_shells(AGREED)[0]
    return int(min(agreed + BEYOND, models[0].sphere.radius))


def _at_nodes(model: LinearModel, features: Tensor, radius: int) -> tuple[Backend, Tensor]:
    """The maps at the nodes, (S, M, 2), stored no further than `radius`, and what compares images with them."""
    full = model.sphere
    small = sphere_at(full.box, full.padding, radius)
    if small.box < full.box:
        scale = (full.box / small.box) ** 3
        volumes = np.stack([cropped_volume(volume, small.box) * scale for volume in on_host(model.volumes())])
        model = LinearModel.of(model.backend.on(small), volumes.astype(np.float32))
    return model.backend, model.mixed(features.T).coefs.permute(2, 0, 1).contiguous()
