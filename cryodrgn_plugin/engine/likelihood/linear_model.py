"""A mean volume and basis volumes fitted in closed form: what EM alternates over before it becomes a decoder."""

from dataclasses import dataclass

import numpy as np

from ..slicing import cpu
from ..slicing.operator import kernel_geometry
from ..slicing.sphere import HalfSphere
from .voxel_solve import NormalEquations, cross_validated_prior, empirical_prior, solve
from .whitened import WhitenedImages


@dataclass(frozen=True)
class LinearModel:
    """Volumes on a half-sphere: channel 0 the mean, the rest the bases; `coefs` (M, 2, C) ready for slicing."""

    sphere: HalfSphere
    coefs: np.ndarray

    @property
    def n_bases(self) -> int:
        return self.coefs.shape[2] - 1

    def volume(self) -> np.ndarray:
        """(D, D, D) the mean volume, as large as the sphere's storage."""
        return self.sphere.to_volumes(self.coefs[:, :, :1])[0]

    def mixed(self, matrix: np.ndarray) -> "LinearModel":
        """The model whose channel c is Σ_d V_d matrix[d, c]."""
        return LinearModel(self.sphere, np.ascontiguousarray(self.coefs @ matrix.astype(np.float32)))

    def gram(self, blur_radius: float | None = None) -> np.ndarray:
        """(C, C) float64. Inner products of the volumes, by Parseval over the half-sphere.

        `blur_radius` (in 1/(box · pixel)) blurs the volumes first, by exp(−½ (|k|/radius)²).
        """
        weight = self.sphere.multiplicity * (self.sphere.shells <= self.sphere.radius)
        if blur_radius is not None:
            weight = weight * np.exp(-((self.sphere.shells / blur_radius) ** 2))
        flat = self.coefs.reshape(len(self.coefs), 2, -1)
        return np.einsum("mpc,m,mpd->cd", flat, weight, flat, dtype=np.float64, optimize=True)


def mean_model(models: list[LinearModel]) -> LinearModel:
    """The average of half-set models; a single model as it is."""
    return LinearModel(models[0].sphere, sum(model.coefs for model in models) / len(models))


def map_distances(model: LinearModel, nodes: np.ndarray, blur_radius: float) -> np.ndarray:
    """(M, M) root of the squared difference between the blurred volumes at amplitudes `nodes` (M, C)."""
    products = nodes @ model.gram(blur_radius) @ nodes.T
    power = np.diag(products)
    return np.sqrt(np.maximum(power[:, None] + power[None, :] - 2 * products, 0))


def sphere_at(box: int, padding: float, radius: float) -> HalfSphere:
    """Storage for a model known up to `radius` only: the same extent in angstrom on a grid no finer than needed."""
    return HalfSphere(min(box, 2 * (int(np.ceil(radius)) + 2)), padding, radius)


def soft_ball(box: int, radius: float = 0.95) -> np.ndarray:
    """(D, D, D) float32. 1 inside `radius` (a fraction of half the box), falling to 0 at the box's edge as a cosine."""
    axis = np.arange(box) - box // 2
    r = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2) / (box / 2)
    ramp = np.clip((r - radius) / max(1.0 - radius, 1e-6), 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * ramp)).astype(np.float32)


def fit_volumes(
    equations: list[NormalEquations], sphere: HalfSphere, mask: np.ndarray, freedom: float = 1.0
) -> list[LinearModel]:
    """Solve, confine the volumes to `mask` (D, D, D) in real space, and make them ready for slicing.

    One set of equations gets its prior by empirical Bayes; two half-sets share the prior that their agreement supports.
    `freedom` widens the prior by this factor in variance, for maps whose noise is filtered afterwards.
    """
    support = float((mask**2).sum() / sphere.grid**3)
    if len(equations) == 1:
        prior = empirical_prior(equations[0], sphere, support)
    else:
        prior = cross_validated_prior(equations, sphere, support)
    solutions = (solve(each, sphere, support, freedom * prior) for each in equations)
    return [confined(solution, sphere, mask) for solution in solutions]


def confined(solution: np.ndarray, sphere: HalfSphere, mask: np.ndarray) -> LinearModel:
    """Gridded averages (M, 2, C) → volumes freed of the gridding sinc², inside `mask`, ready for slicing."""
    volumes = sphere.to_volumes(solution, convolve=False) * mask
    return LinearModel(sphere, sphere.from_volumes(volumes))


def compress(models: list[LinearModel], images: WhitenedImages, count: int, half: np.ndarray | None = None):
    """The likelihood of every image over amplitudes: ℓ_i(s) = b_i·s − ½ sᵀ A_i s, s with the mean's 1 in front.

    With two half-set models, each image meets the model that has not seen it, so that its own noise in the volumes
    cannot pass for signal.

    Returns
    -------
    A (N, C, C) and b (N, C), float64.
    """
    half = np.zeros(images.n, dtype=np.int8) if half is None else half
    n_channels = models[0].coefs.shape[2]
    gram = np.empty((images.n, n_channels, n_channels))
    inner = np.empty((images.n, n_channels))
    freqs = images.lattice.indices[:count].astype(np.float32)
    for batch in images.passes(count):
        for part, model in enumerate(models[::-1]):
            rows = np.flatnonzero(half[batch.index] == part)
            a, b = np.empty((len(rows), n_channels, n_channels)), np.empty((len(rows), n_channels))
            geometry = (batch.rotations[rows], freqs, *kernel_geometry(model.sphere))
            cpu.compress_images(model.coefs, batch.targets[rows], batch.weights[rows], *geometry, a, b)
            gram[batch.index[rows]], inner[batch.index[rows]] = a, b
    return gram, inner
