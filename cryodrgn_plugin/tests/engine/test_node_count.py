"""Nodes with contrast integrated out, how many of them images speak for, and the metric of what they show."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.closed_form.em import posterior
from cryodrgn_plugin.engine.closed_form.node_count import count_nodes
from cryodrgn_plugin.engine.closed_form.nodes import at_nodes, fit_nodes
from cryodrgn_plugin.engine.closed_form.volume_metric import VolumeMetric
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.slicing.compute import Compute

MEAN_POWER = 200.0
"""Of an image of the mean volume, over that of the noise."""


def compressed(
    points: np.ndarray, information: float, rng: np.random.Generator, contrast: np.ndarray | float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A (N, C, C) and b (N, C) of images at `points` (N, C), the mean volume's amplitude first, times `contrast`."""
    n, c = points.shape
    scale = np.sqrt(np.concatenate([[MEAN_POWER], np.full(c - 1, information)]) / (4 * c))
    design = rng.standard_normal((n, 4 * c, c)) * scale
    seen = np.einsum("nfc,nc->nf", design, np.reshape(contrast, (-1, 1)) * points)
    seen = seen + rng.standard_normal(design.shape[:2])
    pair = np.einsum("nfc,nfd->ncd", design, design), np.einsum("nfc,nf->nc", design, seen)
    return torch.from_numpy(pair[0]), torch.from_numpy(pair[1])


def with_mean(amplitudes: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(amplitudes), 1)), amplitudes], 1)


def test_the_contrast_at_a_node_is_integrated_over_its_prior():
    rng = np.random.default_rng(1)
    gram, inner = compressed(with_mean(rng.standard_normal((8, 2))), 5.0, rng, rng.normal(1, 0.3, 8))
    nodes = torch.from_numpy(rng.standard_normal((4, 3)))
    found = at_nodes(gram, inner, nodes, 0.3)
    grid = np.linspace(1 - 12 * 0.3, 1 + 12 * 0.3, 8001)
    power = np.einsum("mc,ncd,md->nm", nodes, gram, nodes)
    shared = np.einsum("nc,mc->nm", inner, nodes)
    density = shared[..., None] * grid - power[..., None] * grid**2 / 2 - (grid - 1) ** 2 / (2 * 0.3**2)
    peak = density.max(-1)
    weight = np.exp(density - peak[..., None])
    integral = np.log(weight.sum(-1) * (grid[1] - grid[0]) / (0.3 * np.sqrt(2 * np.pi))) + peak
    np.testing.assert_allclose(found.scores, integral, atol=1e-6)
    weight /= weight.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.contrast, weight @ grid, atol=1e-6)
    np.testing.assert_allclose(found.square, weight @ grid**2, atol=1e-6)


def test_without_spread_contrast_is_one():
    rng = np.random.default_rng(2)
    gram, inner = compressed(with_mean(rng.standard_normal((5, 2))), 5.0, rng)
    nodes = torch.from_numpy(rng.standard_normal((3, 3)))
    certain, nearly = at_nodes(gram, inner, nodes), at_nodes(gram, inner, nodes, 1e-4)
    np.testing.assert_allclose(certain.scores, nearly.scores, atol=1e-3)
    assert (certain.contrast == 1).all() and (certain.square == 1).all()


def test_nodes_learn_how_far_contrasts_spread():
    rng = np.random.default_rng(3)
    n, corners = 2000, np.array([[0.0, 2.0], [-1.7, -1.0], [1.7, -1.0]])
    state, contrast = rng.integers(0, 3, n), rng.normal(1, 0.15, n)
    gram, inner = compressed(with_mean(corners[state]), 30.0, rng, contrast)
    fitted = fit_nodes(gram, inner, posterior(gram, inner).mean, 3, 40, seed=0, contrast_sd=0.3)
    assert fitted.contrast_sd == pytest.approx(0.15, rel=0.1)
    assert np.corrcoef(fitted.contrast, contrast)[0, 1] > 0.85
    apart = np.linalg.norm(fitted.nodes.numpy()[:, None] - with_mean(corners), axis=2)
    assert apart.min(0).max() < 0.15 and sorted(apart.argmin(0)) == [0, 1, 2]


def test_what_states_differ_in_along_the_mean_is_not_contrast():
    """A part that is missing takes from the mean; images of either state all have the same contrast."""
    rng = np.random.default_rng(4)
    n, states = 1500, np.array([[1.2, 1.0], [0.8, -1.0]])
    state = rng.integers(0, 2, n)
    gram, inner = compressed(states[state], 40.0, rng)
    fitted = fit_nodes(gram, inner, posterior(gram, inner).mean, 2, 40, seed=0, contrast_sd=0.2)
    assert fitted.contrast_sd < 0.03
    order = np.argsort(-fitted.nodes[:, 1].numpy())
    np.testing.assert_allclose(fitted.nodes.numpy()[order], states, atol=0.08)


