"""Does the latent space hold what is none of the molecule's business: view, defocus, contrast, micrograph, pose errors?

What an image tells of its particle depends on its view and its defocus: where it tells little, the particle is put
nearer to the middle. Its neighbours in the latent space then predict its defocus, honestly. But averaged over particles
the posterior of the states is their population, whatever the view or the defocus: from every side the molecule is as
often open as closed. So a quantity is compared between states with each particle counted in every state as much as its
image says (its posterior, by maps of the half-set it is not in): the share of the variance of the quantity that lies
between the means of the states. Chance is found by shuffling the values between particles.

A latent space may also hold a quantity that its maps do not show. That is seen in the neighbours alone, and told only
where these predict more than honest shrinking was seen to explain.

The contrast of an image is not known as its defocus is: a smaller molecule looks faint. What states carry of it is
measured on parts of the molecule (`shared_contrast`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..analysis.latent_clusters import kmeans
from ..analysis.run_particles import RunParticles
from ..geometry.rotations import matrices_from_euler
from .shared_contrast import PartAmplitudes, SharedContrast
from .tied_images import TiedImages

NEIGHBOURS = 20
CELLS = 50
"""Clusters of neighbours at most, where neighbours are taken together."""
CHANCE = 0.95
"""Quantile of the shuffled values that is stated as what chance reaches."""
WEAK, STRONG = 0.1, 0.3
"""Shares of the variance: below the first a leak is nothing to speak of, above the second it is serious. Clean sets of
five molecules stay below 0.07, of contrast below 0.01 (`benchmarks/leakage.py`)."""
WEAK_OF = {"contrast": 0.05}
"""Where it is another: a correlation of 0.3 is a share of 0.09, and is to be told."""
OVERT = 0.8
"""Share that neighbours alone predict from which on it is a leak, and a serious one; honest shrinking reaches 0.56."""
DECIMALS = 4


@dataclass(frozen=True)
class Leak:
    """How far states carry one quantity."""

    name: str
    share: float
    """Share of its variance that lies between the means of states, less what chance gives; of names (micrographs) the
    correlation between the states of particles of one name. 0 is nothing."""
    chance: float
    """What 95 of 100 shufflings stay below."""
    p_value: float
    nearby: float = 0.0
    """Share of its variance that the nearest neighbours in the latent space predict."""

    def strength(self, significance: float) -> str:
        """none, weak, clear or strong."""
        if self.nearby >= OVERT:
            return "strong"
        if self.p_value > significance:
            return "none"
        return "weak" if self.share < WEAK_OF.get(self.name, WEAK) else "clear" if self.share < STRONG else "strong"

    @property
    def told(self) -> float:
        """The share to be stated: the larger one where neighbours alone are enough."""
        return max(self.share, self.nearby) if self.nearby >= OVERT else self.share


def leaks(
    z: np.ndarray,
    membership: np.ndarray,
    quantities: Mapping[str, np.ndarray],
    *,
    permutations: int,
    tested: int,
    seed: int,
    parts: PartAmplitudes | None = None,
    tied: TiedImages | None = None,
) -> list[Leak]:
    """Test every quantity, (N,) names or numbers or (N, C) numbers, on `tested` of the particles.

    Parameters
    ----------
    z : (N, Z).
    membership : (N, M) posterior of each particle over states; rows sum to 1.
    parts : of the N images; with it contrast is tested too.
    tied : which of the N are images of one particle or copies, which are one then. None where each is a particle.
    """
    if tied is not None:
        once, quantities = tied.once, tied.of_particles(quantities)
        z, membership = z[once], membership[once]
        quantities = {name: values[once] for name, values in quantities.items()}
        parts = parts and PartAmplitudes(tied.totals(parts.gram), tied.totals(parts.inner)).of(once)
    rng = np.random.default_rng([seed, 14])
    part = np.sort(rng.permutation(len(z))[:tested])
    # Ties (a latent space of one point) would make neighbours of the file's order.
    points = z[part] + 1e-9 * rng.standard_normal((len(part), z.shape[1])) * max(float(z.std()), 1e-6)
    neighbours = cKDTree(points).query(points, min(NEIGHBOURS, len(part) - 1) + 1)[1][:, 1:]
    orders = [rng.permutation(len(part)) for _ in range(permutations)]
    counted = membership[part]
    found = [_leak(name, values[part], counted, neighbours, orders) for name, values in quantities.items()]
    if parts is not None:
        found.append(_of_contrast(SharedContrast(parts.of(part)), counted, points, orders))
    return found


def quantities_of(particles: RunParticles, tied: TiedImages) -> dict[str, np.ndarray]:
    """What is known of each particle beside its images, (N,) or (N, C) with a row for each of these; constant ones are
    left out."""
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
    return {name: values for name, values in tied.of_particles(quantities).items() if (values != values[0]).any()}


def second_moments(views: np.ndarray) -> np.ndarray:
    """(N, 5) of unit vectors (N, 3): the same for a view and its opposite, as side views have against top views."""
    x, y, z = views.T
    return np.stack([x * y, y * z, z * x, (x**2 - y**2) / 2, (3 * z**2 - 1) / np.sqrt(12)], axis=1)


def _leak(
    name: str, values: np.ndarray, membership: np.ndarray, neighbours: np.ndarray, orders: list[np.ndarray]
) -> Leak:
    if values.dtype.kind in "OUS":
        values = np.unique(values.astype(str), return_inverse=True)[1].reshape(-1)
        nearby = _same_name(values, neighbours)
        measured = np.array([_alike(values[order], membership) for order in (slice(None), *orders)])
    else:
        values = values.reshape(len(values), -1).astype(np.float64)
        nearby = _explained(values, neighbours)
        measured = np.array([_between(values[order], membership) for order in (slice(None), *orders)])
    return _beside_chance(name, measured[0], measured[1:], nearby)


def _of_contrast(
    contrast: SharedContrast, membership: np.ndarray, points: np.ndarray, orders: list[np.ndarray]
) -> Leak:
    """The leak of the contrast; neighbours in the latent space are the particles of a small cluster there."""
    cells = kmeans(points, max(min(CELLS, len(points) // NEIGHBOURS), 1), seed=0).labels
    nearby = contrast.share(np.eye(cells.max() + 1)[cells])
    shuffled = np.array([contrast.share(membership[order]) for order in orders])
    return _beside_chance("contrast", contrast.share(membership), shuffled, nearby)


def _beside_chance(name: str, share: float, shuffled: np.ndarray, nearby: float) -> Leak:
    p_value = (1 + (shuffled >= share).sum()) / (1 + len(shuffled))
    by_chance = shuffled.mean()
    # Adding 0 turns −0 into 0.
    figures = np.round([share - by_chance, np.quantile(shuffled, CHANCE) - by_chance, p_value, nearby], DECIMALS) + 0.0
    return Leak(name, *map(float, figures))


def _between(values: np.ndarray, membership: np.ndarray) -> float:
    """Share of the variance of values (n, C) that lies between the means of states."""
    centred = values - values.mean(axis=0)
    particles = np.maximum(membership.sum(axis=0), 1e-12)
    sums = membership.T @ centred
    return float((sums**2 / particles[:, None]).sum() / max((centred**2).sum(), 1e-30))


def _alike(codes: np.ndarray, membership: np.ndarray) -> float:
    """Correlation within names of the states of different particles: 0 by chance, 1 where a name has one state."""
    apart = membership - membership.mean(axis=0)
    of_name = np.zeros((codes.max() + 1, membership.shape[1]))
    np.add.at(of_name, codes, apart)
    counts = np.bincount(codes)
    pairs = max(float((counts * (counts - 1.0)).sum()), 1.0)
    own = float((apart**2).sum())
    return (float((of_name**2).sum()) - own) / pairs / max(own / len(codes), 1e-30)


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
