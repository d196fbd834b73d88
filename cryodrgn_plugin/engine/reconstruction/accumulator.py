"""Sums for backprojection: the map that fits images of known pose best, in closed form.

Every Fourier coefficient x of an image, with CTF c and noise variance σ², is spread trilinearly over a padded
half-sphere,

    N_v += t_v w c x / σ²,      A_v += t_v w c² / σ²,      V_v = N_v / (A_v + P_v),

with t_v the trilinear weights, w the particle's own weight and P a prior precision (Wiener filter). Averaging over t
multiplies real space by sinc², which is divided out at the end. After padding, D³ of the grid's P³ degrees of freedom
are kept, so the noise in the final map is 1/(step³ A), and priors on V are scaled by the same step³, as RELION does.

The map ends in a soft sphere at the box: no image sees the corners, and cutting there would spread what interpolation
left outside over all frequencies (at 0.8 of the Nyquist frequency the error of a noise-free map falls fivefold).
"""

import numpy as np
import torch

from ..errors import ConfigError
from ..imaging.lattice import HalfPlane
from ..slicing.compute import Compute
from ..slicing.sphere import HalfSphere
from .fsc import shell_power
from .masks import spherical_mask

FLOOR = 1e-3
"""Without a prior, weights below this share of their shell's mean are raised to it, RELION's choice."""
EDGE_PX = 3.0
"""Width of the soft edge of the sphere in which a map ends."""


class Accumulator:
    """Sums N and A over images of one lattice. Accumulators of one geometry add up: `a + b` is as if all images had
    come to one."""

    def __init__(self, lattice: HalfPlane, padding: float = 2.0):
        self.lattice = lattice
        self.sphere = HalfSphere(lattice.box, padding, lattice.radius)
        self.sums = np.zeros((self.sphere.n_voxels, 3), dtype=np.float32)
        """(M, 3): real and imaginary part of N, and A; the plane kx = 0 not yet summed over Hermitian pairs."""
        self._backend = Compute().backend(self.sphere, lattice)
        # The half-sphere's plane kx = 0 receives each pair of coefficients once more when it is symmetrised.
        self._share = (lattice.multiplicity / 2).astype(np.float32)

    def add(
        self,
        spectra: np.ndarray,
        ctf: np.ndarray,
        rotations: np.ndarray,
        weights: np.ndarray | None = None,
        noise_variance: np.ndarray | None = None,
        ctf_multiplied: bool = False,
    ) -> None:
        """Add images.

        Parameters
        ----------
        spectra : (B, F) complex. Centred: shifts undone.
        ctf : (B, F). 1 where the images carry none.
        rotations : (B, 3, 3). Volume to view.
        weights : (B,). Of each particle; default 1.
        noise_variance : (B, F) or (F,). E|n|² of each coefficient; default 1.
        ctf_multiplied : the images were multiplied by their CTF already.
        """
        inverse = self._share if noise_variance is None else self._share / noise_variance
        data = spectra * inverse if ctf_multiplied else spectra * (ctf * inverse)
        weights = np.ones(len(spectra)) if weights is None else weights
        arrays = data, ctf * ctf * inverse, np.asarray(weights), np.asarray(rotations)
        self._backend.backproject(torch.from_numpy(self.sums), *map(self._backend.compute.tensor, arrays))

    def __add__(self, other: "Accumulator") -> "Accumulator":
        if self.sphere != other.sphere:
            raise ConfigError("Only backprojections on the same grid can be added.")
        total = Accumulator(self.lattice, self.sphere.padding)
        np.add(self.sums, other.sums, out=total.sums)
        return total

    def volume(self, precision: np.ndarray | None = None) -> np.ndarray:
        """The map, (D, D, D) float32.

        Parameters
        ----------
        precision : (n_shells,). Prior precision P per shell of 1/(box · pixel), in the units of A; None for no prior.
        """
        weight = self._symmetric_weight()
        if precision is None:
            denominator = np.maximum(weight, FLOOR * self.mean_weight()[self.sphere.shells])
        else:
            extended = np.append(precision, np.full(self.sphere.n_shells, precision[-1]))
            denominator = weight + extended[self.sphere.shells]
        numerator = self.sphere.symmetrize(self.sums[:, :2, None].copy(), total=True)
        solution = np.divide(numerator, denominator[:, None, None], out=numerator, where=denominator[:, None, None] > 0)
        volume = self.sphere.to_volumes(solution, convolve=False, radius=self.lattice.radius)[0]
        return volume * spherical_mask(self.lattice.box, edge_px=EDGE_PX)

    def mean_weight(self) -> np.ndarray:
        """Mean of A over each shell, (sphere.n_shells,)."""
        return self._shell_mean(self._symmetric_weight())

    def noise_power(self) -> np.ndarray:
        """Noise power per shell to expect in `volume()`, (sphere.n_shells,), if the noise variances given were true."""
        weight = self._symmetric_weight()
        floored = np.maximum(weight, FLOOR * self.mean_weight()[self.sphere.shells])
        variance = np.divide(weight, floored**2, out=np.zeros_like(weight), where=floored > 0)
        inside = (spherical_mask(self.lattice.box, edge_px=EDGE_PX) ** 2).mean()
        return self._shell_mean(variance) * inside / self.sphere.step**3

    def _symmetric_weight(self) -> np.ndarray:
        return self.sphere.symmetrize_real(self.sums[:, 2:].copy())[:, 0]

    def _shell_mean(self, values: np.ndarray) -> np.ndarray:
        shells, times = self.sphere.shells, self.sphere.multiplicity
        return np.bincount(shells, values * times) / np.bincount(shells, times)


def precision_from_fsc(curve: np.ndarray, half_weight: np.ndarray) -> np.ndarray:
    """Prior precision per shell from the FSC of halves: A_half (1 − FSC)/FSC, as in RELION (Scheres 2012).

    With all weights of a shell equal, the filter is 2 FSC/(1 + FSC) on the map of both halves.
    """
    share = np.clip(curve, 1e-3, 0.999)
    return half_weight[: len(share)] * ((1 - share) / share)[: len(half_weight)]


def precision_from_power(total: Accumulator) -> np.ndarray:
    """Prior precision per shell from the power of the map above its expected noise (empirical Bayes, by moments)."""
    power = shell_power(total.volume())
    noise = total.noise_power()[: len(power)]
    signal = np.maximum(power[: len(noise)] - noise, 1e-3 * noise)
    return 1 / (np.maximum(signal, np.finfo(np.float32).tiny) * total.sphere.step**3)
