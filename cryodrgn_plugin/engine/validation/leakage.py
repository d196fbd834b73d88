"""Does the latent space hold what is none of the molecule's business: pose, defocus, contrast, micrograph?

Each of these is predicted for a particle from its nearest neighbours in the latent space, itself left out. How much
better that is than chance is found by shuffling the values between particles. A latent space that predicts the viewing
direction tells views apart and not states; a little of it is no wonder, because an image with less signal lies nearer
the middle.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..analysis.run_particles import RunParticles
from ..geometry.rotations import matrices_from_euler

NEIGHBOURS = 20
CHANCE = 0.95
"""Quantile of the shuffled values that is stated as what chance reaches."""
WEAK, STRONG = 0.1, 0.3
"""Shares of the variance: below the first a leak is nothing to speak of, above the second it is serious. A few per cent
are usual, because an image that shows less of the motion lies nearer the middle of the latent space."""


@dataclass(frozen=True)
class Leak:
    """How well latents predict one quantity."""

    name: str
    share: float
    """Share of its variance that is predicted: R², or for names (micrographs) the same above chance; 0 is nothing."""
    chance: float
    """What 95 of 100 shufflings stay below."""
    p_value: float

    def strength(self, significance: float) -> str:
        """none, weak, clear or strong."""
        if self.p_value > significance:
            return "none"
        return "weak" if self.share < WEAK else "clear" if self.share < STRONG else "strong"


def leaks(
    z: np.ndarray, quantities: Mapping[str, np.ndarray], *, permutations: int, tested: int, seed: int
) -> list[Leak]:
    """Test every quantity, (N,) names or numbers or (N, C) numbers, against latents z (N, Z), on `tested` particles."""
    rng = np.random.default_rng([seed, 14])
    part = np.sort(rng.permutation(len(z))[:tested])
    # Ties (a latent space of one point) would make neighbours of the file's order.
    points = z[part] + 1e-9 * rng.standard_normal((len(part), z.shape[1])) * max(float(z.std()), 1e-6)
    count = min(NEIGHBOURS, len(part) - 1)
    neighbours = cKDTree(points).query(points, count + 1)[1][:, 1:]
    orders = [rng.permutation(len(part)) for _ in range(permutations)]
    return [_leak(name, values[part], neighbours, orders) for name, values in quantities.items()]


def quantities_of(particles: RunParticles) -> dict[str, np.ndarray]:
    """What is known of each particle beside its image, (N,) or (N, C); constant ones are left out."""
    table, lines = particles.table, particles.lines
    quantities: dict[str, np.ndarray] = {}
    if table.euler_deg is not None:
        rotations = matrices_from_euler(table.euler_deg[lines])
        quantities["viewing direction"] = rotations[:, 2]
        quantities["viewing axis"] = second_moments(rotations[:, 2])
        psi = np.radians(table.euler_deg[lines, 2])
        quantities["in-plane angle"] = np.stack([np.cos(psi), np.sin(psi)], axis=1)
    if table.origins_ang is not None:
        quantities["shift"] = table.origins_ang[lines]
    ctf = table.ctf()
    if ctf is not None:
        quantities["defocus"] = (ctf.defocus_u_ang + ctf.defocus_v_ang)[lines] / 2
    if "rlnMicrographName" in table.frame:
        quantities["micrograph"] = table.frame["rlnMicrographName"].to_numpy()[lines]
    if table.n_optics_groups > 1:
        quantities["optics group"] = table.optics_group[lines].astype(str).astype(object)
    return {name: values for name, values in quantities.items() if (values != values[0]).any()}


def second_moments(views: np.ndarray) -> np.ndarray:
    """(N, 5) of unit vectors (N, 3): the same for a view and its opposite, as side views have against top views."""
    x, y, z = views.T
    return np.stack([x * y, y * z, z * x, (x**2 - y**2) / 2, (3 * z**2 - 1) / np.sqrt(12)], axis=1)


def _leak(name: str, values: np.ndarray, neighbours: np.ndarray, orders: list[np.ndarray]) -> Leak:
    if values.dtype.kind in "OUS":
        codes = np.unique(values.astype(str), return_inverse=True)[1].reshape(-1)
        measure = _same_name
        values = codes
    else:
        measure = _explained
        values = values.reshape(len(values), -1).astype(np.float64)
    share = measure(values, neighbours)
    shuffled = np.array([measure(values[order], neighbours) for order in orders])
    p_value = (1 + (shuffled >= share).sum()) / (1 + len(orders))
    return Leak(name, float(share), float(np.quantile(shuffled, CHANCE)), float(p_value))


def _explained(values: np.ndarray, neighbours: np.ndarray) -> float:
    """Share of the variance of values (n, C) that the mean of the neighbours predicts; 0 where they say nothing."""
    error = ((values - values[neighbours].mean(axis=1)) ** 2).sum()
    spread = ((values - values.mean(axis=0)) ** 2).sum()
    # The mean of k random values errs by 1 + 1/k variances.
    return 1 - error / max(spread * (1 + 1 / neighbours.shape[1]), 1e-30)


def _same_name(codes: np.ndarray, neighbours: np.ndarray) -> float:
    """How much more often than by chance neighbours have a particle's own name: 0 by chance, 1 always (Cohen's κ)."""
    same = (codes[neighbours] == codes[:, None]).mean()
    n, counts = len(codes), np.bincount(codes)
    by_chance = (counts * (counts - 1)).sum() / (n * (n - 1))
    return (same - by_chance) / max(1 - by_chance, 1e-12)
