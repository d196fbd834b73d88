"""The ideal observer: what it makes of contrast and of poses is what the sums say."""

import numpy as np
import pytest
from scipy.integrate import quad

from cryodrgn_plugin.engine.analysis.oracle import _over_contrasts, assigned_states, state_log_likelihoods
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.simulate import SimulationConfig, tiny_set

CONFIG = SimulationConfig(
    box=32, pixel_size_ang=3.5, snr=0.3, shift_px=2.0, contrast_sd=0.3, pose_error_deg=6.0, shift_error_px=1.0
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """(images at the given poses, images at the true ones, truth, contrast) of a set of two states."""
    star = tiny_set(tmp_path_factory.mktemp("set"), n=400, states=2, seed=3, config=CONFIG)
    told = ParticleDataset.open(star)
    true = dict(np.load(star.with_name("truth.npz")))
    noise = estimate_noise(told)
    right = told.with_poses(true["rotations"], true["shifts_ang"])
    return WhitenedImages(told, noise), WhitenedImages(right, noise), Truth.open(star.parent), true["contrast"]


@pytest.mark.parametrize("spread", [0.05, 0.3])
@pytest.mark.parametrize(("match", "energy"), [(3.0, 4.0), (-2.0, 9.0), (40.0, 35.0)])
def test_the_likelihood_over_contrasts_is_the_integral(match, energy, spread):
    def integrand(c: float) -> float:
        return np.exp(c * match - c**2 * energy / 2 - (c - 1) ** 2 / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))

    expected = np.log(quad(integrand, 1 - 9 * spread, 1 + 9 * spread, epsabs=0)[0])
    assert _over_contrasts(np.array(match), np.array(energy), spread) == pytest.approx(expected, rel=1e-6)


def test_a_known_contrast_is_the_same_as_a_map_of_that_contrast(planted):
    _, images, known, _ = planted
    half = state_log_likelihoods(images, known.maps, contrast=np.full(images.n, 0.5))
    np.testing.assert_allclose(half, state_log_likelihoods(images, 0.5 * known.maps), rtol=1e-4, atol=1e-3)


def test_who_knows_contrast_and_poses_names_more_states(planted):
    given, true, known, contrast = planted

    def accuracy(images, **how) -> float:
        return (assigned_states(state_log_likelihoods(images, known.maps, **how)) == known.state).mean()

    ignorant, told = accuracy(given), accuracy(given, contrast_sd=0.3)
    best, right = accuracy(true, contrast=contrast), accuracy(true, contrast_sd=0.3)
    assert best > 0.9
    assert best > told + 0.05
    assert right > best - 0.03
    assert told > ignorant - 0.02


def test_a_molecule_of_one_map_at_any_contrast_is_told_from_none_by_its_match(planted):
    """Two states that differ in contrast alone are told apart only by who takes contrast for 1."""
    _, images, known, contrast = planted
    faint = np.stack([known.maps[0], 0.6 * known.maps[0]])
    rows = known.state == 0
    sure = np.diff(state_log_likelihoods(images, faint), axis=1)[rows, 0]
    open_minded = np.diff(state_log_likelihoods(images, faint, contrast_sd=1.0), axis=1)[rows, 0]
    assert np.corrcoef(sure, contrast[rows])[0, 1] < -0.5
    assert open_minded.std() < 0.3 * sure.std()
