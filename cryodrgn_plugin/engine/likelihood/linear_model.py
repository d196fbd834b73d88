"""A mean volume and basis volumes fitted in closed form: what EM alternates over before it becomes a decoder."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..slicing.backend import Backend
from ..slicing.device_tables import table
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from .equations import HalfSetEquations, NormalEquations, ReadyEquations
from .voxel_solve import cross_validated_prior, empirical_prior, solved
from .whitened import WhitenedImages

TOGETHER, AT_ONCE = 4, 2**18
"""Volumes that are in real space, and voxels that are worked on, at a time."""


@dataclass(frozen=True)
class LinearModel:
    """Volumes on a half-sphere: channel 0 the mean, the rest the bases; `coefs` (M, 2, C) ready for slicing."""

    backend: Backend
    coefs: Tensor

    @classmethod
    def of(cls, backend: Backend, volumes: np.ndarray | Tensor) -> "LinearModel":
        """Of volumes (C, D, D, D)."""
        return cls(backend, backend.coefficients(backend.compute.tensor(volumes)))

    @property
    def sphere(self) -> HalfSphere:
        return self.backend.sphere

    @property
    def n_bases(self) -> int:
        return self.coefs.shape[2] - 1

    def volumes(self) -> Tensor:
        """(C, D, D, D) all volumes, as large as the sphere's storage."""
        return self.backend.volumes(self.coefs)

    def mean(self) -> "LinearModel":
        """The mean volume alone."""
        return LinearModel(self.backend, self.coefs[:, :, :1].contiguous()) if self.n_bases else self

    def mean_map(self) -> np.ndarray:
        """(D, D, D) the mean volume."""
        return on_host(self.mean().volumes()[0])

    def channels(self, chosen: Tensor) -> "LinearModel":
        """Some of the volumes, by their numbers (n,) int64."""
        return LinearModel(self.backend, self.coefs[:, :, chosen].contiguous())

    def mixed(self, matrix: Tensor) -> "LinearModel":
        """The model whose channel c is Σ_d V_d matrix[d, c]."""
        return LinearModel(self.backend, self.coefs @ matrix.to(self.coefs.dtype))

    def gram(self, blur_radius: float | None = None, other: "LinearModel | None" = None) -> Tensor:
        """(C, C) float64. Inner products of the volumes, with themselves or those of `other`, by Parseval over the
        half-sphere.

        `blur_radius` (in 1/(box · pixel)) blurs the volumes first, by exp(−½ (|k|/radius)²).
        """
        return _products([self], [other or self], blur_radius)


