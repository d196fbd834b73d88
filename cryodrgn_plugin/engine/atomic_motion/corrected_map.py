"""A map of all particles with their motion undone: each rigid part in its own frame, and the frames put together.

Image i shows, by its pose A_i, shift and CTF, the sum over parts of o_p times the part's density at R_p x + u_p, all of
them functions of where i is in the latent space (`part_motion`). A part's density is therefore seen under A_i R_p,
moved by A_i u_p in the image. For each part the others are taken off, and what is left is backprojected under that pose
with the weight o_p (docs/conventions.md, 9). At first the others are the beads of the model; then, round after round,
what the images themselves gave for them, inside the parts' masks, so that nothing of the model is left but its masks
and motions; and images are placed anew along the motion by these parts (`image_places`). Parts are joined by their
masks in the frame of the model. Half-maps come from halves that share neither images nor motions: each half's motions
are fitted to the maps of that half, and its images are held against its own parts. What they share is which nodes an
image is held against, those near its latent coordinates.
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
from ..likelihood.whitened import WhitenedImages
from ..reconstruction.accumulator import Accumulator, precision_from_power
from ..reconstruction.adaptive import local_wiener
from ..reconstruction.masks import cosine_edge
from ..slicing.compute import Compute
from ..slicing.fine import moved_volume, padded_transform
from ..slicing.sphere import HalfSphere
from .bead_overlap import density
from .image_places import ImagePlacer
from .model_in_run import ModelInRun
from .part_frames import PartFrames

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
    frames: PartFrames
    """Of all particles, as the last round had them."""

    def combined(self) -> np.ndarray:
        """(D, D, D) of all particles, by the Wiener filter in space and frequency."""
        return local_wiener(*self.halves)

    def at(self, frames: PartFrames) -> Iterator[np.ndarray]:
        """Maps (D, D, D) of some particles: the parts of the combined map as they lie there."""
        whole, box = self.combined(), len(self.mask)
        parts = [padded_transform(whole * mask / np.maximum(self.mask, 1e-6)) for mask in self.part_masks]
        for rotations, shifts, occupancy in zip(frames.rotations, frames.shifts_px, frames.occupancy, strict=True):
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
        nodes: np.ndarray | None = None,
        padding: float = 2.0,
    ) -> None:
        """points (N, D): positions of the dataset's images in the latent space; contrast (N,) around 1; nodes (M, D)
        at which images are placed anew, None leaves them where they are."""
        dataset.require_poses()
        self.found, self.dataset, self.noise, self.points, self.padding = found, dataset, noise, points, padding
        self.contrast = np.ones(dataset.n, np.float32) if contrast is None else contrast
        self.box = found.maps.volumes.shape[-1]
        self.sphere = HalfSphere(self.box, padding, dataset.lattice.radius)
        self.part_masks = part_masks(found.reference_px, found.motion.labels, self.box, found.pixel_size_ang)
        self.placer: ImagePlacer | None = None
        if nodes is not None and found.parts > 1:
            images = WhitenedImages(dataset, noise, BATCH)
            self.placer = ImagePlacer(images, points, self.contrast, nodes, found.fit.mirrored)

    def maps(self, half: np.ndarray, progress: Callable[[int, int], None] = lambda *_: None) -> CorrectedMap:
        """Half-maps of the half-sets (N,) of 0 and 1."""
        merged, placed, steps = [], [], 2 * ROUNDS
        members = [np.flatnonzero(half == number) for number in (0, 1)]
        for number, index in enumerate(members):
            motion, parts = self.found.of_half(number), self._beads()
            frames = PartFrames.of(motion, self.points[index])
            for round_number in range(ROUNDS):
                if round_number and self.placer is not None:
                    frames = self.placer.placed(motion, parts, index)
                sums = self._sums(frames, index, parts)
                parts = np.stack([each.volume(precision_from_power(each)) for each in sums]) * self.part_masks
                progress(number * ROUNDS + round_number + 1, steps)
            merged.append(sum(each.volume() * mask for each, mask in zip(sums, self.part_masks, strict=True)))
            placed.append(frames)
        frames = PartFrames.joined(placed, members)
        return CorrectedMap((merged[0], merged[1]), self.part_masks.sum(axis=0), self.part_masks, frames)

    def _beads(self) -> np.ndarray:
        """(P, D, D, D) the model's own density of each part, in its frame."""
        found = self.found
        mass = found.scale.amplitude * found.beads.electrons
        members = [found.motion.labels == part for part in range(found.parts)]
        return np.stack(
            [density(found.reference_px[own], mass[own], found.scale.sigma_px, self.box) for own in members]
        )

    def _sums(self, frames: PartFrames, index: np.ndarray, parts: np.ndarray) -> list[Accumulator]:
        """The backprojections of each part in its frame, from the particles `index` (n,) with their frames."""
        lattice, dataset = self.dataset.lattice, self.dataset
        sums = [Accumulator(lattice, self.padding) for _ in parts]
        coefficients = [torch.from_numpy(self.sphere.from_volumes(part[None])) for part in parts]
        multiplied = dataset.ctf_multiplied[index]
        done = 0
        for batch in BatchLoader(dataset.subset(index), BATCH, shuffle=False).iterate(0):
            rows = slice(done, done + len(batch))
            done = rows.stop
            which = index[rows]
            seen = _Seen.of(batch, frames[rows], self.found)
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
    def of(cls, batch: ImageBatch, frames: PartFrames, found: ModelInRun) -> "_Seen":
        views = batch.pose.rotations[:, 0].astype(np.float64)
        views = mirrored_rotations(views) if found.fit.mirrored else views
        moved = np.einsum("bxy,bpy->bpx", views, frames.shifts_px)[..., :2] * found.pixel_size_ang
        phases = [shift_phases(moved[:, part], batch.freqs_per_ang) for part in range(found.parts)]
        rotations = (views[:, None] @ frames.rotations).astype(np.float32)
        return cls(rotations, frames.occupancy.astype(np.float32), phases)


def part_masks(places_px: np.ndarray, labels: np.ndarray, box: int, pixel_size_ang: float) -> np.ndarray:
    """(P, D, D, D) soft masks around the beads (n, 3) of each part; where they overlap they share a voxel."""
    reach, edge = (max(length / pixel_size_ang, 2.0) for length in (REACH_ANG, EDGE_ANG))
    axis = np.arange(box) - box // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    voxels = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    distances = [cKDTree(places_px[labels == part]).query(voxels)[0] for part in range(labels.max() + 1)]
    masks = np.stack([cosine_edge(distance - reach, edge).reshape((box,) * 3) for distance in distances])
    return (masks / np.maximum(masks.sum(axis=0), 1)).astype(np.float32)
