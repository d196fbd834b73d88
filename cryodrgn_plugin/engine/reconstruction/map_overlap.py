"""How well two maps agree as a function of how one is turned and moved, and the nearest best way to do so."""

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..slicing.fine import moved_volume, values_and_gradients_at, values_at

_FREQUENCIES = 6_000


class Overlap:
    """Correlation of two padded transforms over |k| ≤ `shells`, as a function of rotation G and origin o, in voxels.

    Shells count by their number of coefficients and not by their power, so a map need not be sharpened like the other.
    """

    def __init__(self, transform: np.ndarray, reference: np.ndarray, shells: int) -> None:
        self.box, self.shells, self.transform = transform.shape[0] // 2, shells, transform
        self.freqs, self.shell, self.count = _half_space(shells)
        values = values_at(reference, self.freqs)
        # Each shell of either map gets mean square 1. Turning the found map does not change its shells' power.
        found_rms = self._shell_rms(values_at(transform, self.freqs))
        self.weighted_reference = values / self._shell_rms(values) / found_rms

    def __call__(self, rotation: np.ndarray, origin_px: np.ndarray) -> float:
        turned = values_at(self.transform, self.freqs @ rotation.T)
        return self._mean(np.conj(turned) * self._moved_back(origin_px))

    def with_gradient(self, rotation: np.ndarray, origin_px: np.ndarray) -> tuple[float, np.ndarray]:
        """The correlation, and its derivatives (6,) by w in G exp([w]×), per radian, and by o, per voxel."""
        turned, slopes = values_and_gradients_at(self.transform, self.freqs @ rotation.T)
        moved_back = self._moved_back(origin_px)
        matched = np.conj(turned) * moved_back
        # G exp([w]×) k = G k + G (w × k), and ∇V · G (w × k) = w · (k × Gᵀ∇V).
        by_turn = np.conj(np.cross(self.freqs, slopes @ rotation)) * moved_back[:, None]
        by_origin = 2j * np.pi / self.box * self.freqs * matched[:, None]
        return self._mean(matched), np.array([self._mean(slope) for slope in np.hstack([by_turn, by_origin]).T])

    def _moved_back(self, origin_px: np.ndarray) -> np.ndarray:
        return np.exp(2j * np.pi / self.box * (self.freqs @ origin_px)) * self.weighted_reference

    def _mean(self, products: np.ndarray) -> float:
        return float((self.count * products.real).sum() / self.count.sum())

    def _shell_rms(self, values: np.ndarray) -> np.ndarray:
        """(n,) root mean square of the shell of each coefficient."""
        drawn = np.maximum(np.bincount(self.shell, self.count), 1.0)  # the lowest shells are small and may have none
        power = np.bincount(self.shell, self.count * np.abs(values) ** 2) / drawn
        return np.sqrt(np.maximum(power, 1e-12 * max(power.max(), 1e-30)))[self.shell]


def _half_space(shells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 3) frequencies with kx ≥ 0 and 0 < |k| ≤ `shells`, their shells, and how often each stands for a pair.

    Of more than 6,000 as many are drawn: they determine six numbers as well as all.
    """
    axis = np.arange(-shells, shells + 1)
    kz, ky, kx = (k.ravel() for k in np.meshgrid(axis, axis, np.arange(shells + 1), indexing="ij"))
    radius = np.sqrt(kx**2 + ky**2 + kz**2)
    keep = np.flatnonzero((radius <= shells) & (radius > 0))
    if len(keep) > _FREQUENCIES:
        keep = np.random.default_rng(0).choice(keep, _FREQUENCIES, replace=False)
    freqs = np.stack([kx, ky, kz], axis=1)[keep]
    # The plane kx = 0 holds both partners of a pair.
    return freqs, np.rint(radius[keep]).astype(int) - 1, np.where(freqs[:, 0] > 0, 2.0, 1.0)


def improved(
    overlap: Overlap, rotation: np.ndarray, origin_px: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The nearest maximum of the correlation: (G, o, value). A unit of each parameter moves the edge about a voxel."""
    arm_px = overlap.box / 4

    def moved_by(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rotation @ Rotation.from_rotvec(parameters[:3] / arm_px).as_matrix(), origin_px + parameters[3:]

    def down(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = overlap.with_gradient(*moved_by(parameters))
        by_turn = _turned_further(parameters[:3] / arm_px).T @ gradient[:3] / arm_px
        return -value, -np.concatenate([by_turn, gradient[3:]])

    lowest = minimize(down, np.zeros(6), jac=True, method="BFGS", options={"gtol": tolerance})
    return *moved_by(lowest.x), -float(lowest.fun)


def _turned_further(vector: np.ndarray) -> np.ndarray:
    """(3, 3) J of a rotation vector a: exp([a + b]×) = exp([a]×) exp([J b]×) for small b."""
    angle, cross = np.linalg.norm(vector), np.cross(vector, np.eye(3)).T
    if angle < 1e-4:
        return np.eye(3) - cross / 2
    return np.eye(3) - (1 - np.cos(angle)) / angle**2 * cross + (angle - np.sin(angle)) / angle**3 * cross @ cross


def moved_onto(transform: np.ndarray, rotation: np.ndarray, origin_px: np.ndarray, box: int) -> np.ndarray:
    """The map (D, D, D) of a transform, turned and moved by G and o so that it lies on the reference."""
    return moved_volume(transform, rotation.T, origin_px, box)