def _products(ours: list[LinearModel], theirs: list[LinearModel], blur_radius: float | None) -> Tensor:
    """(C, C') float64 inner products of averages of models, some voxels at a time: in double precision all would take
    more memory than the models."""
    backend = ours[0].backend
    shells, radius, device = backend.shells, backend.sphere.radius, ours[0].coefs.device
    multiplicity = table(backend.sphere, "multiplicity", device, torch.float32)
    products = torch.zeros(ours[0].n_bases + 1, theirs[0].n_bases + 1, dtype=torch.float64, device=device)
    for first in range(0, len(shells), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        weight = multiplicity[some].double() * (shells[some] <= radius)
        if blur_radius is not None:
            weight = weight * torch.exp(-((shells[some] / blur_radius) ** 2))
        left, right = (sum(model.coefs[some].double() for model in models) / len(models) for models in (ours, theirs))
        for a, b in zip(left.unbind(1), right.unbind(1), strict=True):
            products += a.T @ (weight[:, None] * b)
    return products


def mean_model(models: list[LinearModel]) -> LinearModel:
    """The average of half-set models; a single model as it is."""
    return LinearModel(models[0].backend, sum(model.coefs for model in models) / len(models))


def map_distances(
    models: list[LinearModel], nodes: Tensor, blur_radius: float, channels: Tensor | None = None
) -> Tensor:
    """(M, M) root of the squared difference between the blurred volumes of the models' average at amplitudes `nodes`
    (M, C), of some channels (C,) alone where they are given."""
    gram = _products(models, models, blur_radius)
    if channels is not None:
        gram = gram[channels[:, None], channels]
    products = nodes @ gram @ nodes.T
    power = products.diagonal()
    return (power[:, None] + power[None, :] - 2 * products).clamp(min=0).sqrt()


def mix_in_place(models: list[LinearModel], matrix: Tensor) -> None:
    """Make each the model whose channel c is Σ_d V_d matrix[d, c], with as many channels."""
    for model in models:
        by = matrix.to(model.coefs.dtype)
        for some in model.coefs.split(AT_ONCE):
            some.copy_(some @ by)


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
    equations: HalfSetEquations | ReadyEquations, mask: np.ndarray, freedom: float = 1.0, spent: bool = False
) -> list[LinearModel]:
    """Solve, confine the volumes to `mask` (D, D, D) in real space, and make them ready for slicing.

    One set of equations gets its prior by empirical Bayes; two half-sets share the prior that their agreement supports.
    `freedom` widens the prior by this factor in variance, for maps whose noise is filtered afterwards. Equations that
    are `spent` are freed, each set as soon as it is solved: they take more memory than the maps.
    """
    support = float((mask**2).sum() / equations.sphere.grid**3)

    def prior(sets: list[NormalEquations]) -> Tensor:
        found = empirical_prior(sets[0], support) if len(sets) == 1 else cross_validated_prior(sets, support)
        return freedom * found

    return all_confined(equations.backend, solved(equations, support, prior, spent), mask)


def all_confined(backend: Backend, solutions: list[Tensor], mask: np.ndarray) -> list[LinearModel]:
    """As `confined`; each solution goes from the list."""
    models = []
    while solutions:
        models.append(confined(backend, solutions.pop(0), mask))
    return models


def confined(backend: Backend, solution: Tensor, mask: np.ndarray) -> LinearModel:
    """Gridded averages (M, 2, C) → volumes freed of the gridding sinc², inside `mask`, ready for slicing.

    They take the place of the averages, a few volumes at a time. `mask` is (D, D, D), or (C, D, D, D).
    """
    for first in range(0, solution.shape[2], TOGETHER):
        some = slice(first, first + TOGETHER)
        inside = backend.compute.tensor(mask if mask.ndim == 3 else mask[some])
        volumes = backend.volumes(solution[:, :, some], convolve=False) * inside
        solution[:, :, some] = backend.coefficients(volumes)
    return LinearModel(backend, solution)


def compress(
    models: list[LinearModel], images: WhitenedImages, count: int, half: np.ndarray | None = None
) -> tuple[Tensor, Tensor]:
    """The likelihood of every image over amplitudes: ℓ_i(s) = b_i·s − ½ sᵀ A_i s, s with the mean's 1 in front.

    With two half-set models, each image meets the model that has not seen it, so that its own noise in the volumes
    cannot pass for signal.

    Returns
    -------
    A (N, C, C) and b (N, C), float64.
    """
    return images.memory.run(partial(_compressed, models, images, count, half))


def _compressed(
    models: list[LinearModel], images: WhitenedImages, count: int, half: np.ndarray | None
) -> tuple[Tensor, Tensor]:
    n_channels = models[0].n_bases + 1
    options = {"dtype": torch.float64, "device": images.compute.device}
    gram = torch.zeros(images.n, n_channels, n_channels, **options)
    inner = torch.zeros(images.n, n_channels, **options)
    for part, batch in images.by_halves(count, half):
        model = models[part] if half is None else models[1 - part]
        rows = torch.as_tensor(batch.index, device=gram.device)
        compressed = model.backend.compress(model.coefs, batch.targets, batch.weights, batch.rotations)
        gram[rows], inner[rows] = compressed
    images.ranks.total(gram, inner)
    return gram, inner
