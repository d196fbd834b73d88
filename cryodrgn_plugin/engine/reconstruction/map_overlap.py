"""How well two maps agree as a function of how one is turned and moved, and the nearest best way to do so."""

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..slicing.fine import moved_volume, values_at

_FREQUENCIES = 6_000


class Overlap:
    """Correlation of two padded transforms over |k| ≤ `shells`, as a function of rotation G and origin o, in voxels.

    Shells count by their number of coefficients and not by their power, so a map need not be sharpened like the other.
    """

    def __init__(self, found: np.ndarray, reference: np.ndarray, shells: int) -> None:
        self.box, self.shells, self.found = found.shape[0] // 2, shells, found
        self.freqs, self.shell, self.count = _half_space(shells)
        values = values_at(reference, self.freqs)
        # Each shell of either map gets mean square 1. Turning the found map does not change its shells' power.
        found_rms = self._shell_rms(values_at(found, self.freqs))
        self.weighted_reference = values / self._shell_rms(values) / found_rms

    def __call__(self, rotation: np.ndarray, origin_px: np.ndarray) -> float:
        moved_back = np.exp(2j * np.pi / self.box * (self.freqs @ origin_px)) * self.weighted_reference
        turned = values_at(self.found, self.freqs @ rotation.T)
        return float((self.count * (np.conj(turned) * moved_back).real).sum() / self.count.sum())

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

    def place(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rotation @ Rotation.from_rotvec(parameters[:3] / arm_px).as_matrix(), origin_px + parameters[3:]

    found = minimize(
        lambda p: -overlap(*place(p)), np.zeros(6), method="BFGS", options={"eps": 1e-3, "gtol": tolerance}
    )
    return *place(found.x), -float(found.fun)


def moved_onto(transform: np.ndarray, rotation: np.ndarray, origin_px: np.ndarray, box: int) -> np.ndarray:
    """The map (D, D, D) of a transform, turned and moved by G and o so that it lies on the reference."""
    return moved_volume(transform, rotation.T, origin_px, box)
