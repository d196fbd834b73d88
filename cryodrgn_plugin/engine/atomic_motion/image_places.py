"""Where images lie along the motion of rigid parts, by what images gave for these parts.

The latent coordinates of a run rest on maps that are blurred where the molecule moves most. Parts, each seen by all
images, are sharper; so every image is held against them at places along the motion. These are nodes x_m, centres of
clusters of the particles in the latent space (or the separate states that a run found). With ℓ_i(m) the log-likelihood
of image i under the parts as the motion has them at x_m,

    r_im ∝ π_m exp ℓ_i(m),      π_m = mean of r_im,

over the nodes nearest to where the run has the image, and its parts turn, lie and are there as the means over r_im say.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..geometry.hand import mirrored_rotations
from ..likelihood.waves import phases, product
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..slicing.fine import moved_volume, padded_transform
from ..slicing.sphere import HalfSphere
from .part_frames import PartFrames
from .part_motion import PartMotion

NODES, NEAREST = 48, 16
"""Places along a motion, and how many of them an image is held against."""
FEWEST = 15
"""Particles per node, on average."""
ROUNDS = 10
"""Of the shares π."""


@dataclass(frozen=True)
class ImagePlacer:
    """Places the images of a run.

    Parameters
    ----------
    points : (N, D) where the run has its particles.
    contrast : (N,) around 1.
    nodes : (M, D) the places that images are held against.
    mirrored : whether the parts are of the other hand than the poses.
    """

    images: WhitenedImages
    points: np.ndarray
    contrast: np.ndarray
    nodes: np.ndarray
    mirrored: bool

    def placed(self, motion: PartMotion, parts: np.ndarray, members: np.ndarray) -> PartFrames:
        """The frames of `members`, the numbers (n,) of some images, by maps of the parts (P, D, D, D)."""
        near = cKDTree(self.nodes).query(self.points[members], min(NEAREST, len(self.nodes)))[1]
        near = near.reshape(len(members), -1)
        scores = self._log_likelihoods(motion, PartFrames.of(motion, self.nodes), parts, members, near)
        return _averaged(motion, self.nodes, near, _shares(scores, near, len(self.nodes)))

    def _log_likelihoods(
        self, motion: PartMotion, at_nodes: PartFrames, parts: np.ndarray, members: np.ndarray, near: np.ndarray
    ) -> np.ndarray:
        """(n, m) of each image at its nodes (n, m)."""
        box, found = parts.shape[-1], np.empty(near.shape)
        backend = self.images.backend(HalfSphere(box, 2.0, self.images.lattice.radius))
        # Of each part about its own centre, so that it is far from the edge of the box.
        own = [
            moved_volume(padded_transform(part), np.eye(3), -centre, box)
            for part, centre in zip(parts, motion.centres_px, strict=True)
        ]
        coefs = [backend.coefficients(backend.compute.tensor(part[None])) for part in own]
        centres = at_nodes.centres_px(motion.centres_px)
        row = np.full(self.images.n, -1)
        row[members] = np.arange(len(members))
        chosen = np.where(row >= 0, 0, -1)
        for _, batch in self.images.by_halves(self.images.lattice.size, chosen):
            rows = row[batch.index]
            for number in range(near.shape[1]):
                node = near[rows, number]
                strength = at_nodes.occupancy[node] * self.contrast[batch.index, None]
                seen = self._seen(backend, coefs, batch, at_nodes.rotations[node], centres[node] / box, strength)
                found[rows, number] = _log_likelihood(batch, seen)
        return found

    def _seen(
        self, backend, coefs: list, batch: WhitenedBatch, turns: np.ndarray, places: np.ndarray, strength: np.ndarray
    ) -> torch.Tensor:
        """(B, F) all parts with turns (B, P, 3, 3), at places (B, P, 3) in boxes, as strong as (B, P) says."""
        views = batch.rotations.double().numpy()
        views = mirrored_rotations(views) if self.mirrored else views
        moves = -np.einsum("bxy,bpy->bpx", views, places)[..., :2]
        total = torch.zeros_like(batch.targets)
        for part, coefficients in enumerate(coefs):
            turned = backend.compute.tensor(np.ascontiguousarray(views @ turns[:, part], dtype=np.float32))
            pairs = backend.project(coefficients, turned, total.shape[1])[..., 0] * backend.compute.tensor(
                strength[:, part, None, None].astype(np.float32)
            )
            back = phases(torch.from_numpy(moves[:, part]), self.images.lattice, total.shape[1], total.dtype)
            total += product(torch.view_as_complex(pairs.contiguous()), back)
        return total


def places_along(points: np.ndarray, seed: int) -> np.ndarray:
    """(M, D) nodes among particles at (N, D)."""
    count = max(1, min(NODES, len(points) // FEWEST))
    centres, _ = kmeans2(points.astype(np.float64), count, minit="++", seed=np.random.default_rng(seed))
    return centres


def _log_likelihood(batch: WhitenedBatch, seen: torch.Tensor) -> np.ndarray:
    """(B,) of images that show (B, F)."""
    explained = seen.real * batch.targets.real + seen.imag * batch.targets.imag
    power = seen.real.square() + seen.imag.square()
    return (explained - 0.5 * batch.weights * power).sum(1).double().numpy()


def _shares(scores: np.ndarray, near: np.ndarray, count: int) -> np.ndarray:
    """r (n, m) from the log-likelihoods at the nodes `near` (n, m), of `count`."""
    prior = np.full(count, 1.0 / count)
    for _ in range(ROUNDS):
        share = np.log(prior)[near] + scores
        share = np.exp(share - share.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        total = np.bincount(near.ravel(), share.ravel(), minlength=count)
        prior = np.maximum(total, 0.1) / np.maximum(total, 0.1).sum()
    return share


def _averaged(motion: PartMotion, nodes: np.ndarray, near: np.ndarray, share: np.ndarray) -> PartFrames:
    """Frames of n images, of which (n, m) shares lie at the nodes (n, m): means of turns, places and occupancies."""
    vectors, moves_px, occupancy = (np.einsum("nm,nm...->n...", share, values[near]) for values in motion.at(nodes))
    rotations = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3)
    centres = motion.centres_px
    return PartFrames(rotations, moves_px + centres - np.einsum("npxy,py->npx", rotations, centres), occupancy)