def chosen(amplitudes: np.ndarray, seed: int, contrast_sd: float = 0.0) -> tuple[int, bool]:
    """How many nodes are chosen for images of these amplitudes, and whether they are states."""
    rng = np.random.default_rng(seed)
    contrast = rng.normal(1, contrast_sd, len(amplitudes))
    gram, inner = compressed(with_mean(amplitudes), 40.0, rng, contrast)
    found = count_nodes(gram, inner, posterior(gram, inner).mean, 24, contrast_sd, seed)
    assert set(found.gain) == {*range(1, 13), 24}
    return found.count, found.states


@pytest.mark.parametrize("contrast_sd", [0.0, 0.15])
def test_states_are_counted(contrast_sd):
    rng = np.random.default_rng(5)
    corners = np.array([[0.0, 2.0], [-1.7, -1.0], [1.7, -1.0]])
    assert chosen(corners[rng.integers(0, 3, 800)], 5, contrast_sd) == (3, True)


def test_images_that_are_all_alike_are_one_state():
    assert chosen(np.zeros((800, 2)), 6, 0.15) == (1, True)


def test_a_curve_is_no_number_of_states():
    angle = np.random.default_rng(7).uniform(0, 1.5 * np.pi, 1600)
    assert chosen(6 * np.stack([np.cos(angle), np.sin(angle)], 1), 7) == (24, False)


BOX = 16


def models(volumes: list[np.ndarray]) -> list[LinearModel]:
    backend = Compute().backend(sphere_at(BOX, 1.5, 7), HalfPlane(BOX, 7))
    return [LinearModel.of(backend, each.astype(np.float32)) for each in volumes]


@pytest.fixture(scope="module")
def places() -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes (M, Q + 1) and populations (M,)."""
    rng = np.random.default_rng(8)
    return torch.from_numpy(with_mean(rng.standard_normal((9, 3)))), torch.from_numpy(rng.dirichlet(np.ones(9)))


def test_distance_between_coordinates_is_distance_between_maps(places):
    features, population = places
    heights = np.array([3.0, 2.0, 1.0, 0.5])[:, None, None, None]
    (model,) = models([heights * np.random.default_rng(9).standard_normal((4, BOX, BOX, BOX))])
    metric = VolumeMetric.between([model, model], features, population)
    products = model.gram()
    away = features[:, None] - features
    squared = torch.einsum("mnc,cd,mnd->mn", away, products, away) / products[0, 0]
    z = metric.features(features)[:, 1:]
    np.testing.assert_allclose(torch.cdist(z, z), squared.clamp(min=0).sqrt(), rtol=1e-5, atol=1e-6)
    about = z - population @ z
    spread = about.T @ (population[:, None] * about)
    np.testing.assert_allclose(spread, spread.diagonal().diag(), atol=1e-8)
    assert (spread.diagonal().diff() < 0).all()


def test_the_metric_changes_no_volume(places):
    features, population = places
    halves = models([np.random.default_rng(seed).standard_normal((4, BOX, BOX, BOX)) for seed in (10, 11)])
    metric = VolumeMetric.between(halves, features, population)
    for model in halves:
        before = model.mixed(features.T).coefs
        after = metric.model(model).mixed(metric.features(features).T).coefs
        np.testing.assert_allclose(after, before, atol=2e-3 * float(before.abs().max()))


def test_halves_that_share_nothing_still_have_maps(places):
    features, population = places
    first = np.random.default_rng(10).standard_normal((4, BOX, BOX, BOX))
    second = first * np.array([1, -1, -1, -1])[:, None, None, None]
    halves = models([first, second])
    metric = VolumeMetric.between(halves, features, population)
    assert metric.features(features).isfinite().all()
    for model in halves:
        before = model.mixed(features.T).coefs
        after = metric.model(model).mixed(metric.features(features).T).coefs
        np.testing.assert_allclose(after, before, atol=2e-3 * float(before.abs().max()))


def test_what_halves_do_not_share_has_no_length(places):
    features, population = places
    rng = np.random.default_rng(12)
    shared = rng.standard_normal((4, BOX, BOX, BOX))
    shared[3] = 0
    noise = np.array([0.0, 0.0, 0.0, 3.0])[:, None, None, None]
    halves = models([shared + noise * rng.standard_normal(shared.shape) for _ in range(2)])
    along_noise = features.clone()
    along_noise[:, 1:3] = 0
    z = VolumeMetric.between(halves, features, population).features(along_noise)[:, 1:]
    lengths = (z - z[0]).square().sum(1)[1:]
    of_one_half = (along_noise[1:, 3] - along_noise[0, 3]).square() * (halves[0].gram()[3, 3] / halves[0].gram()[0, 0])
    assert (lengths < 0.05 * of_one_half).all()
