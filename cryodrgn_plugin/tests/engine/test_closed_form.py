"""The fast recipe against planted truth and brute force: posteriors, frames, priors, nodes, harmonics, filters."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from cryodrgn_plugin.engine.closed_form.direction_search import RAISED, schedule
from cryodrgn_plugin.engine.closed_form.em import Amplitudes, normalized, posterior
from cryodrgn_plugin.engine.closed_form.harmonics import along_the_motion, harmonics, positions
from cryodrgn_plugin.engine.closed_form.nodes import Responsibilities, at_nodes, evidence, fit_nodes, responsibilities
from cryodrgn_plugin.engine.config import ClosedFormConfig
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.equations import NormalEquations, packed
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.voxel_solve import cross_validated_prior, empirical_prior
from cryodrgn_plugin.engine.reconstruction.adaptive import local_wiener
from cryodrgn_plugin.engine.slicing.backend import Backend
from cryodrgn_plugin.engine.slicing.compute import Compute

RNG = np.random.default_rng(3)


def backend_at(box: int, padding: float, radius: int) -> Backend:
    return Compute().backend(sphere_at(box, padding, radius), HalfPlane(box, radius))


def compressed(
    amplitudes: np.ndarray, information: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A (N, C, C) and b (N, C) of images whose amplitudes (N, K) are seen with this information and random coupling."""
    n, k = amplitudes.shape
    design = rng.standard_normal((n, 3 * (k + 1), k + 1)) * np.sqrt(information / (3 * (k + 1)))
    whole = np.concatenate([np.ones((n, 1)), amplitudes], axis=1)
    seen = np.einsum("nfc,nc->nf", design, whole) + rng.standard_normal(design.shape[:2])
    pair = np.einsum("nfc,nfd->ncd", design, design), np.einsum("nfc,nf->nc", design, seen)
    return torch.from_numpy(pair[0]), torch.from_numpy(pair[1])


def test_posteriors_are_those_of_a_gaussian_integrated_on_a_grid():
    gram, inner = compressed(RNG.standard_normal((4, 1)), 8.0, RNG)
    found = posterior(gram, inner)
    grid = np.linspace(-12, 12, 20001)
    points = np.stack([np.ones_like(grid), grid], axis=1)
    log_density = at_nodes(gram, inner, torch.from_numpy(points)).scores.numpy() - grid**2 / 2
    density = np.exp(log_density - log_density.max(1, keepdims=True))
    density /= density.sum(1, keepdims=True)
    mean = density @ grid
    np.testing.assert_allclose(found.mean[:, 0], mean, atol=1e-6)
    np.testing.assert_allclose(found.covariance[:, 0, 0], density @ grid**2 - mean**2, rtol=1e-5)
    integral = np.log(np.exp(log_density).sum(1) * (grid[1] - grid[0]) / np.sqrt(2 * np.pi))
    assert found.evidence == pytest.approx(integral.mean(), abs=1e-6)


def test_the_normalizing_frame_changes_no_image():
    """V₀ + Σ s_k V_k stays the same for every image; amplitudes become white and bases orthogonal."""
    model = LinearModel.of(backend_at(16, 1.5, 7), RNG.standard_normal((4, 16, 16, 16)).astype(np.float32))
    mean = RNG.standard_normal((200, 3)) @ RNG.standard_normal((3, 3)) + [1.0, -2.0, 0.5]
    before = Amplitudes(torch.from_numpy(mean), torch.eye(3, dtype=torch.float64).mul(0.1).repeat(200, 1, 1))
    (after_model,), after = normalized([model], before)
    as_volumes, as_new = seen_volume(model, before), seen_volume(after_model, after)
    np.testing.assert_allclose(as_new, as_volumes, atol=2e-3 * np.abs(as_volumes).max())
    spread = np.cov(after.mean.numpy().T, bias=True) + after.covariance.mean(0).numpy()
    np.testing.assert_allclose(spread, np.eye(3), atol=1e-6)
    gram = after_model.gram().numpy()[1:, 1:]
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-3 * np.diag(gram).max()
    assert (np.diff(np.diag(gram)) <= 0).all()


def seen_volume(model: LinearModel, amplitudes: Amplitudes) -> np.ndarray:
    """(M, 2) coefficients of what one of the images sees."""
    coefs = model.coefs.numpy()
    return coefs[:, :, 0] + np.einsum("mpk,k->mp", coefs[:, :, 1:], amplitudes.mean[7].numpy())


