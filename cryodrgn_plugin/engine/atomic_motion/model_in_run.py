"""A model laid into the maps of a run: from its file to rigid parts that move and come and go."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..atoms.atomic_model import AtomicModel
from ..atoms.beads import Beads, beads_of
from ..errors import DataError
from ..reconstruction.masks import auto_threshold, lowpass
from .bead_overlap import BeadScale, density, scale_of
from .displacements import BeadFit, BeadFitter, followed, gyration_px
from .elastic import ElasticNetwork
from .model_fit import LOWPASS_PX, ModelFit, correlation, fit_model
from .node_maps import NodeMaps, of_other_hand
from .part_motion import PartMotion
from .part_number import PartNumber, chosen_number
from .part_poses import PartFitter, PartPoses
from .rigid_parts import SMALLEST, candidate_parts, rigid_motions

MOST_BEADS = 500
"""More residues than these share beads: what moves is larger than a residue."""
LEAST_ACROSS_ANG = 5.0
"""Diameter of a model whose atoms are in places of their own."""
SCALE_BAND = 0.85
"""Share of the frequencies of the box in which the grey scale of beads is measured."""

BEYOND_ANG, BEYOND_PX = 12.0, 3.0
"""How far from every bead density is away from the model; at least so many voxels."""
MOST_BEYOND = 0.05
"""Of the density, away from a model that is whole."""

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total)."""


@dataclass(frozen=True)
class ModelInRun:
    """What was found. Maps are those of one hand, the model's."""

    model: AtomicModel
    beads: Beads
    fit: ModelFit
    maps: NodeMaps
    pixel_size_ang: float
    reference: int
    """The map that the model as it is fits best."""
    scale: BeadScale
    reference_px: np.ndarray
    """(n, 3) the beads of the model in the map, in voxels from voxel D//2."""
    beyond: float
    """Share of the density of map `reference` that lies away from the model."""
    bead_fits: list[BeadFit]
    """The beads by themselves in each map."""
    candidates: list[np.ndarray]
    number: PartNumber | None
    fitter: PartFitter
    poses: list[PartPoses]
    """The parts in each map."""
    motion: PartMotion

    @property
    def parts(self) -> int:
        return self.fitter.count

    @property
    def part_of_atom(self) -> np.ndarray:
        """(atoms,) from 0."""
        return self.motion.labels[self.beads.bead_of_atom]

    def fit_sentences(self) -> list[str]:
        """What is to be said of how the model lies in the maps."""
        said = self.fit.sentences()
        if self.fit.fits and self.beyond > MOST_BEYOND:
            said.append(
                f"{self.beyond:.0%} of the density of the map that the model fits best lies more than {BEYOND_ANG:.0f} "
                "Å from it: what the images show there is not in the model, and its parts may be drawn there. Give the "
                "whole of it."
            )
        return said

    def bead_places_px(self, points: np.ndarray) -> np.ndarray:
        """(m, n, 3) the beads at positions (m, D) of the latent space, in voxels."""
        return self.motion.places_px(self.reference_px, points)

    def atoms_at(self, points: np.ndarray) -> np.ndarray:
        """(m, atoms, 3) the atoms at positions (m, D), in Å in the frame of the map."""
        reference_px = self.fit.places_ang(self.model.coords_ang) / self.pixel_size_ang
        return self.motion.places_px(reference_px, points, self.part_of_atom) * self.pixel_size_ang

    def density_at(self, point: np.ndarray) -> np.ndarray:
        """(D, D, D) what the model shows at a position (D,)."""
        _, _, occupancy = self.motion.at(point[None])
        weights = self.scale.amplitude * self.beads.electrons * occupancy[0][self.motion.labels]
        places = self.bead_places_px(point[None])[0]
        return density(places, weights, self.scale.sigma_px, self.maps.volumes.shape[-1])

    def mobility_ang(self) -> np.ndarray:
        """(n,) root mean square distance of each bead from its mean place, over the particles."""
        places = self.bead_places_px(self.maps.points) * self.pixel_size_ang
        share = self.maps.share / self.maps.share.sum()
        mean = np.tensordot(share, places, axes=1)
        return np.sqrt(np.tensordot(share, np.square(places - mean).sum(axis=2), axes=1))

    def of_half(self, half: int) -> PartMotion:
        """The motion as the maps of one half of the particles show it by themselves."""
        poses = [
            self.fitter.fit(volume, start) for volume, start in zip(self.maps.halves[half], self.poses, strict=True)
        ]
        return PartMotion.of(self.motion.labels, self.fitter.centres_px, poses, self.maps.points, self.maps.share)


