"""The noise estimate is right to a few percent, for white and coloured noise, under signal, in every optics group."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise, shell_mixing, spectral_power
from cryodrgn_plugin.engine.imaging.preprocess import background, soft_window
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import write_star

from .particle_files import molecule, optics, project, rows, write_set

pytestmark = pytest.mark.slow

BOX, COUNT = 48, 600


def coloured(count, box, colour, seed):
    """White noise, or noise sixteen times weaker in power at the edge of the spectrum than at its centre."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, box, box))
    if colour == "white":
        return noise
    axis = np.fft.fftfreq(box)
    filter_ = 1 / np.sqrt(1 + (np.hypot(axis[:, None], axis[None, :]) / 0.13) ** 2)
    return np.fft.ifft2(np.fft.fft2(noise) * filter_).real


def true_variance(dataset, colour):
    """Power of other noise of the same colour, prepared in the same way: the quantity that is estimated."""
    noise = coloured(3000, BOX, colour, seed=99)
    outside = background(BOX, dataset.config.window)
    noise = noise - noise[:, outside].mean(1)[:, None, None]
    noise = noise / noise[:, outside].std(1)[:, None, None] * soft_window(BOX, dataset.config.window)
    power = (np.abs(dataset.lattice.spectra(noise)) ** 2).mean(0)
    return dataset.lattice.shell_mean(power)


@pytest.mark.parametrize("window", [0.7, 0.85])
@pytest.mark.parametrize("colour", ["white", "coloured"])
@pytest.mark.parametrize("signal", [0.0, 0.1], ids=["empty", "SNR 0.1"])
def test_the_variance_of_each_shell_is_right_to_a_few_percent(tmp_path, colour, signal, window):
    group, table = optics(box=BOX), rows(COUNT)
    noise = coloured(COUNT, BOX, colour, 1)
    projections = project(molecule(radius_ang=36, width_ang=6), table, group)
    images = noise + projections / projections.std() * noise.std() * np.sqrt(signal)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table, [group]), DataConfig(sign="white", window=window))
    ratio = estimate_noise(dataset).sigma2[0] / true_variance(dataset, colour)
    assert abs(ratio[2:].mean() - 1) < 0.01
    assert np.abs(ratio[2:] - 1).mean() < 0.015
    assert np.abs(ratio[2:] - 1).max() < 0.08
    assert np.abs(ratio[:2] - 1).max() < 0.15


def test_each_optics_group_has_its_own_noise(tmp_path):
    parts = []
    for number, colour in ((1, "white"), (2, "coloured")):
        write_stack(tmp_path / f"{number}.mrcs", coloured(COUNT, BOX, colour, number), 4.0)
        parts.append(rows(COUNT, number, f"{number}.mrcs", number))
    groups = [optics(number, box=BOX) for number in (1, 2)]
    write_star(tmp_path / "p.star", {"optics": pd.DataFrame(groups), "particles": pd.concat(parts)})
    dataset = ParticleDataset.open(tmp_path / "p.star", DataConfig(sign="white"))
    model = estimate_noise(dataset)
    assert model.sigma2[0, 15] / model.sigma2[0, 3] == pytest.approx(1, abs=0.1)
    assert model.sigma2[1, 15] / model.sigma2[1, 3] < 0.5
    spread = model.per_coefficient(dataset.lattice, np.array([1, 0, 1]))
    assert spread.shape == (3, dataset.lattice.size)
    np.testing.assert_array_equal(spread[0], model.sigma2[1][dataset.lattice.shells])


def test_white_noise_stays_white_and_loses_the_window(tmp_path):
    window = soft_window(BOX, 0.85)
    seen = shell_mixing(BOX, 0.85, "window").sum(1) * BOX**2
    np.testing.assert_allclose(seen[6:20], (window**2).sum(), rtol=0.01)


def test_noise_free_images_get_a_small_positive_variance(tmp_path):
    group, table = optics(), rows(20)
    images = project(molecule(radius_ang=20, width_ang=5), table, group)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table), DataConfig(sign="white", window=1.0))
    sigma2 = estimate_noise(dataset).sigma2
    power = (np.abs(dataset.batch(np.arange(20)).spectra) ** 2).mean()
    np.testing.assert_allclose(sigma2, 1e-3 * power, rtol=1e-5)


def test_spectral_power_is_the_power_of_the_data_over_that_of_the_ctf(tmp_path):
    group, table = optics(), rows(30)
    images = project(molecule(), table, group) + np.random.default_rng(0).normal(size=(30, 32, 32))
    dataset = ParticleDataset.open(write_set(tmp_path, images, table), DataConfig(sign="white"))
    batch = dataset.batch(np.arange(30))
    shell = dataset.lattice.shells == 6
    weights = dataset.lattice.multiplicity[shell]
    expected = (np.abs(batch.spectra[:, shell]) ** 2 @ weights).sum() / (batch.ctf[:, shell] ** 2 @ weights).sum()
    assert spectral_power(dataset)[6] == pytest.approx(expected, rel=0.02)
