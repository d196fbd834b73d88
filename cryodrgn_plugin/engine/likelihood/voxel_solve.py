"""The basis in closed form: given amplitudes, mean and bases are one small linear system per voxel.

    (A_v + diag 1/τ²(shell)) V_v = b_v

A and b are the normal equations (`equations`); that trilinear neighbours decouple is the approximation. The prior
variances τ² per shell and channel come from the data (empirical Bayes).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..slicing.backend import Backend
from ..slicing.device_tables import table
from ..slicing.sphere import HalfSphere
from ..slicing.sphere_block import SphereBlock
from .equations import HalfSetEquations, NormalEquations, ReadyEquations


def solve(equations: NormalEquations, support: float, prior: Tensor) -> Tensor:
    """The volumes under a given prior.

    Parameters
    ----------
    support : share of the padded box that the molecule's mask fills. Voxels of an oversampled grid share their
        information; this many of them count as one.
    prior : (S, C). τ², the variance of a real or imaginary part per shell and channel.

    Returns
    -------
    (M, 2, C), before masking.
    """
    return _solved(equations, support, prior, with_variance=False)[0]


def solved(
    equations: HalfSetEquations | ReadyEquations,
    support: float,
    prior: Callable[[list[NormalEquations]], Tensor],
    spent: bool = False,
) -> list[Tensor]:
    """(M, 2, C) of each half-set, before masking, solved block by block.

    Parameters
    ----------
    prior : τ² (S, C) for the sets of a block; of other shells than its own it may say anything.
    spent : as of `fit_volumes`.
    """
    volumes: list[Tensor] = []
    for sets in equations.blocks(spent):
        given, half = prior(sets), 0
        while sets:
            _fill(volumes, half, equations.sphere, sets[0].backend, solve(sets[0], support, given))
            del sets[0]
            half += 1
    return volumes


def _fill(volumes: list[Tensor], half: int, whole: HalfSphere, backend: Backend, solution: Tensor) -> None:
    """Put what a block has solved in its place; a whole sphere's solution is taken as it is."""
    block = backend.sphere
    if not isinstance(block, SphereBlock):
        volumes.append(solution)
        return
    if len(volumes) == half:
        volumes.append(solution.new_zeros(whole.n_voxels, *solution.shape[1:]))
    own = table(block, "own", solution.device)
    volumes[half][table(block, "stored", solution.device)[own]] = solution[own]


def empirical_prior(equations: NormalEquations, support: float, rounds: int = 3) -> Tensor:
    """τ² (S, C) by `rounds` of empirical Bayes: the shell mean of |V|²/2 plus the posterior variance."""
    information = shell_information(equations)
    power = _shell_mean(equations, (equations.rhs**2).mean(1))
    # Start from b²/A² less its noise: with decoupled channels E b² = A² V² + A.
    noise = information / support
    prior = torch.maximum(power - noise, 0.1 * noise) / (information**2).clamp(min=1e-30)
    for _ in range(rounds):
        solution, variance = _solved(equations, support, prior, with_variance=True)
        prior = _shell_mean(equations, (solution**2).mean(1) + support * variance)
    return prior


def cross_validated_prior(halves: list[NormalEquations], support: float) -> Tensor:
    """τ² (S, C) from what two half-sets agree on: shell means of Re(V_a V_b*)/2, free of noise and overfitting."""
    raw = []
    for equations in halves:
        weak = 20 * support / shell_information(equations).clamp(min=1e-30)
        raw.append(solve(equations, support, weak))
    shared = _shell_products(halves[0], raw[0], raw[1])
    own = sum(_shell_products(halves[0], solution, solution) for solution in raw) / 2
    return torch.maximum(shared, 1e-4 * own)


def shell_information(equations: NormalEquations) -> Tensor:
    """(S, C). Shell means of the diagonal of A_v."""
    n_channels = equations.rhs.shape[2]
    diagonal = torch.arange(1, n_channels + 1, device=equations.lhs.device).cumsum(0) - 1
    return _shell_mean(equations, equations.lhs[:, diagonal])


def _solved(equations: NormalEquations, support: float, prior: Tensor, with_variance: bool) -> tuple[Tensor, Tensor]:
    precision = support / prior.clamp(min=1e-30)
    return equations.backend.solve(equations.lhs, equations.rhs, precision, with_variance=with_variance)


def _shell_products(equations: NormalEquations, one: Tensor, other: Tensor) -> Tensor:
    """(S, C) float64 means of the products of (M, 2, C), a channel at a time: all of them would take as much again."""
    channels = zip(one.unbind(2), other.unbind(2), strict=True)
    return torch.cat([_shell_mean(equations, (a * b).mean(1, keepdim=True)) for a, b in channels], 1)


def _shell_mean(equations: NormalEquations, values: Tensor) -> Tensor:
    """(S, K) float64 means of (M, K) values."""
    backend = equations.backend
    number = torch.bincount(backend.shells, minlength=backend.sphere.n_shells).clamp(min=1)
    return backend.by_shell(values) / number[:, None]
