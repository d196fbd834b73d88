"""Whether the maps agree with the model that was laid into them, asked of maps that know nothing of it.

In every state there are two half-maps u₁, u₂ by regression: weighted backprojections of the particles near it, without
the model and without a prior. A model m that is right predicts each of them better than the other one does, for it has
no noise: around every residue, over all states,

    r_m = ⟨m, u₁ + u₂⟩ / √(2 ⟨m, m⟩ (⟨u₁, u₁⟩ + ⟨u₂, u₂⟩)),      r_u = 2⟨u₁, u₂⟩ / (⟨u₁, u₁⟩ + ⟨u₂, u₂⟩),

covariances in a Gaussian window. Shells count alike, as far as the half-maps' FSC is above 0.3: at low resolution every
model of the same outline agrees, and there is no noise to measure by. Where r_m falls below r_u the half-maps, noise
and all, know better than the model: it is flagged there. So the threshold is what the noise of the data makes it; where
r_u is small nothing can be said. For a whole state the FSC of the model with the mean of u₁ and u₂ stands beside
√(2F/(1 + F)), what it would be for the truth itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter, map_coordinates

from ..reconstruction.expectation import Halves, expected_from_halves
from ..reconstruction.fsc import fsc, shell_power

WINDOW_ANG, LEAST_WINDOW_PX = 12.0, 2.5
"""Standard deviation of the window."""
BAND_ENDS = 0.3
"""FSC of half-maps."""
TELLS = 0.2
"""r_u below which half-maps say nothing."""
FLAGGED_SHARE = 0.02
"""Of the residues that are flagged by chance, at most."""
LEAST_TOLD = 0.0005
"""Share of flagged residues that is not none when it is written as a percentage."""


@dataclass(frozen=True)
class BiasCheck:
    """Of n beads and S states."""

    model_agreement: np.ndarray
    """(n,) r_m."""
    half_agreement: np.ndarray
    """(n,) r_u."""
    flagged: np.ndarray
    """(n,) bool."""
    untold: np.ndarray
    """(n,) bool: where half-maps say too little."""
    model_fsc: np.ndarray
    """(S, D//2 + 1) of the model with the mean of the half-maps, in its mask."""
    expected_fsc: np.ndarray
    """(S, D//2 + 1) what it would be for the truth."""
    last_shell: np.ndarray
    """(S,) up to which half-maps were asked."""

    @property
    def flagged_share(self) -> float:
        """Of the beads that something can be said of."""
        return float(self.flagged.sum() / max((~self.untold).sum(), 1))

    @property
    def trusted(self) -> bool | None:
        """Whether the model agrees with the maps; None where they say nothing of most of it."""
        return None if self.untold.mean() > 0.5 else bool(self.flagged_share <= FLAGGED_SHARE)


class BiasChecker:
    """Adds up state after state."""

    def __init__(self, count: int, pixel_size_ang: float) -> None:
        self.window_px = max(WINDOW_ANG / pixel_size_ang, LEAST_WINDOW_PX)
        self._sums = np.zeros((4, count))
        self._curves: list[tuple[np.ndarray, np.ndarray]] = []
        self._last_shells: list[int] = []

    def add(
        self,
        model: np.ndarray,
        halves: Halves,
        places_px: np.ndarray,
        occupancy: np.ndarray,
        share: float,
        mask: np.ndarray,
    ) -> None:
        """Add a state.

        Parameters
        ----------
        model : (D, D, D) density of the model. halves : two (D, D, D) maps without prior.
        places_px : (n, 3) the beads in it, from voxel D//2. occupancy (n,) by which they count; share of the particles.
        mask : (D, D, D) in which FSC is taken.
        """
        curve = fsc(*halves, mask)
        below = np.flatnonzero(curve[1:] < BAND_ENDS)
        last = int(below[0]) if len(below) else len(curve) - 2
        spectrum = np.sqrt(np.maximum(shell_power(halves[0] * mask) + shell_power(halves[1] * mask), 1e-30))
        first, second = (_in_band(half, spectrum, last) for half in halves)
        m = _in_band(model, np.sqrt(np.maximum(shell_power(model), 1e-30)), last)
        at = (places_px[:, ::-1] + len(model) // 2).T

        def local(volume: np.ndarray) -> np.ndarray:
            return map_coordinates(gaussian_filter(volume, self.window_px, truncate=3), at, order=1)

        means = {id(one): local(one) for one in (m, first, second)}

        def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return local(a * b) - means[id(a)] * means[id(b)]

        counted = share * occupancy
        self._sums[0] += counted * (covariance(m, first) + covariance(m, second)) / 2
        self._sums[1] += counted * covariance(m, m)
        self._sums[2] += counted * (covariance(first, first) + covariance(second, second)) / 2
        self._sums[3] += counted * covariance(first, second)
        mean = (halves[0] + halves[1]) / 2
        self._curves.append((fsc(model, mean, mask), expected_from_halves(curve)))
        self._last_shells.append(last)

    def result(self) -> BiasCheck:
        """What the states together say."""
        cross, model, own, shared = self._sums
        r_model = cross / np.sqrt(np.maximum(model * own, 1e-300))
        r_halves = shared / np.maximum(own, 1e-300)
        untold = r_halves < TELLS
        model_fsc, expected_fsc = (np.stack(kind) for kind in zip(*self._curves, strict=True))
        flagged = (r_model < r_halves) & ~untold
        last_shells = np.array(self._last_shells)
        return BiasCheck(r_model, r_halves, flagged, untold, model_fsc, expected_fsc, last_shells)


def _in_band(volume: np.ndarray, spectrum: np.ndarray, last: int) -> np.ndarray:
    """A map with each shell divided by `spectrum` (D//2 + 1,), up to shell `last`."""
    box = len(volume)
    full, half = np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1)
    shell = np.rint(np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)).astype(int)
    weight = np.where((shell > 0) & (shell <= last), 1 / spectrum[np.minimum(shell, len(spectrum) - 1)], 0.0)
    return scipy.fft.irfftn(scipy.fft.rfftn(np.asarray(volume, np.float64)) * weight, s=volume.shape)


def verdict(check: BiasCheck, flagged_residues: str) -> str:
    """What is to be said of a model, in a sentence."""
    if check.trusted is None:
        return (
            "Whether the model is right cannot be told: prior-free half-maps of the states say too little of "
            f"{check.untold.mean():.0%} of it."
        )
    if check.trusted:
        but = f" but {check.flagged_share:.1%}" if check.flagged_share >= LEAST_TOLD else ""
        return (
            f"The model agrees with maps that know nothing of it: around all residues{but} it predicts prior-free "
            "half-maps better than they predict each other."
        )
    return (
        f"Do not trust the model around {check.flagged_share:.0%} of its residues ({flagged_residues}): there "
        "prior-free half-maps of the states tell each other better than the model tells them."
    )


def stretches(chains: Sequence[str], numbers: Sequence[int], chosen: np.ndarray, most: int = 12) -> str:
    """Residues of chosen beads (n,) as A:20-45, B:3-8, the `most` longest stretches."""
    found: list[list] = []
    for i in np.flatnonzero(chosen):
        if found and found[-1][3] == i - 1 and found[-1][0] == chains[i]:
            found[-1][2:] = [numbers[i], i, found[-1][4] + 1]
        else:
            found.append([chains[i], numbers[i], numbers[i], i, 1])
    longest = sorted(found, key=lambda one: -one[4])[:most]
    words = [f"{chain}:{first}-{last}" for chain, first, last, *_ in longest]
    return ", ".join(words) + (", …" if len(found) > most else "")
