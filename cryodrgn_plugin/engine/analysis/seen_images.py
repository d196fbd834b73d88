"""What particles near a point of the latent space look like: images of one view, beside the map's projection.

Of the particles nearest to the point those are taken whose views are nearest to that of one among them, for images from
all sides tell an eye nothing. Each is moved to its centre, its phases are flipped where its CTF is negative, and it is
turned in its plane as the first one stands. Their mean is Σ c y / (Σ c² + 0.1 n), c the CTF.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import map_coordinates

from ..data.batch import centred
from ..data.dataset import ParticleDataset
from ..run import Run
from .run_particles import images_of

NEIGHBOURS = 30
"""So many times as many particles near the point are looked through for those of one view."""
WIENER = 0.1
"""Added to the mean c²."""


@dataclass(frozen=True)
class SeenImages:
    """n particles of one view."""

    places: np.ndarray
    """(n,) among the latents, the one whose view it is first."""
    away_deg: np.ndarray
    """(n,) angle between the directions that they and the first are seen from."""
    images: np.ndarray
    """(n, D, D) float32, all as the first one stands."""
    mean: np.ndarray
    """(D, D) float32."""
    rotation: np.ndarray
    """(3, 3) from the map to the view."""


class ImagesNear:
    """Images of a run; files are opened when they are asked for first."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._z = run.latents().z

    @property
    def n(self) -> int:
        """Particles of the run."""
        return len(self._z)

    def at(self, z: np.ndarray, count: int, like: int | None = None) -> SeenImages:
        """`count` images near z (Z,), seen as particle number `like` of the latents is, or as the nearest particle.

        Raises DataError where the particles have no poses or their images are not there.
        """
        distance = ((self._z - z) ** 2).sum(axis=1)
        many = min(NEIGHBOURS * count, len(distance))
        near = np.argpartition(distance, many - 1)[:many]
        first = int(near[np.argmin(distance[near])]) if like is None else like
        rotations = self._dataset.physical_poses()[0]
        cosines = np.clip(rotations[near, 2] @ rotations[first, 2], -1, 1)
        order = np.lexsort((near, -np.where(near == first, 2.0, cosines)))[:count]
        places = near[order] if first in near[order] else np.r_[first, near[order][: count - 1]]
        away_deg = np.degrees(np.arccos(np.clip(rotations[places, 2] @ rotations[first, 2], -1, 1)))
        images, mean = self._aligned(places, rotations[places] @ rotations[first].T)
        return SeenImages(places, away_deg, images, mean, rotations[first])

    @cached_property
    def _dataset(self) -> ParticleDataset:
        dataset = images_of(self._run)
        dataset.require_poses()
        return dataset

    def _aligned(self, places: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images with flipped phases, and their mean, turned back by `turns` (n, 3, 3) in the plane."""
        batch = self._dataset.batch(places)
        spectra, lattice = centred(batch), self._dataset.lattice
        flipped = lattice.images(np.sign(batch.ctf) * spectra)
        weighted, squares = lattice.images(batch.ctf * spectra), (batch.ctf**2).mean(axis=0)
        turned = np.stack([_turned(image, turn) for image, turn in zip(flipped, turns, strict=True)])
        total = np.mean([_turned(image, turn) for image, turn in zip(weighted, turns, strict=True)], axis=0)
        mean = lattice.images(lattice.spectra(total) / (squares + WIENER))
        return turned.astype(np.float32), mean.astype(np.float32)


def projected(volume: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(D, D) float32 sum along the view's z axis of a map (D, D, D), seen under a rotation (3, 3) from map to view."""
    box = len(volume)
    steps = np.arange(box) - box // 2
    z, y, x = np.meshgrid(steps, steps, steps, indexing="ij")
    seen = np.stack([x, y, z], axis=-1) @ rotation + box // 2  # rows r' times R are Rᵀ r'
    return map_coordinates(volume, seen[..., ::-1].transpose(3, 0, 1, 2), order=1).sum(axis=0, dtype=np.float32)


def _turned(image: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """An image (D, D) turned back by the rotation in the plane that is nearest to `turn` (3, 3)."""
    angle = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
    steps = np.arange(len(image)) - len(image) // 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    across, up = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    middle = len(image) // 2
    return map_coordinates(image, np.stack([up + middle, across + middle]), order=1)