def laid_into(
    model: AtomicModel,
    maps: NodeMaps,
    pixel_size_ang: float,
    *,
    most_parts: int,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> ModelInRun:
    """Lay a model into the maps of a run; `most_parts` bounds the number of rigid parts.

    Raises DataError where the model is larger than the box.
    """
    beads = coarse_beads(model)
    _require_room(beads, maps.volumes.shape[-1] * pixel_size_ang)
    progress("model in the consensus", 0, 1)
    fit = fit_model(beads.centres_ang, beads.electrons, maps.mean, pixel_size_ang, seed)
    maps = of_other_hand(maps) if fit.mirrored else maps
    places = fit.places_ang(beads.centres_ang) / pixel_size_ang
    reference, scale = _reference(maps, places, beads)
    network = ElasticNetwork.of(places, beads.chains, pixel_size_ang)
    noise = maps.noise()
    size_px = gyration_px(places, beads.electrons)
    fitter = BeadFitter(beads.electrons, scale, network, noise, pixel_size_ang, size_px)
    bead_fits = followed(fitter, maps.volumes, maps.points, places, reference, progress)
    occupancy = np.stack([one.occupancy for one in bead_fits])
    followed_px = np.stack([one.places_px for one in bead_fits])
    candidates = candidate_parts(
        places * pixel_size_ang, followed_px * pixel_size_ang, occupancy, maps.share, beads.chains, most_parts
    )
    fitters = [PartFitter(places, beads.electrons, one, scale, noise, pixel_size_ang) for one in candidates]
    starts = [part_starts(one, places, followed_px, occupancy) for one in fitters]
    number = chosen_number(fitters, starts, maps, progress=progress) if len(fitters) > 1 else None
    chosen = 0 if number is None else number.chosen
    part_fitter, poses = fitters[chosen], []
    for node, start in enumerate(starts[chosen]):
        poses.append(part_fitter.fit(maps.volumes[node], start))
        progress("rigid parts", node + 1, len(maps.z))
    motion = PartMotion.of(part_fitter.labels, part_fitter.centres_px, poses, maps.points, maps.share)
    return ModelInRun(
        model, beads, fit, maps, pixel_size_ang, reference, scale, places,
        density_beyond(maps.volumes[reference], places, pixel_size_ang),
        bead_fits, candidates, number, part_fitter, poses, motion,
    )  # fmt: skip


def _require_room(beads: Beads, edge_ang: float) -> None:
    """Raise DataError where beads reach out of the box whichever way they are turned, are few, or lie at one place."""
    if len(beads) < SMALLEST:
        raise DataError(
            f"The model is {beads.described()}; fewer than {SMALLEST} say nothing of a map. Give the whole of what the "
            "images show."
        )
    away = beads.centres_ang - beads.centres_ang.mean(axis=0)
    across_ang = 2 * float(np.linalg.norm(away, axis=1).max())
    if across_ang < LEAST_ACROSS_ANG:
        raise DataError(f"All of the model lies within {across_ang:.1f} Å; its coordinates are not those of atoms.")
    if across_ang > edge_ang:
        raise DataError(
            f"The model is {across_ang:.0f} Å across and the box of the maps {edge_ang:.0f} Å; give the molecule that "
            "the images show, alone, and check the pixel size."
        )


def density_beyond(volume: np.ndarray, places_px: np.ndarray, pixel_size_ang: float) -> float:
    """Share of the density of a map (D, D, D), over its threshold, that is away from beads at (n, 3) voxels."""
    smooth = lowpass(volume, pixel_size_ang, LOWPASS_PX * pixel_size_ang)
    voxels = np.argwhere(smooth > auto_threshold(smooth))
    there = smooth[tuple(voxels.T)]
    away_px = cKDTree(places_px).query(voxels[:, ::-1] - len(volume) // 2)[0]
    beyond = away_px > max(BEYOND_ANG / pixel_size_ang, BEYOND_PX)
    return float(there[beyond].sum() / max(there.sum(), 1e-30))


def coarse_beads(model: AtomicModel) -> Beads:
    """At most about `MOST_BEADS` beads, each for one residue or several in a row."""
    beads = beads_of(model, "residue")
    several = -(-len(beads) // MOST_BEADS)
    return beads if several == 1 else beads_of(model, "residue", residues=several)


def _reference(maps: NodeMaps, places: np.ndarray, beads: Beads) -> tuple[int, BeadScale]:
    """The map that beads at (n, 3) fit best, and their grey scale in it."""
    box = maps.volumes.shape[-1]
    last = round(SCALE_BAND * box / 2)
    drawn = density(places, beads.electrons, scale_of(maps.mean, places, beads.electrons, last).sigma_px, box)
    reference = int(np.argmax([correlation(drawn, volume) for volume in maps.volumes]))
    return reference, scale_of(maps.volumes[reference], places, beads.electrons, last)


def part_starts(
    fitter: PartFitter, places: np.ndarray, followed_px: np.ndarray, occupancy: np.ndarray
) -> list[PartPoses]:
    """Where the beads by themselves say that the parts are, in every map."""
    turns = np.empty((len(followed_px), fitter.count, 3))
    moves = np.empty_like(turns)
    for part, centre in enumerate(fitter.centres_px):
        for node, motion in enumerate(rigid_motions(fitter.labels == part, places, followed_px, occupancy)):
            turns[node, part] = Rotation.from_matrix(motion[0]).as_rotvec()
            moves[node, part] = motion[0] @ centre + motion[1] - centre
    full, open_ = np.ones(fitter.count), np.zeros((fitter.count, 6, 6))
    return [PartPoses(turn, move, full, open_) for turn, move in zip(turns, moves, strict=True)]
