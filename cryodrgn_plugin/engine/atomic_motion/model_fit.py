"""Where an atomic model lies in a map: every rotation of a grid, every shift, both hands, and what chance would give.

A point x of the model, in Å from its centre of weight, lies at R x + t of the map, in Å from voxel D//2; where the map
has the other hand, at R x + t of its mirror image (`geometry.hand`). The search is that of maps (`map_alignment`), with
the beads of the model as one of the two. What chance gives is the same beads at rotations drawn at random, each at its
best shift. They cannot all be wrong alike for a molecule that looks like a ball, so the figure that decides is by how
many standard deviations of theirs the best fit stands out.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.spatial.transform import Rotation

from ..geometry.hand import mirrored_map
from ..reconstruction.map_alignment import align_maps
from ..reconstruction.masks import lowpass
from .bead_overlap import density

DECOYS = 60
LOWPASS_PX = 4.0
"""Resolution, in voxels, at which fit and decoys are compared."""
STANDS_OUT = 4.0
"""Standard deviations of decoys by which a fit must exceed them."""
HANDS_DIFFER = 0.02
"""Of the correlation, from which on one hand fits better than the other."""
SIZES = 1 + 0.03 * np.arange(-3, 4)
"""By which the model is made larger to see whether the pixel size is right."""
SIZE_OFF = 0.03
"""By how much it may seem to be off: a map of a molecule that moves is blurred."""


@dataclass(frozen=True)
class ModelFit:
    """A model laid into a map."""

    rotation: np.ndarray
    """(3, 3) R."""
    shift_ang: np.ndarray
    """(3,) t."""
    centre_ang: np.ndarray
    """(3,) the model's centre of weight in the frame of its file."""
    mirrored: bool
    """The map has the other hand."""
    correlation: float
    other_hand: float
    """The correlation of the best fit of the other hand."""
    decoys: np.ndarray
    """(m,) correlations at random rotations, each at its best shift."""
    size: float
    """How much larger the model would have to be to fit best."""
    pixel_size_ang: float
    """Of the map."""

    @property
    def stands_out(self) -> float:
        """By how many standard deviations of the decoys the fit exceeds their mean."""
        return float((self.correlation - self.decoys.mean()) / max(self.decoys.std(), 1e-6))

    @property
    def fits(self) -> bool:
        """Whether it is better than all decoys, and by enough."""
        return bool(self.stands_out > STANDS_OUT and self.correlation > self.decoys.max())

    def places_ang(self, coords_ang: np.ndarray) -> np.ndarray:
        """(n, 3) where points of the model's file lie in the map (or its mirror image)."""
        return (coords_ang - self.centre_ang) @ self.rotation.T + self.shift_ang

    def in_model(self, places_ang: np.ndarray) -> np.ndarray:
        """(n, 3) the inverse of `places_ang`."""
        return (places_ang - self.shift_ang) @ self.rotation + self.centre_ang

    def sentences(self) -> list[str]:
        """What is to be said of it."""
        figures = (
            f"correlation {self.correlation:.3f}, at random rotations {self.decoys.mean():.3f} ± "
            f"{self.decoys.std():.3f}, {self.stands_out:.1f} standard deviations below"
        )
        said = [f"The model lies in the consensus map ({figures})."]
        if not self.fits:
            wrong = (
                f"The model does not fit the consensus map better than turned at random ({figures}). Is it the same "
                "molecule, whole, and the pixel size right? What follows says nothing."
            )
            said = [wrong]
        other = f"correlation {max(self.correlation, self.other_hand):.3f} against "
        other += f"{min(self.correlation, self.other_hand):.3f}"
        if self.mirrored:
            said.append(f"The map has the other hand than the model ({other}); it was mirrored for the fit.")
        elif self.correlation - self.other_hand < HANDS_DIFFER:
            said.append(f"Which hand the map has cannot be told at this resolution ({other}).")
        if self.fits and abs(self.size - 1) > SIZE_OFF:
            change = f"{abs(self.size - 1):.0%} {'larger' if self.size > 1 else 'smaller'}"
            said.append(
                f"The model fits best when it is made {change}: the pixel size of the particles seems to be wrong, and "
                f"to be {self.pixel_size_ang / self.size:.3g} Å rather than {self.pixel_size_ang:.3g} Å."
            )
        return said


def fit_model(
    coords_ang: np.ndarray, electrons: np.ndarray, volume: np.ndarray, pixel_size_ang: float, seed: int = 0
) -> ModelFit:
    """Lay beads at (n, 3) Å with (n,) electrons into a map (D, D, D)."""
    box = len(volume)
    centre = np.average(coords_ang, axis=0, weights=electrons)
    beads_px = (coords_ang - centre) / pixel_size_ang
    smooth = lowpass(volume, pixel_size_ang, LOWPASS_PX * pixel_size_ang)
    found = []
    for mirrored in (False, True):
        target = mirrored_map(volume) if mirrored else volume
        aligned = align_maps(density(beads_px, electrons, 1.0, box), target, either_hand=False)
        # A point r of the map lies at G (r − o) among the beads.
        rotation, shift_px = aligned.rotation.T, aligned.origin_px
        target = mirrored_map(smooth) if mirrored else smooth
        placed = density(beads_px @ rotation.T + shift_px, electrons, LOWPASS_PX / 4, box)
        found.append((correlation(placed, target), mirrored, rotation, shift_px, target))
    found.sort(key=lambda one: -one[0])
    best, mirrored, rotation, shift_px, target = found[0]
    decoys = np.array(
        [_at_best_shift(beads_px @ turn.T, electrons, target) for turn in Rotation.random(DECOYS, seed).as_matrix()]
    )
    size = _best_size(beads_px @ rotation.T, electrons, target)
    return ModelFit(
        rotation, shift_px * pixel_size_ang, centre, mirrored, best, found[1][0], decoys, size, pixel_size_ang
    )


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two maps (D, D, D), voxel by voxel over the box."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _best_size(beads_px: np.ndarray, electrons: np.ndarray, target: np.ndarray) -> float:
    """Of `SIZES` the best, or where the parabola through it and its neighbours is highest."""
    tried = [_at_best_shift(size * beads_px, electrons, target) for size in SIZES]
    best = int(np.argmax(tried))
    if best in (0, len(SIZES) - 1):
        return float(SIZES[best])
    below, at, above = tried[best - 1 : best + 2]
    return float(SIZES[best] + (SIZES[1] - SIZES[0]) * (below - above) / (2 * (below - 2 * at + above)))


def _at_best_shift(beads_px: np.ndarray, electrons: np.ndarray, target: np.ndarray) -> float:
    """The highest correlation over all shifts by whole voxels."""
    placed = density(beads_px, electrons, LOWPASS_PX / 4, len(target))
    placed, target = placed - placed.mean(), target - target.mean()
    products = scipy.fft.irfftn(scipy.fft.rfftn(target) * scipy.fft.rfftn(placed).conj(), s=target.shape)
    return float(products.max() / np.sqrt(np.square(placed).sum() * np.square(target).sum()))
