"""Particles of tilt series as a table of tilt images: each visible image of a particle is a row with its pose and CTF.

A particle of RELION 5 is a stack of 2D images, one per tilt. It was cut out of its tomogram turned by A_s
(rlnTomoSubtomogramRot, Tilt, Psi) and lies in there turned by A (rlnAngleRot, Tilt, Psi): from tilt t, whose projection
is P_t, it has the view

    R = P_t A_s A,

and its 2D origin is the upper two rows of P_t A_s times its 3D origin o. The tomogram's defocus holds for its centre;
at the particle it differs by rlnTomoHand times the depth in the view, the third row of P_t times (coordinates − A_s o).
(RELION 5: ParticleSet::getMatrix3x3 and getPosition, Experiment::read, Tomogram::getCtf.)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError
from ..geometry.rotations import euler_from_matrices, matrices_from_euler
from .particles import EULER, ParticleTable
from .tomogram_set import DOSE, OPTICS, Tomogram, numbers

PARTICLE, TOMOGRAM, FRAME = "rlnTomoParticleName", "rlnTomoName", "rlnTomoFrame"
VISIBLE = "rlnTomoVisibleFrames"
SUBTOMOGRAM = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")
ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst")
_CENTRED = ("rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateZAngst")
_IN_PIXELS = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
_OF_PARTICLES_ONLY = (VISIBLE, *SUBTOMOGRAM, *ORIGINS, *_CENTRED, *_IN_PIXELS, "rlnMicrographName", "rlnCtfImage")
"""Columns that would be untrue of a tilt image, or would make those of one particle look like copies."""


@dataclass(frozen=True)
class TiltImages:
    """The M visible tilt images of N particles, particle by particle."""

    frame: pd.DataFrame
    """A RELION 3.1 particle table of tilt images; `FRAME` is the tilt of each, from 1."""
    particle: np.ndarray
    """(M,) int64. Particle row of each image."""
    stages: np.ndarray
    """(M, 3, 3). P A_s: from a particle as it was cut out to the view."""


def tilt_images(particles: ParticleTable, tomograms: dict[str, Tomogram], sections: dict[str, int]) -> TiltImages:
    """All visible tilt images of some particles.

    Parameters
    ----------
    particles : particles of 2D stacks.
    tomograms : those they are of, by name.
    sections : images in each stack, by its name in the particle table.

    Raises
    ------
    DataError : angles lack, names occur twice, or a stack does not have one image per tilt or per visible tilt.
    """
    names = _particle_names(particles)
    in_tomogram = [tomograms[name] for name in particles.column(TOMOGRAM).astype(str)]
    particle, frame, images = [], [], []
    for row, (stack, text) in enumerate(zip(particles.image_names, particles.column(VISIBLE), strict=True)):
        visible = _visible_frames(text, row, particles)
        frames, stored = np.flatnonzero(visible), sections[stack]
        if len(visible) != in_tomogram[row].n or stored not in (len(frames), len(visible)):
            raise DataError(
                f"{particles.path}: particle {row + 1:,} has {len(frames)} visible of {len(visible)} frames, but its "
                f"stack {stack} holds {stored} images and its tomogram {in_tomogram[row].n} tilts. Extract it again."
            )
        # A stack holds either all tilts (WarpTools) or the visible ones only (RELION 5).
        section = frames if stored == len(visible) else np.arange(len(frames))
        images += [f"{i + 1}@{stack}" for i in section]
        particle.append(np.full(len(frames), row))
        frame.append(frames)
    return _rows(particles, names, in_tomogram, images, np.concatenate(particle), np.concatenate(frame))


def _rows(
    particles: ParticleTable,
    names: np.ndarray,
    tomograms: list[Tomogram],
    images: list[str],
    particle: np.ndarray,
    frame: np.ndarray,
) -> TiltImages:
    """The table of tilt images: `particle` and `frame` number the row and the tilt of each, from 0."""
    turns, cut_out = matrices_from_euler(_angles(particles)), _subtomogram_turns(particles)
    offsets = np.stack([_optional(particles, name) for name in ORIGINS], axis=1)
    taken = _Taken.of(tomograms, particle, frame)
    stages = taken.projections @ cut_out[particle]
    angles = euler_from_matrices(stages @ turns[particle])
    shifted = np.einsum("nij,nj->ni", stages[:, :2], offsets[particle])
    optics, places_ang = taken.optics.copy(), _places_ang(particles, tomograms)
    if places_ang is not None:
        places_ang = places_ang - np.einsum("nij,nj->ni", cut_out, offsets)
        depth_ang = np.einsum("nj,nj->n", taken.projections[:, 2], places_ang[particle])
        optics[:, :2] += (depth_ang * np.array([each.defocus_per_depth for each in tomograms])[particle])[:, None]
    kept = [name for name in particles.frame if name not in (*_OF_PARTICLES_ONLY, *EULER, *OPTICS)]
    columns = {name: particles.frame[name].to_numpy()[particle] for name in kept}
    columns |= {"rlnImageName": images, **dict(zip(EULER, angles.T, strict=True))}
    columns |= dict(zip(ORIGINS[:2], shifted.T, strict=True)) | dict(zip(OPTICS, optics.T, strict=True))
    columns |= {DOSE: taken.dose, PARTICLE: names[particle], FRAME: frame + 1}
    return TiltImages(pd.DataFrame(columns), particle, stages)


@dataclass(frozen=True)
class _Taken:
    """How each of M tilt images was taken; see `Tomogram`."""

    projections: np.ndarray
    optics: np.ndarray
    dose: np.ndarray

    @classmethod
    def of(cls, tomograms: list[Tomogram], particle: np.ndarray, frame: np.ndarray) -> "_Taken":
        """Of the tilts `frame` (M,) of the tomograms that the particles (M,) are in, one tomogram per particle."""
        number = {id(each): each for each in tomograms}
        starts = dict(zip(number, np.cumsum([0, *(each.n for each in number.values())]), strict=False))
        at = np.array([starts[id(each)] for each in tomograms])[particle] + frame
        fields = ("projections", "optics", "dose")
        return cls(*(np.concatenate([getattr(each, name) for each in number.values()])[at] for name in fields))


def _angles(particles: ParticleTable) -> np.ndarray:
    if particles.euler_deg is None:
        raise DataError(f"{particles.path}: the particles have no poses (columns {', '.join(EULER)}).")
    return particles.euler_deg


def _subtomogram_turns(particles: ParticleTable) -> np.ndarray:
    """(N, 3, 3) A_s of each particle, as it was cut out to its tomogram."""
    return matrices_from_euler(np.stack([_optional(particles, name) for name in SUBTOMOGRAM], axis=1))


def _places_ang(particles: ParticleTable, tomograms: list[Tomogram]) -> np.ndarray | None:
    """(N, 3) where particles are expected, from the centre of their tomograms; None where the files do not say.

    Coordinates in pixels are in those of the tilt images (RELION 4) or of the particles (WarpTools).
    """
    if set(_CENTRED) <= set(particles.frame):
        return np.stack([particles.numbers(name) for name in _CENTRED], axis=1)
    known = all(each.size_px is not None and each.pixel_size_ang is not None for each in tomograms)
    if not known or not set(_IN_PIXELS) <= set(particles.frame):
        return None
    tilt_pixel = np.array([each.pixel_size_ang for each in tomograms], np.float64)
    of_warp = np.array([each.of_warp for each in tomograms])
    pixel_size_ang = np.where(of_warp, particles.pixel_size_ang, tilt_pixel) if of_warp.any() else tilt_pixel
    centres_ang = np.stack([each.size_px for each in tomograms]) / 2 * tilt_pixel[:, None]
    coordinates = np.stack([particles.numbers(name) for name in _IN_PIXELS], axis=1)
    return coordinates * pixel_size_ang[:, None] - centres_ang


def _particle_names(particles: ParticleTable) -> np.ndarray:
    """(N,) the name of each particle; where there are none they are numbered in each tomogram, as in RELION."""
    if PARTICLE not in particles.frame:
        tomogram = particles.column(TOMOGRAM).astype(str)
        return (tomogram + "/" + (tomogram.groupby(tomogram).cumcount() + 1).astype(str)).to_numpy(object)
    names = particles.frame[PARTICLE].astype(str)
    again = names.duplicated().to_numpy()
    if again.any():
        row = int(np.flatnonzero(again)[0])
        raise DataError(
            f"{particles.path}: {PARTICLE} of row {row + 1:,} is {names.iloc[row]}, as of another row; tilt images of "
            "a particle are known by its name. Name each particle otherwise."
        )
    return names.to_numpy(object)


def _optional(particles: ParticleTable, name: str) -> np.ndarray:
    """(N,) numbers of a column that may be absent (then all 0)."""
    return particles.numbers(name) if name in particles.frame else np.zeros(particles.n)


def _visible_frames(text: object, row: int, particles: ParticleTable) -> np.ndarray:
    flags = numbers(text)
    if not len(flags) or not np.isin(flags, (0, 1)).all() or not flags.any():
        raise DataError(f"{particles.path}: {VISIBLE} of row {row + 1:,} is {text!r}; it must list 0 and 1, one of 1.")
    return flags.astype(bool)