def test_the_search_settles_low_and_ends_at_the_full_band():
    """Few particles take part at first, all once poses have moved twice. Half-sets part where the limit rises; noise is
    asked for once, and poses move before that and at the end."""
    steps = schedule(ClosedFormConfig(iterations=10, first_radius=8), last_radius=31, particles=60_000)
    radii = [step.radius for step in steps]
    assert radii[:10] == [8] * 10 and radii[-1] == 31 and sorted(radii) == radii and len(radii) == 10 + RAISED
    assert [step.particles for step in steps[:8]] == [20_000] * 5 + [30_000, 60_000, 60_000]
    assert [step.then for step in steps] == [step.particles for step in steps[1:]] + [60_000]
    assert [step.crossed for step in steps] == [False] * 10 + [True] * RAISED
    assert [n for n, step in enumerate(steps, start=1) if step.cuts] == [10]
    assert [n for n, step in enumerate(steps, start=1) if step.moves] == [3, 7, 10 + RAISED]


def equations_of(backend: Backend, signal: np.ndarray, information: float, rng) -> NormalEquations:
    """Normal equations of known coefficients (M, 2, C) seen with the same information everywhere."""
    square = information * torch.eye(signal.shape[2]).repeat(len(signal), 1, 1)
    noise = rng.standard_normal(signal.shape) * np.sqrt(information)
    return NormalEquations(backend, packed(square), backend.compute.tensor(information * signal + noise))


def test_half_sets_find_the_signal_variance_and_give_noise_none():
    backend = backend_at(24, 1.0, 11)
    rng = np.random.default_rng(0)
    power = np.array([4.0, 0.0])
    signal = rng.standard_normal((backend.sphere.n_voxels, 2, 2)) * np.sqrt(power)
    halves = [equations_of(backend, signal, 2.0, rng) for _ in range(2)]
    prior = cross_validated_prior(halves, support=1.0).numpy()[3:11]
    np.testing.assert_allclose(prior[:, 0].mean(), power[0], rtol=0.15)
    assert prior[:, 1].max() < 0.1
    np.testing.assert_allclose(empirical_prior(halves[0], 1.0).numpy()[3:11, 0].mean(), power[0], rtol=0.15)


