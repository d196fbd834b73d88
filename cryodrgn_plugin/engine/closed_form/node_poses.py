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
from scipy.special import log_softmax

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..likelihood.expansion import ChosenExpansion, LocalImages
from ..likelihood.half_models import without_solvent
from ..likelihood.linear_model import LinearModel, sphere_at
from ..likelihood.species_maps import Maps
from ..likelihood.voxel_solve import EquationSums, NormalEquations
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..poses.refine import Bounds, Poses, RefinedPoses
from ..poses.tied import Ties, refine_tied
from ..reconstruction.adaptive import filtered_halves
from ..slicing.fine import cropped_volume
from ..slicing.sphere import HalfSphere
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

    nodes: np.ndarray
    """(N, K) int. The nodes, the likeliest at low frequency first."""
    rotations: np.ndarray
    """(N, K, 3, 3) float32."""
    shifts_ang: np.ndarray
    """(N, K, 2) float32."""
    log_likelihood: np.ndarray
    """(N, K) of the whole particle."""

    def responsibilities(self, population: np.ndarray) -> Responsibilities:
        """How far images belong to the nodes, whose populations (M,) are brought up to date."""
        log_shares = np.full((len(self.nodes), len(population)), -np.inf)
        posterior = log_softmax(self.log_likelihood + np.log(population)[self.nodes], axis=1)
        np.put_along_axis(log_shares, self.nodes, posterior, axis=1)
        shares = np.exp(log_shares)
        return Responsibilities(log_shares, (shares.sum(0) + 1) / (len(shares) + len(population)))

    def weights(self, found: Responsibilities) -> np.ndarray:
        """(N, K) how much each pose counts; they sum to 1."""
        shares = np.take_along_axis(found.shares, self.nodes, axis=1)
        shares[shares < COUNTED * shares.max(1, keepdims=True)] = 0
        return shares / shares.sum(1, keepdims=True)

    def likeliest(self, found: Responsibilities) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3), shifts (N, 2) and log-likelihood (N,) at the node where each image most likely lies."""
        best = np.arange(len(self.nodes)), self.weights(found).argmax(1)
        return self.rotations[best], self.shifts_ang[best], self.log_likelihood[best]


def place_at_nodes(
    images: WhitenedImages,
    dataset: ParticleDataset,
    series: TiltSeries,
    models: list[LinearModel],
    features: np.ndarray,
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
    radius = _known(models, dataset.pixel_size_ang)
    n, k = dataset.n, min(KEPT, len(features))
    found = NodePoses(
        np.zeros((n, k), np.int64),
        np.empty((n, k, 3, 3), np.float32),
        np.empty((n, k, 2), np.float32),
        np.empty((n, k)),
    )
    poses, done = dataset.physical_poses(), 0
    for part, model in enumerate(_filtered(models, dataset.pixel_size_ang)[::-1]):
        maps = _at_nodes(model, features, radius)
        for batch in images.passes(images.lattice.count(radius)):
            rows = np.flatnonzero(half[batch.index] == part)
            if len(rows):
                first = poses[0][batch.index[rows]], poses[1][batch.index[rows]]
                _place(_Climb(dataset, series, *maps, batch, rows, first), found, radius)
            done += 1
            report(done, 2 * images.n_batches)
    return found


def _place(climb: "_Climb", found: NodePoses, radius: float) -> None:
    """Write where some images lie into `found`."""
    n, k = len(climb.index), found.nodes.shape[1]
    loose = [climb.at(np.full(n, node), climb.first, radius / 2) for node in range(len(climb.coefs))]
    rotations, shifts_ang = np.stack([each.rotations for each in loose]), np.stack([each.shifts_ang for each in loose])
    order = np.argsort([-each.score for each in loose], axis=0, kind="stable")
    for place, chosen in enumerate(order[:k]):
        here = chosen, np.arange(n)
        last = climb.at(chosen, (rotations[here], shifts_ang[here]), radius)
        found.nodes[climb.index, place], found.log_likelihood[climb.index, place] = chosen, last.score * climb.count
        found.rotations[climb.index, place], found.shifts_ang[climb.index, place] = last.rotations, last.shifts_ang


class _Climb:
    """Some images of one half-set, all of each particle, ready to climb against the maps of the other."""

    def __init__(
        self,
        dataset: ParticleDataset,
        series: TiltSeries,
        sphere: HalfSphere,
        coefs: np.ndarray,
        batch: WhitenedBatch,
        rows: np.ndarray,
        first: Poses,
    ) -> None:
        self.index, self.sphere, self.coefs, self.first = batch.index[rows], sphere, coefs, first
        self.local = LocalImages.of(dataset, batch, rows)
        self.ties, self.count = Ties.of(series, self.index), series.counts[series.particle[self.index]]
        self._bounds = Bounds(*first, MAX_ANGLE_DEG, MAX_SHIFT * dataset.box * dataset.pixel_size_ang)

    def at(self, nodes: np.ndarray, start: Poses, radius: float) -> RefinedPoses:
        """Uphill from `start`, each image at its node (B,)."""
        model = ChosenExpansion(self.sphere, self.coefs, nodes, self.local)
        return refine_tied(model, self.ties, start, [radius], STEPS, self._bounds)


def accumulate_at_nodes(
    images: WhitenedImages,
    dataset: ParticleDataset,
    sphere: HalfSphere,
    features: np.ndarray,
    placed: NodePoses,
    weights: np.ndarray,
    half: np.ndarray,
) -> list[NormalEquations]:
    """As `voxel_solve.accumulate`, each image with its `weights` (N, K) at its nodes and the pose that it has there."""
    count, n_channels = images.lattice.count(sphere.radius), features.shape[1]
    sums = [EquationSums(sphere, n_channels) for _ in range(2)]
    indices, extent_ang = images.lattice.indices[:count], dataset.box * dataset.pixel_size_ang
    for batch in images.passes(count):
        for place in range(weights.shape[1]):
            for part, each in enumerate(sums):
                rows = np.flatnonzero((half[batch.index] == part) & (weights[batch.index, place] > 0))
                index = batch.index[rows]
                share = weights[index, place].astype(np.float32)[:, None]
                ratio = dataset.frequency_ratio[index]
                left = placed.shifts_ang[index, place] * ratio[:, None] - dataset.shifts_ang[index]
                back = np.exp(2j * np.pi * left @ indices.T / extent_ang).astype(np.complex64)
                amplitudes = features[placed.nodes[index, place]]
                second = amplitudes[:, :, None] * amplitudes[:, None, :]
                turned = (placed.rotations[index, place] * ratio[:, None, None]).astype(np.float32)
                data = batch.weights[rows] * share, second, batch.targets[rows] * back * share, amplitudes
                each.add(*data, turned, indices.astype(np.float32))
    return [each.equations() for each in sums]


def _known(models: list[LinearModel], pixel_size_ang: float) -> int:
    """The frequency limit up to which images are compared."""
    means = without_solvent([LinearModel(m.sphere, m.coefs[:, :, :1].copy()) for m in models], pixel_size_ang)
    agreed = Maps([[mean] for mean in means], np.ones(1)).known_shells(AGREED)[0]
    return int(min(agreed + BEYOND, models[0].sphere.radius))


def _filtered(models: list[LinearModel], pixel_size_ang: float) -> list[LinearModel]:
    """The half-set models with what they share locally, channel by channel, inside the mask of their means."""
    sphere = models[0].sphere
    pairs = zip(*(sphere.to_volumes(model.coefs) for model in models), strict=True)
    halves = zip(*(filtered_halves(*pair) for pair in pairs), strict=True)
    smooth = [LinearModel(sphere, sphere.from_volumes(np.stack(volumes))) for volumes in halves]
    return without_solvent(smooth, pixel_size_ang)


def _at_nodes(model: LinearModel, features: np.ndarray, radius: int) -> tuple[HalfSphere, np.ndarray]:
    """The maps at the nodes (M voxels of storage each, (S, M, 2)), stored no further than `radius`."""
    full = model.sphere
    small = sphere_at(full.box, full.padding, radius)
    volumes = full.to_volumes(model.coefs)
    if small.box < full.box:
        scale = (full.box / small.box) ** 3
        volumes = np.stack([cropped_volume(volume, small.box) * scale for volume in volumes])
    else:
        small = full
    coefs = small.from_volumes(volumes.astype(np.float32))
    return small, np.stack([coefs @ mix for mix in features.astype(np.float32)])
