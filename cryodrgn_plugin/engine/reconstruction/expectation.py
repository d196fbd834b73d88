"""How far a map agrees with the true one, measured without knowing it.

Two half-maps of a decoder share the prior of its bases, and so the density that the prior has taken away: they agree
with each other more than with the truth. Two maps u₁, u₂ by regression (`regression`) on the same half-sets have no
prior, and no noise in common with the decoder's map d of the other half. Shell by shell, in one mask,

    ⟨d, V⟩ ≈ (⟨d₁, u₂⟩ + ⟨d₂, u₁⟩)/2,      ⟨V, V⟩ ≈ ⟨u₁, u₂⟩,
    FSC(d, V) ≈ ⟨d, V⟩ / √(⟨d, d⟩ ⟨V, V⟩),      d = (d₁ + d₂)/2,

with V the true map as far as the regression resolves it: what is blurred because no image says better where its
particle lies is not seen. For u itself this is the familiar √(2 FSC/(1 + FSC)). The reference made from the nearest
particles of the other half-set is that of RECOVAR's choice of bandwidths (Gilles and Singer 2023).
"""

from dataclasses import dataclass

import numpy as np

from .fsc import fsc, resolution, shell_products

HALF_WINDOW = 2
"""Shells to either side over which ratios, which are smooth, are averaged."""
CERTAIN = 4.0
"""Standard errors that ⟨u₁, u₂⟩ must be above zero for a shell to be measured."""
THRESHOLD = 0.5
"""FSC with the truth at which resolution is stated; √(2F/(1 + F)) takes a half-map FSC of 0.143 there."""
Halves = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Expectation:
    """`fsc` (D//2 + 1,) with the true map; `measured_to` the last shell where it was measured and not carried on."""

    fsc: np.ndarray
    measured_to: int

    def resolution_ang(self, pixel_size_ang: float) -> float:
        """Where the FSC with the true map falls below 0.5."""
        return resolution_with_truth(self.fsc, pixel_size_ang)


def resolution_with_truth(curve: np.ndarray, pixel_size_ang: float) -> float:
    """Å at which an FSC with the truth (D//2 + 1,) falls below 0.5."""
    return resolution(curve, pixel_size_ang, 2 * (len(curve) - 1), THRESHOLD)


def expected_from_halves(curve: np.ndarray) -> np.ndarray:
    """√(2F/(1 + F)): the FSC with the truth of the mean of two half-maps that share nothing but it."""
    share = np.clip(curve, 0.0, 1.0)
    return np.sqrt(2 * share / (1 + share))


def expected_fsc(halves: Halves, reference: Halves, mask: np.ndarray) -> Expectation:
    """The FSC of (halves[0] + halves[1])/2 with the true map, by a prior-free reference from the same half-sets.

    Beyond the last shell where the reference shows anything the ratio to the halves' own prediction is carried on.

    Parameters
    ----------
    halves, reference : two (D, D, D) maps each, the first of half-set 0, the second of half-set 1.
    mask : (D, D, D) soft mask.
    """
    d, u = ([half * mask for half in maps] for maps in (halves, reference))
    mean = (d[0] + d[1]) / 2
    own = np.maximum(shell_products(mean, mean), 1e-30)
    shared = (shell_products(d[0], u[1]) + shell_products(d[1], u[0])) / 2
    power = shell_products(u[0], u[1])
    total = np.sqrt(shell_products(u[0], u[0]) * shell_products(u[1], u[1]))
    ratio, error = _smooth(power / own), _smooth(_standard_error(power, total, mask) / own, of_error=True)
    certain = ratio > CERTAIN * error
    last = len(own) - 1 if certain.all() else max(int(np.argmin(certain)) - 1, 0)
    measured = _smooth(shared / own) / np.sqrt(np.where(certain, ratio, 1.0))
    by_halves = expected_from_halves(fsc(*halves, mask=mask))
    bias = measured / np.maximum(by_halves, 1e-3)
    bias[last + 1 :] = bias[max(last - HALF_WINDOW, 0) : last + 1].mean()
    return Expectation(np.clip(bias * by_halves, 0, 1), last)


def _standard_error(shared: np.ndarray, total: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of ⟨u₁, u₂⟩ per shell, whose halves have the power `total` and share `shared` of it."""
    box = mask.shape[0]
    coefficients = 4 * np.pi * np.maximum(np.arange(box // 2 + 1), 0.5) ** 2
    # Inside a mask neighbouring coefficients are tied together; so many of a shell remain independent.
    kept = np.square(mask, dtype=np.float64).mean() ** 2 / np.power(mask, 4, dtype=np.float64).mean()
    signal, noise = np.maximum(shared, 0), np.maximum(total - shared, 0)
    return np.sqrt((2 * signal * noise + noise**2) / np.maximum(coefficients * kept, 1))


def _smooth(values: np.ndarray, of_error: bool = False) -> np.ndarray:
    """Means over neighbouring shells, shell 0 apart; `of_error`: the standard error of such means."""
    smoothed = values.astype(np.float64)
    for shell in range(1, len(values)):
        window = values[max(1, shell - HALF_WINDOW) : shell + HALF_WINDOW + 1]
        smoothed[shell] = np.sqrt(np.square(window).sum()) / len(window) if of_error else window.mean()
    return smoothed