def coordinate_along(responsible: Responsibilities, nodes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Where each image lies along the motion, and how well that is known; nodes are as far apart as they lie."""
    mean, deviation = positions(responsible, along_the_motion(torch.cdist(nodes, nodes), responsible.population))
    return mean.numpy(), deviation.numpy()


@pytest.mark.parametrize("seed", range(3))
def test_the_coordinate_follows_a_bent_curve(seed):
    """Amplitudes on three quarters of a circle: no axis is monotonic in the position, the coordinate is."""
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, 1, 1500)
    angle = 1.5 * np.pi * position
    gram, inner = compressed(1.5 * np.stack([np.cos(angle), np.sin(angle)], 1), 80.0, rng)
    start = posterior(gram, inner).mean
    fitted = fit_nodes(gram, inner, start, count=30, rounds=30, seed=seed)
    coordinate, deviation = coordinate_along(fitted.responsible, fitted.nodes)
    axes = max(abs(spearmanr(axis, position).correlation) for axis in start.numpy().T)
    followed = abs(spearmanr(coordinate, position).correlation)
    assert followed > 0.97 > axes + 0.03
    flipped = coordinate if spearmanr(coordinate, position).correlation > 0 else 1 - coordinate
    error = np.abs(flipped - position)
    assert np.mean(error < 2 * deviation + 0.03) > 0.85


def test_harmonics_tell_separate_states_apart():
    rng = np.random.default_rng(1)
    state = rng.integers(0, 3, 900)
    corners = np.array([[0.0, 2.0], [-1.7, -1.0], [1.7, -1.0]])
    gram, inner = compressed(corners[state], 60.0, rng)
    responsible = fit_nodes(gram, inner, posterior(gram, inner).mean, count=12, rounds=30, seed=0).responsible
    space = harmonics(responsible, 4)
    z = (responsible.shares @ space.values[:, :2]).numpy()
    centres = np.stack([z[state == s].mean(0) for s in range(3)])
    assigned = np.linalg.norm(z[:, None] - centres, axis=2).argmin(1)
    assert (assigned == state).mean() > 0.98
    assert space.visibility[1] > 0.9 and (np.diff(space.visibility.numpy()) <= 1e-12).all()


def test_harmonics_are_orthonormal_over_the_population_and_padded_with_zeros():
    rng = np.random.default_rng(2)
    shares = rng.dirichlet(np.ones(3), 400)
    responsible = responsibilities(torch.from_numpy(np.log(shares)), torch.full((3,), 1 / 3, dtype=torch.float64))
    space = harmonics(responsible, 6)
    assert space.values.shape == (3, 6)
    assert not space.values[:, 2:].any() and not space.visibility[2:].any()
    np.testing.assert_allclose(responsible.population @ space.values[:, :2] ** 2, 1.0)


def test_evidence_grows_when_nodes_come_to_lie_where_the_images_are():
    rng = np.random.default_rng(4)
    gram, inner = compressed(rng.choice([-2.0, 2.0], (300, 1)), 20.0, rng)
    flat = torch.full((2,), 0.5, dtype=torch.float64)
    pairs = (torch.tensor([[1.0, -x], [1.0, x]], dtype=torch.float64) for x in (0.0, 1.0, 2.0))
    at = [evidence(at_nodes(gram, inner, pair).scores, flat) for pair in pairs]
    assert at[0] < at[1] < at[2]


def test_the_local_filter_keeps_what_halves_share_and_drops_what_they_do_not():
    rng = np.random.default_rng(5)
    axis = np.arange(32) - 16
    r = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    signal = (np.exp(-((r / 6) ** 2)) * (1 + np.cos(0.9 * axis))).astype(np.float32)
    halves = [signal + 0.3 * rng.standard_normal(signal.shape).astype(np.float32) for _ in range(2)]
    filtered, plain = local_wiener(*halves), (halves[0] + halves[1]) / 2
    error, plain_error = ((filtered - signal) ** 2).mean(), ((plain - signal) ** 2).mean()
    assert error < 0.25 * plain_error
    far = r > 14
    assert (filtered[far] ** 2).mean() < 0.1 * (plain[far] ** 2).mean()
    np.testing.assert_allclose(local_wiener(signal, signal), signal, atol=0.02 * signal.max())


def test_states_that_no_image_confuses_are_ordered_by_their_distance():
    """Three tight states on a line, hundreds of nats apart: the middle one must come out in the middle."""
    rng = np.random.default_rng(6)
    state = rng.integers(0, 3, 600)
    gram, inner = compressed((np.array([-4.0, 0.0, 4.0])[state] + 0.05 * rng.standard_normal(600))[:, None], 150.0, rng)
    fitted = fit_nodes(gram, inner, posterior(gram, inner).mean, count=12, rounds=30, seed=0)
    coordinate, _ = coordinate_along(fitted.responsible, fitted.nodes)
    assert abs(spearmanr(coordinate, state).correlation) > 0.9


def test_where_nothing_moves_there_is_one_place_for_all():
    """Half-sets that agree on no motion leave empty bases: one node remains, and what follows still works."""
    gram, inner = torch.zeros(50, 3, 3, dtype=torch.float64), torch.zeros(50, 3, dtype=torch.float64)
    gram[:, 0, 0], inner[:, 0] = 100.0, 100.0
    fitted = fit_nodes(gram, inner, posterior(gram, inner).mean, count=12, rounds=5, seed=0)
    coordinate, spread = coordinate_along(fitted.responsible, fitted.nodes)
    assert fitted.nodes.tolist() == [[1.0, 0.0, 0.0]]
    assert not harmonics(fitted.responsible, 4).features[:, 1:].any()
    assert (coordinate == coordinate[0]).all() and not spread.any()


def test_a_node_without_images_changes_no_harmonic():
    shares = np.random.default_rng(8).dirichlet(np.ones(5) / 4, 200)
    empty = np.insert(shares, 2, 0.0, axis=1), np.insert(shares.mean(0), 2, 1e-3)
    plain, padded = (
        harmonics(Responsibilities(torch.from_numpy(belongs).log(), torch.from_numpy(population)), 3)
        for belongs, population in ((shares, shares.mean(0)), empty)
    )
    np.testing.assert_allclose(padded.visibility, plain.visibility, atol=1e-9)
    np.testing.assert_allclose(np.delete(padded.values.numpy(), 2, axis=0), plain.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(padded.values[2], 0, atol=1e-3)
