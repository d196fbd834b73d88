"""A map of all particles with their motion undone: each rigid part in its own frame, and the frames put together.

Image i shows, by its pose A_i, shift and CTF, the sum over parts of o_p times the part's density at R_p x + u_p, all of
them functions of where i is in the latent space (`part_motion`). A part's density is therefore seen under A_i R_p,
moved by A_i u_p in the image. For each part the others are taken off, and what is left is backprojected under that pose
with the weight o_p (docs/conventions.md, 9). At first the others are the beads of the model; then, round after round,
what the images themselves gave for them, inside the parts' masks, so that nothing of the model is left but its masks
and motions. Parts are joined by their masks in the frame of the model. Half-maps come from halves that share neither
images nor motions: each half's motions are fitted to the maps of that half. Its latent coordinates are those of the
run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..data.batch import ImageBatch, centred
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..geometry.hand import mirrored_rotations
from ..geometry.shifts import shift_phases
from ..imaging.noise import NoiseModel
from ..reconstruction.accumulator import Accumulator, precision_from_power
from ..reconstruction.adaptive import local_wiener
from ..reconstruction.masks import cosine_edge
from ..slicing.compute import Compute
from ..slicing.fine import moved_volume, padded_transform
from ..slicing.sphere import HalfSphere
from .bead_overlap import density
from .model_in_run import ModelInRun
from .part_motion import PartMotion

ROUNDS = 3
"""The first takes the beads for the other parts."""
BATCH = 256
REACH_ANG, EDGE_ANG = 8.0, 12.0
"""Masks of parts end so far from the nearest bead, and their edges are so wide; both at least two voxels."""


@dataclass(frozen=True)
class CorrectedMap:
    """`halves`: two (D, D, D) maps without prior inside `mask`; `part_masks` (P, D, D, D), which add up to it."""

    halves: tuple[np.ndarray, np.ndarray]
    mask: np.ndarray
    part_masks: np.ndarray

    def combined(self) -> np.ndarray:
        """(D, D, D) of all particles, by the Wiener filter in space and frequency."""
        return local_wiener(*self.halves)

    def at(self, motion: PartMotion, points: np.ndarray) -> Iterator[np.ndarray]:
        """Maps (D, D, D) at positions (m, D) of the latent space: the parts of the combined map where they are
        there."""
        whole, box = self.combined(), len(self.mask)
        parts = [padded_transform(whole * mask / np.maximum(self.mask, 1e-6)) for mask in self.part_masks]
        for rotations, shifts, occupancy in zip(*motion.frames(points), strict=True):
            yield sum(
                there * moved_volume(part, rotation, shift, box)
                for part, rotation, shift, there in zip(parts, rotations, shifts, occupancy, strict=True)
            )


class MotionCorrection:
    """Makes corrected maps of the images of a run."""

    def __init__(
        self,
        found: ModelInRun,
        dataset: ParticleDataset,
        noise: NoiseModel,
        points: np.ndarray,
        contrast: np.ndarray | None = None,
        padding: float = 2.0,
    ) -> None:
        """points (N, D): positions of the dataset's images in the latent space; contrast (N,) around 1."""
        dataset.require_poses()
        self.found, self.dataset, self.noise, self.points, self.padding = found, dataset, noise, points, padding
        self.contrast = np.ones(dataset.n, np.float32) if contrast is None else contrast
        self.box = found.maps.volumes.shape[-1]
        self.sphere = HalfSphere(self.box, padding, dataset.lattice.radius)
        self.part_masks = part_masks(found.reference_px, found.motion.labels, self.box, found.pixel_size_ang)

    def maps(self, half: np.ndarray, progress: Callable[[int, int], None] = lambda *_: None) -> CorrectedMap:
        """Half-maps of the half-sets (N,) of 0 and 1."""
        merged, steps = [], 2 * ROUNDS
        for number in (0, 1):
            motion, index = self.found.of_half(number), np.flatnonzero(half == number)
            parts = self._beads()
            for round_number in range(ROUNDS):
                sums = self._sums(motion, index, parts)
                parts = np.stack([each.volume(precision_from_power(each)) for each in sums]) * self.part_masks
                progress(number * ROUNDS + round_number + 1, steps)
            merged.append(sum(each.volume() * mask for each, mask in zip(sums, self.part_masks, strict=True)))
        return CorrectedMap((merged[0], merged[1]), self.part_masks.sum(axis=0), self.part_masks)

    def _beads(self) -> np.ndarray:
        """(P, D, D, D) the model's own density of each part, in its frame."""
        found = self.found
        mass = found.scale.amplitude * found.beads.electrons
        members = [found.motion.labels == part for part in range(found.parts)]
        return np.stack(
            [density(found.reference_px[own], mass[own], found.scale.sigma_px, self.box) for own in members]
        )

    def _sums(self, motion: PartMotion, index: np.ndarray, parts: np.ndarray) -> list[Accumulator]:
        """The backprojections of each part in its frame, from the particles `index`."""
        lattice, dataset = self.dataset.lattice, self.dataset
        sums = [Accumulator(lattice, self.padding) for _ in parts]
        coefficients = [torch.from_numpy(self.sphere.from_volumes(part[None])) for part in parts]
        multiplied = dataset.ctf_multiplied[index]
        done = 0
        for batch in BatchLoader(dataset.subset(index), BATCH, shuffle=False).iterate(0):
            rows = slice(done, done + len(batch))
            done = rows.stop
            which = index[rows]
            seen = _Seen.of(batch, motion, self.points[which], self.found)
            shown = [
                seen.occupancy[:, part, None]
                * self._slices(coefficients[part], seen.rotations[:, part])
                * seen.phases[part]
                for part in range(len(parts))
            ]
            total, strength = sum(shown), self.contrast[which, None] * batch.ctf
            images, variance = centred(batch), self.noise.per_coefficient(lattice, batch.group)
            for flag in np.unique(multiplied[rows]):
                own = np.flatnonzero(multiplied[rows] == flag)
                transfer = strength * batch.ctf if flag else strength
                for part, accumulator in enumerate(sums):
                    rest = images - transfer * (total - shown[part])
                    there = seen.occupancy[:, part, None]
                    accumulator.add(
                        (rest * seen.phases[part].conj() * (there * self.contrast[which, None] if flag else 1))[own],
                        (strength * there)[own],
                        seen.rotations[own, part],
                        None,
                        variance[own],
                        ctf_multiplied=bool(flag),
                    )
        return sums

    def _slices(self, coefficients: torch.Tensor, rotations: np.ndarray) -> np.ndarray:
        """(B, F) complex64 of one part under (B, 3, 3)."""
        backend = Compute().backend(self.sphere, self.dataset.lattice)
        turned = backend.compute.tensor(np.ascontiguousarray(rotations, dtype=np.float32))
        pairs = backend.project(coefficients, turned, self.dataset.lattice.size)[..., 0].numpy()
        return pairs[..., 0] + 1j * pairs[..., 1]


