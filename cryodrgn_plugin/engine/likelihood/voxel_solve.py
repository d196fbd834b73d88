"""The basis in closed form: given amplitudes, mean and bases are one small linear system per voxel.

    A_v = Σ_i Σ_f w s_i s_iᵀ,   b_v = Σ_i Σ_f t s_i,   (A_v + diag 1/τ²(shell)) V_v = b_v

w and t are the whitened images' (`whitened`), spread to the eight neighbours by trilinear weights; that trilinear
neighbours decouple is the approximation. The prior variances τ² per shell and channel come from the data (empirical
Bayes). Solutions are brought to real space, freed of the gridding sinc², confined to a soft sphere, and brought back
ready for slicing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np

from ..slicing import cpu
from ..slicing.operator import kernel_geometry
from ..slicing.sphere import HalfSphere
from .whitened import WhitenedImages


@dataclass(frozen=True)
class NormalEquations:
    """Packed lower triangles `lhs` (M, T) and right sides `rhs` (M, 2, C), T = C(C + 1)/2."""

    lhs: np.ndarray
    rhs: np.ndarray


def pack(square: np.ndarray) -> np.ndarray:
    """Lower triangles of (..., C, C) by rows, (..., T) float32."""
    i, j = np.tril_indices(square.shape[-1])
    return np.ascontiguousarray(square[..., i, j], dtype=np.float32)


def accumulate(
    images: WhitenedImages,
    sphere: HalfSphere,
    count: int,
    moments: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    half: np.ndarray | None = None,
) -> list[NormalEquations]:
    """One pass over the images.

    Parameters
    ----------
    count : leading coefficients used; they must lie inside the sphere's radius.
    moments : image index (B,) → (E[s] (B, C), E[s sᵀ] (B, C, C)), the mean volume's amplitude (1) included.
    half : (N,) int, 0 or 1: which half-set each image belongs to; None puts all into one.

    Returns
    -------
    One set of equations per half-set.
    """
    half = np.zeros(images.n, dtype=np.int8) if half is None else half
    sums = [EquationSums(sphere, moments(np.arange(1))[0].shape[1]) for _ in range(int(half.max()) + 1)]
    freqs = images.lattice.indices[:count].astype(np.float32)
    for batch in images.passes(count):
        first, second = moments(batch.index)
        for part, each in enumerate(sums):
            rows = np.flatnonzero(half[batch.index] == part)
            data = (batch.weights[rows], second[rows], batch.targets[rows], first[rows])
            each.add(*data, batch.rotations[rows], freqs)
    return [each.equations() for each in sums]


class EquationSums:
    """Normal equations under construction."""

    def __init__(self, sphere: HalfSphere, n_channels: int) -> None:
        self._sphere = sphere
        self._lhs = np.zeros((sphere.n_voxels, n_channels * (n_channels + 1) // 2), dtype=np.float32)
        self._rhs = np.zeros((sphere.n_voxels, 2, n_channels), dtype=np.float32)

    def add(self, weights, second, targets, first, rotations, freqs) -> None:
        """Add B images: weights (B, F), E[s sᵀ] (B, C, C), centred targets (B, F), E[s] (B, C), rotations (B, 3, 3);
        freqs (F, 2) float32 are the lattice's.
        """
        data = (weights, pack(second), targets, first.astype(np.float32))
        geometry = (rotations, freqs, *kernel_geometry(self._sphere))
        cpu.scatter_equations(*data, *geometry, self._lhs, self._rhs, numba.get_num_threads())

    def equations(self) -> NormalEquations:
        """The equations of all that was added; nothing can be added after."""
        return NormalEquations(self._sphere.symmetrize_real(self._lhs), self._sphere.symmetrize(self._rhs, total=True))


def solve(equations: NormalEquations, sphere: HalfSphere, support: float, prior: np.ndarray) -> np.ndarray:
    """The volumes under a given prior.

    Parameters
    ----------
    support : share of the padded box that the molecule's mask fills. Voxels of an oversampled grid share their
        information; this many of them count as one.
    prior : (S, C). τ², the variance of a real or imaginary part per shell and channel.

    Returns
    -------
    (M, 2, C) float32, before masking.
    """
    return _solve(equations, sphere, support, prior)[0]


def empirical_prior(equations: NormalEquations, sphere: HalfSphere, support: float, rounds: int = 3) -> np.ndarray:
    """τ² (S, C) by `rounds` of empirical Bayes: the shell mean of |V|²/2 plus the posterior variance."""
    norm = np.maximum(np.bincount(sphere.shells, minlength=sphere.n_shells), 1)[:, None]
    information = shell_information(equations, sphere)
    power = _by_shell((equations.rhs**2).mean(1), sphere) / norm
    # Start from b²/A² less its noise: with decoupled channels E b² = A² V² + A.
    noise = information / support
    prior = np.maximum(power - noise, 0.1 * noise) / np.maximum(information**2, 1e-30)
    for _ in range(rounds):
        solution, variance = _solve(equations, sphere, support, prior)
        prior = _by_shell((solution**2).mean(1) + support * variance, sphere) / norm
    return prior


def cross_validated_prior(halves: list[NormalEquations], sphere: HalfSphere, support: float) -> np.ndarray:
    """τ² (S, C) from what two half-sets agree on: shell means of Re(V_a V_b*)/2, free of noise and overfitting."""
    norm = np.maximum(np.bincount(sphere.shells, minlength=sphere.n_shells), 1)[:, None]
    raw = []
    for equations in halves:
        weak = 20 * support / np.maximum(shell_information(equations, sphere), 1e-30)
        raw.append(solve(equations, sphere, support, weak))
    shared = _by_shell((raw[0] * raw[1]).mean(1), sphere) / norm
    own = _by_shell((raw[0] ** 2 + raw[1] ** 2).mean(1), sphere) / (2 * norm)
    return np.maximum(shared, 1e-4 * own)


def shell_information(equations: NormalEquations, sphere: HalfSphere) -> np.ndarray:
    """(S, C). Shell means of the diagonal of A_v."""
    n_channels = equations.rhs.shape[2]
    diagonal = np.cumsum(np.arange(1, n_channels + 1)) - 1
    norm = np.maximum(np.bincount(sphere.shells, minlength=sphere.n_shells), 1)[:, None]
    return _by_shell(equations.lhs[:, diagonal], sphere) / norm


def _solve(equations, sphere: HalfSphere, support: float, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    precision = (support / np.maximum(prior, 1e-30)).astype(np.float32)
    solution = np.empty_like(equations.rhs)
    variance = np.empty((sphere.n_voxels, equations.rhs.shape[2]), dtype=np.float32)
    cpu.solve_voxels(equations.lhs, equations.rhs, precision, sphere.shells, solution, variance)
    return solution, variance


def _by_shell(values: np.ndarray, sphere: HalfSphere) -> np.ndarray:
    return np.stack([np.bincount(sphere.shells, column, sphere.n_shells) for column in values.T], axis=1)
