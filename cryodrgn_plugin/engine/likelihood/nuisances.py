"""What makes images of one state differ, integrated out: contrast, and small errors of the poses and the defocus.

    y = g c (P μ + Σ_k a_k P V_k + Σ_j t_j ∂_j P μ) + ε,   g ~ N(1, κ²),   t_j ~ N(0, λ_j²),   a ~ N(m, S)

over the five parameters j of a pose (`Backend.expand`) and, where images tell of it, the defocus. Everything but g is a
Gaussian amplitude of one image, known from its compressed likelihood; g multiplies all of it, the image of its own
state, and takes turns with the rest. The variances are learned in the same loop (`nuisance_sizes`), so they say what is
wrong with the images.

A pose may be moved to where its errors seem to be; the errors that were given stay what the prior is about.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..ranks import Ranks
from .near_images import NearImages
from .nuisance_sizes import FIRST_CONTRAST_SD, Spread, first_sizes, pushed
from .spread_solve import solved_spread
from .whitened import WhitenedImages

SCORINGS = 2
"""Steps of Fisher scoring in each round."""


@dataclass(frozen=True)
class Nuisances:
    """What is known of the contrast and the pose errors of N images."""

    contrast: Tensor
    """(N,) posterior mean of g."""
    contrast_variance: Tensor
    """(N,) of the posterior."""
    moved: Tensor
    """(N, J) how far images have been moved from where they were given: radians about the view's axes, shifts in boxes,
    micrometres of defocus."""
    contrast_sd: float
    pose_sd: Tensor
    """(J,) λ."""
    doubt: Tensor | None = None
    """(J,) standard error of λ² as a share of it, once it was learned."""

    @classmethod
    def unknown(cls, images: WhitenedImages, pose_errors: bool = True) -> "Nuisances":
        """Before anything was learned."""
        ones = images.compute.double(np.ones(images.n))
        pose_sd = images.compute.double(first_sizes(images.with_defocus)[: None if pose_errors else 0])
        return cls(ones, 0 * ones, ones.new_zeros(images.n, len(pose_sd)), FIRST_CONTRAST_SD, pose_sd)

    def at(self, rows: Tensor | slice) -> "Nuisances":
        """Of some of the images."""
        of_some = {name: getattr(self, name)[rows] for name in ("contrast", "contrast_variance", "moved")}
        return replace(self, **of_some)

    def among(self, places: Tensor, count: int) -> "Nuisances":
        """As images (N,) at `places` among `count`, of the others of which nothing is known."""
        contrast, variance = self.contrast.new_ones(count), self.contrast.new_zeros(count)
        moved = self.moved.new_zeros(count, self.moved.shape[1])
        contrast[places], variance[places], moved[places] = self.contrast, self.contrast_variance, self.moved
        return replace(self, contrast=contrast, contrast_variance=variance, moved=moved)

    def squared_contrast(self) -> Tensor:
        """(N,) E[g²]."""
        return self.contrast**2 + self.contrast_variance


@dataclass(frozen=True)
class Posteriors:
    """Posteriors of the amplitudes a of N images, with what their pose errors have to do with them.

    `mean` (N, K), `covariance` (N, K, K), `errors` (N, J) posterior means of the pose errors that are left, `tied`
    (N, J, K + 1) E[t (1, a)ᵀ]. All float64.
    """

    mean: Tensor
    covariance: Tensor
    errors: Tensor
    tied: Tensor
    evidence: float = 0.0
    """Mean log-likelihood of an image over that of an image of nothing, amplitudes and pose errors integrated out."""

    def moments(self) -> tuple[Tensor, Tensor]:
        """E[(1, a)] (N, K + 1) and E[(1, a)(1, a)ᵀ] (N, K + 1, K + 1)."""
        first = torch.nn.functional.pad(self.mean, (1, 0), value=1.0)
        second = first[:, :, None] * first[:, None, :]
        second[:, 1:, 1:] += self.covariance
        return first, second

    def at(self, rows: Tensor) -> "Posteriors":
        """Of some of the images."""
        return Posteriors(self.mean[rows], self.covariance[rows], self.errors[rows], self.tied[rows])

    def of_all(self, ranks: Ranks) -> "Posteriors":
        """Of the images of all processes, where each has some."""
        of_images = map(ranks.gathered, (self.mean, self.covariance, self.errors, self.tied))
        return Posteriors(*of_images, evidence=self.evidence)

    def turned(self, centre: Tensor, back: Tensor) -> "Posteriors":
        """In the frame whose amplitudes are back · (a − centre); back is (K', K)."""
        tied_centred = self.tied[:, :, 1:] - self.tied[:, :, :1] * centre
        tied = torch.cat([self.tied[:, :, :1], tied_centred @ back.T], 2)
        return Posteriors(
            (self.mean - centre) @ back.T, back @ self.covariance @ back.T, self.errors, tied, self.evidence
        )


def without_pose_errors(near: NearImages, nuisances: Nuisances) -> tuple[Tensor, Tensor]:
    """The likelihood over the amplitudes of the volumes alone, (N, C, C) and (N, C): the Schur complement.

    Images are taken at the contrast that they seem to have; the result is for contrast 1.
    """
    c = near.n_bases + 1
    gram, inner = near.gram.new_empty(len(near), c, c), near.inner.new_empty(len(near), c)
    for rows in near.parts():
        conditional = _Conditional.of(near, nuisances, rows)
        g = nuisances.contrast[rows]
        gram[rows], inner[rows] = conditional.gram / (g * g)[:, None, None], conditional.inner / g[:, None]
    return gram, inner


def mean_information(near: NearImages, nuisances: Nuisances) -> Tensor:
    """(K, K) what an image tells of the bases' amplitudes, on average, at its contrast, its pose error unknown."""
    parts = [_Conditional.of(near, nuisances, rows).gram[:, 1:, 1:].sum(0) for rows in near.parts()]
    return torch.stack(parts).sum(0) / len(near)


def settle(
    near: NearImages, nuisances: Nuisances, rounds: int, contrast_known: bool = False
) -> tuple[Posteriors, Tensor, Tensor, Nuisances]:
    """Amplitudes of the bases, their distribution N(m, S), contrast and pose errors, each in the light of the others.

    Parameters
    ----------
    contrast_known : leave contrasts as they are. Low frequencies tell them best: at high ones an image whose pose is
        wrong looks faint.

    Returns
    -------
    Posteriors of a, not yet of unit variance; m (K,), S (K, K), and what is now known of the nuisances. Several
    processes work on some of the images each, and all have it of all.
    """
    k, ranks, given = near.n_bases, near.ranks, nuisances
    spread = torch.eye(k, dtype=near.gram.dtype, device=near.gram.device)
    centre, nuisances, near = spread.new_zeros(k), nuisances.at(near.own), near.at(near.own)
    for _ in range(rounds):
        for _ in range(SCORINGS):
            spread = solved_spread(*scoring(near, nuisances, centre, spread), near.groups)
        found, learned = _posterior(near, nuisances, centre, spread)
        of_errors = replace(nuisances, pose_sd=learned.pose_sd, doubt=learned.doubt)
        nuisances = of_errors if contrast_known else learned
        centre = ranks.mean(found.mean)
    names = ("contrast", "contrast_variance")
    of_images = {name: getattr(given, name) for name in (*names, "moved")}
    if not contrast_known:
        of_images |= {name: ranks.gathered(getattr(nuisances, name)) for name in names}
    return found.of_all(ranks), centre, spread, replace(nuisances, **of_images)


@dataclass(frozen=True)
class _Conditional:
    """Some images at their contrasts: what is left to say of the amplitudes once pose errors are integrated out."""

    gram: Tensor
    """(n, C, C)."""
    inner: Tensor
    """(n, C)."""
    errors_given_none: Tensor
    """(n, J) posterior mean of the pose errors where all amplitudes are 0, the mean volume's as well."""
    per_amplitude: Tensor
    """(n, J, C) what an amplitude takes off it."""
    covariance: Tensor
    """(n, J, J) of the pose errors given the amplitudes."""
    towards: Tensor
    """(n, J) what speaks for pose errors where all amplitudes are 0."""
    prior: tuple[Tensor, Tensor]
    """Precision (J,) of the pose errors that images had at first, and how far (n, J) they have been moved."""

    @classmethod
    def of(cls, near: NearImages, nuisances: Nuisances, rows: slice) -> "_Conditional":
        c = near.n_bases + 1
        square = near.gram[rows] * nuisances.squared_contrast()[rows, None, None]
        inner = near.inner[rows] * nuisances.contrast[rows, None]
        precision, moved = nuisances.pose_sd.clamp(min=1e-9) ** -2, nuisances.moved[rows]
        covariance = torch.linalg.inv(square[:, c:, c:] + precision.diag())
        towards = inner[:, c:] - precision * moved
        per_amplitude = covariance @ square[:, c:, :c]
        errors = (covariance @ towards[:, :, None])[:, :, 0]
        left = square[:, :c, :c] - square[:, :c, c:] @ per_amplitude
        told = inner[:, :c] - (square[:, :c, c:] @ errors[:, :, None])[:, :, 0]
        return cls(left, told, errors, per_amplitude, covariance, towards, (precision, moved))

    def evidence(self, amplitudes: Tensor) -> Tensor:
        """(n,) log-likelihood at amplitudes (C,), the mean volume's included."""
        precision, moved = self.prior
        of_errors = (self.errors_given_none * self.towards).sum(1) - (precision * moved**2).sum(1)
        of_errors = of_errors + torch.logdet(self.covariance) + precision.log().sum()
        return of_errors / 2 + self.inner @ amplitudes - (self.gram @ amplitudes) @ amplitudes / 2

    def residual(self, centre: Tensor) -> Tensor:
        """(n, K) what speaks for amplitudes other than `centre` (K,)."""
        return self.inner[:, 1:] - self.gram[:, 1:, 0] - self.gram[:, 1:, 1:] @ centre


def scoring(near: NearImages, nuisances: Nuisances, centre: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Equations of one step of Fisher scoring for S: with B = (A⁻¹ + S)⁻¹, Σ B S' B = Σ u uᵀ − B + B S B, where
    u = (1 + A S)⁻¹ r; the left side (K², K²) for S' as a vector by rows, the right one (K, K).
    """
    k = len(centre)
    identity = torch.eye(k, dtype=spread.dtype, device=spread.device)
    left, right = spread.new_zeros(k * k, k * k), spread.new_zeros(k, k)
    for rows in near.parts():
        conditional = _Conditional.of(near, nuisances, rows)
        information = conditional.gram[:, 1:, 1:]
        inverse = torch.linalg.inv(identity + information @ spread)
        b, u = inverse @ information, (inverse @ conditional.residual(centre)[:, :, None])[:, :, 0]
        flat = b.flatten(1)
        # Σ B_ij B_kl, then to the order (i k), (j l) in which S' is a vector.
        left += (flat.T @ flat).view(k, k, k, k).permute(0, 2, 1, 3).reshape(k * k, k * k)
        right += u.T @ u + (b @ spread @ b - b).sum(0)
    near.ranks.total(left, right)
    return left, right


def _posterior(near: NearImages, nuisances: Nuisances, centre: Tensor, spread: Tensor) -> tuple[Posteriors, Nuisances]:
    """Of the amplitudes and the pose errors; and what they make of the nuisances."""
    k, precision, total = len(centre), torch.linalg.inv(spread), spread.new_zeros(2)
    with_mean = torch.nn.functional.pad(centre, (1, 0), value=1.0)
    mean, covariance = spread.new_empty(len(near), k), spread.new_empty(len(near), k, k)
    errors, tied = torch.empty_like(nuisances.moved), spread.new_empty(*nuisances.moved.shape, k + 1)
    learning = _Learning.nothing(nuisances, near.ranks)
    for rows in near.parts():
        conditional = _Conditional.of(near, nuisances, rows)
        covariance[rows] = torch.linalg.inv(conditional.gram[:, 1:, 1:] + precision)
        residual = conditional.residual(centre)
        away = (covariance[rows] @ residual[:, :, None])[:, :, 0]
        total[0] += conditional.evidence(with_mean).sum() + (residual * away).sum() / 2
        total[0] += (torch.logdet(covariance[rows]).sum() + len(away) * torch.logdet(precision)) / 2
        total[1] += len(away)
        mean[rows] = centre + away
        first = torch.nn.functional.pad(mean[rows], (1, 0), value=1.0)
        errors[rows] = conditional.errors_given_none - (conditional.per_amplitude @ first[:, :, None])[:, :, 0]
        tied[rows] = errors[rows][:, :, None] * first[:, None, :]
        tied[rows, :, 1:] -= conditional.per_amplitude[:, :, 1:] @ covariance[rows]
        part = Posteriors(mean[rows], covariance[rows], errors[rows], tied[rows])
        learning.add(near, rows, conditional, part)
    near.ranks.total(total)
    return Posteriors(mean, covariance, errors, tied, float(total[0] / total[1])), learning.learned(near.ranks)


@dataclass(frozen=True)
class _Learning:
    """Contrasts given the amplitudes and errors, and the variances that all images together speak for."""

    before: Nuisances
    contrast: Tensor
    variance: Tensor
    spread: Spread

    @classmethod
    def nothing(cls, before: Nuisances, ranks: Ranks) -> "_Learning":
        spread = Spread.nothing(before.pose_sd, before.moved, before.doubt, ranks)
        return cls(before, torch.empty_like(before.contrast), torch.empty_like(before.contrast), spread)

    @property
    def sd(self) -> float:
        return max(self.before.contrast_sd, 1e-3)

    def add(self, near: NearImages, rows: slice, conditional: _Conditional, part: Posteriors) -> None:
        """From the images `rows`."""
        c, (first, second) = near.n_bases + 1, part.moments()
        per_basis = conditional.per_amplitude[:, :, 1:]
        among = conditional.covariance + per_basis @ part.covariance @ per_basis.mT
        square = among + part.errors[:, :, None] * part.errors[:, None, :]
        gram, inner = near.gram[rows], near.inner[rows]
        power = (gram[:, :c, :c] * second).sum((1, 2)) + (gram[:, c:, c:] * square).sum((1, 2))
        power = power + 2 * (gram[:, c:, :c] * part.tied).sum((1, 2))
        shared = (inner[:, :c] * first).sum(1) + (inner[:, c:] * part.errors).sum(1)
        self.variance[rows] = 1 / (power.clamp(min=0) + self.sd**-2)
        self.contrast[rows] = (shared + self.sd**-2) * self.variance[rows]
        self.spread.add(part.errors + self.before.moved[rows], among.diagonal(dim1=1, dim2=2))

    def learned(self, ranks: Ranks) -> Nuisances:
        strayed = float(ranks.mean((self.contrast - 1) ** 2 + self.variance).sqrt())
        self.spread.add_up(ranks)
        return replace(
            self.before,
            contrast=self.contrast,
            contrast_variance=self.variance,
            contrast_sd=pushed(self.sd, strayed),
            pose_sd=self.spread.learned(),
            doubt=self.spread.doubt(),
        )