@dataclass(frozen=True)
class _Seen:
    """How the parts are seen in B images: rotations (B, P, 3, 3), occupancies (B, P), and phases (B, F) of each part
    that move its slice to where the part is."""

    rotations: np.ndarray
    occupancy: np.ndarray
    phases: list[np.ndarray]

    @classmethod
    def of(cls, batch: ImageBatch, motion: PartMotion, points: np.ndarray, found: ModelInRun) -> "_Seen":
        views = batch.pose.rotations[:, 0].astype(np.float64)
        views = mirrored_rotations(views) if found.fit.mirrored else views
        turns, shifts_px, occupancy = motion.frames(points)
        moved = np.einsum("bxy,bpy->bpx", views, shifts_px)[..., :2] * found.pixel_size_ang
        phases = [shift_phases(moved[:, part], batch.freqs_per_ang) for part in range(motion.centres_px.shape[0])]
        rotations = (views[:, None] @ turns).astype(np.float32)
        return cls(rotations, occupancy.astype(np.float32), phases)


def part_masks(places_px: np.ndarray, labels: np.ndarray, box: int, pixel_size_ang: float) -> np.ndarray:
    """(P, D, D, D) soft masks around the beads (n, 3) of each part; where they overlap they share a voxel."""
    reach, edge = (max(length / pixel_size_ang, 2.0) for length in (REACH_ANG, EDGE_ANG))
    axis = np.arange(box) - box // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    voxels = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    distances = [cKDTree(places_px[labels == part]).query(voxels)[0] for part in range(labels.max() + 1)]
    masks = np.stack([cosine_edge(distance - reach, edge).reshape((box,) * 3) for distance in distances])
    return (masks / np.maximum(masks.sum(axis=0), 1)).astype(np.float32)
