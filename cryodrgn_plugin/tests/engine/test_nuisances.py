"""Contrast, pose errors and errors of the defocus integrated out: against Gaussian algebra written out, integrals on a
grid, and what was planted in images drawn from the model.
"""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.likelihood.near_images import NearImages
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances, settle, without_pose_errors

K, J = 2, 6
TURN_SD, SHIFT_SD, DEFOCUS_SD = 0.03, 0.01, 0.05
ERRORS = np.repeat([TURN_SD, SHIFT_SD, DEFOCUS_SD], [3, 2, 1])


def drawn(
    n: int, amplitudes: np.ndarray, contrast: np.ndarray, errors: np.ndarray, rng: np.random.Generator
) -> NearImages:
    """Images of mean volume, bases and derivatives by the pose, with random slices; noise of variance 1."""
    k, j = amplitudes.shape[1], errors.shape[1]
    whole = np.concatenate([np.ones((n, 1)), amplitudes, errors], axis=1)
    scale = np.concatenate([[12.0], np.full(k, 2.0), 3 / ERRORS[:j]])
    design = rng.standard_normal((n, 40, 1 + k + j)) * scale / np.sqrt(40)
    seen = contrast[:, None] * np.einsum("nfc,nc->nf", design, whole) + rng.standard_normal((n, 40))
    gram, inner = np.einsum("nfc,nfd->ncd", design, design), np.einsum("nfc,nf->nc", design, seen)
    return NearImages(torch.from_numpy(gram), torch.from_numpy(inner), k)


def known(n: int, rng: np.random.Generator, j: int = J) -> Nuisances:
    """Contrasts that differ, poses that have been moved already."""
    pose_sd = torch.from_numpy(ERRORS[:j])
    return Nuisances(
        contrast=torch.from_numpy(rng.normal(1, 0.2, n)),
        contrast_variance=torch.from_numpy(rng.uniform(0, 0.02, n)),
        moved=torch.from_numpy(rng.standard_normal((n, j))) * pose_sd,
        contrast_sd=0.2,
        pose_sd=pose_sd,
    )


def random_images(n: int, rng: np.random.Generator, j: int = J) -> tuple[NearImages, Nuisances]:
    errors = rng.standard_normal((n, j)) * ERRORS[:j]
    return drawn(n, rng.standard_normal((n, K)), rng.normal(1, 0.2, n), errors, rng), known(n, rng, j)


@pytest.mark.parametrize("j", [J, 5, 0], ids=["pose and defocus", "pose errors", "poses as they are"])
def test_posteriors_and_evidence_are_those_of_one_gaussian_over_amplitudes_and_pose_errors(j):
    rng = np.random.default_rng(1)
    near, nuisances = random_images(30, rng, j)
    found, _, spread, _ = settle(near, nuisances, rounds=1)
    precision = torch.block_diag(torch.linalg.inv(spread), (nuisances.pose_sd**-2).diag())
    evidence = []
    for i in range(len(near)):
        gram = near.gram[i] * nuisances.squared_contrast()[i]
        inner = near.inner[i] * nuisances.contrast[i]
        expected = torch.cat([torch.zeros(K, dtype=torch.float64), -nuisances.moved[i]])
        covariance = torch.linalg.inv(gram[1:, 1:] + precision)
        towards = inner[1:] - gram[1:, 0] + precision @ expected
        mean = covariance @ towards
        np.testing.assert_allclose(found.mean[i], mean[:K], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(found.errors[i], mean[K:], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(found.covariance[i], covariance[:K, :K], rtol=1e-8, atol=1e-12)
        tied = torch.cat([mean[K:, None], covariance[K:, :K] + mean[K:, None] * mean[:K]], 1)
        np.testing.assert_allclose(found.tied[i], tied, rtol=1e-7, atol=1e-10)
        evidence.append(
            inner[0]
            - gram[0, 0] / 2
            + (towards @ mean - expected @ precision @ expected) / 2
            + (torch.logdet(precision) + torch.logdet(covariance)) / 2
        )
    assert found.evidence == pytest.approx(float(torch.stack(evidence).mean()), rel=1e-9)


def test_integrating_a_pose_error_out_is_an_integral():
    """Likelihoods of amplitudes differ as integrals over the error on a grid do, at the contrast that an image has."""
    rng = np.random.default_rng(2)
    near, nuisances = random_images(6, rng, j=1)
    gram, inner = without_pose_errors(near, nuisances)
    sd = float(nuisances.pose_sd[0])
    grid = np.linspace(-12 * sd, 12 * sd, 4001)
    points = [np.array([1.0, 0.3, -0.8]), np.array([0.8, -1.0, 0.4])]
    for i in range(len(near)):
        g, square = float(nuisances.contrast[i]), float(nuisances.squared_contrast()[i])
        left, right = near.gram[i].numpy() * square, near.inner[i].numpy() * g
        prior = -((grid + float(nuisances.moved[i, 0])) ** 2) / (2 * sd**2)
        integrals, closed = [], []
        for point in points:
            whole = np.concatenate([np.repeat(point[None], len(grid), 0), grid[:, None]], 1)
            density = whole @ right - np.einsum("gc,cd,gd->g", whole, left, whole) / 2 + prior
            integrals.append(np.logaddexp.reduce(density))
            # The result is for contrast 1: an image of contrast g is g times as far along.
            seen = torch.from_numpy(g * point)
            closed.append(float(inner[i] @ seen - seen @ gram[i] @ seen / 2))
        assert closed[0] - closed[1] == pytest.approx(integrals[0] - integrals[1], abs=1e-6)


def test_what_was_planted_in_contrast_poses_and_amplitudes_is_learned():
    rng = np.random.default_rng(3)
    n, spread = 3000, np.array([[1.5, 0.6], [0.6, 0.8]])
    amplitudes = rng.multivariate_normal([0, 0], spread, n)
    errors = rng.standard_normal((n, J)) * ERRORS
    contrast = rng.normal(1, 0.15, n)
    near = drawn(n, amplitudes, contrast, errors, rng)
    ones = torch.ones(n, dtype=torch.float64)
    first = Nuisances(
        ones, 0 * ones, ones.new_zeros(n, J), 0.3, torch.tensor([0.01] * 3 + [0.03] * 2 + [0.01]).double()
    )
    found, _, learned_spread, learned = settle(near, first, rounds=25)
    np.testing.assert_allclose(learned_spread, spread, atol=0.1 * np.sqrt(1.5))
    assert learned.contrast_sd == pytest.approx(0.15, rel=0.1)
    np.testing.assert_allclose(learned.pose_sd, ERRORS, rtol=0.1)
    assert (learned.doubt < 0.1).all()
    assert np.corrcoef(learned.contrast, contrast)[0, 1] > 0.8
    for channel in range(J):
        assert np.corrcoef(found.errors[:, channel], errors[:, channel])[0, 1] > 0.8


def test_contrast_that_is_known_stays():
    near, nuisances = random_images(50, np.random.default_rng(4))
    _, _, _, learned = settle(near, nuisances, rounds=2, contrast_known=True)
    assert learned.contrast is nuisances.contrast and learned.contrast_sd == nuisances.contrast_sd
    assert not np.allclose(learned.pose_sd, nuisances.pose_sd)
