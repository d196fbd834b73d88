"""Whitened noise is white: what no map explains counts the same at all frequencies, CTF-multiplied or not."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.imaging.preprocess import soft_window
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages

from .particle_files import ctf_params, optics, rows, write_set

N, BOX, PIXEL = 300, 32, 4.0


@pytest.mark.parametrize("multiplied", [False, True], ids=["as taken", "multiplied by the CTF"])
def test_noise_alone_has_unit_variance_in_every_shell(multiplied, tmp_path):
    group, table, lattice = optics(box=BOX, pixel_ang=PIXEL), rows(N), HalfPlane(BOX, BOX // 2)
    images = np.random.default_rng(0).standard_normal((N, BOX, BOX)).astype(np.float32)
    if multiplied:
        group["rlnCtfDataAreCtfPremultiplied"] = 1
        ctf = evaluate_ctf(ctf_params(table, group), lattice.indices / (BOX * PIXEL))
        images = lattice.images(lattice.spectra(images) * ctf).astype(np.float32)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table, [group]), DataConfig(sign="white"))
    batch = WhitenedImages(dataset.without_poses(), estimate_noise(dataset)).of(np.arange(N), dataset.lattice.size)
    shells, window = dataset.lattice.shells, soft_window(BOX, dataset.config.window)
    # ½ |t|²/w is 1 on average, times the share of the coefficients that are independent within the window.
    targets, weights = batch.targets.numpy(), batch.weights.numpy()
    power = np.bincount(shells, (np.abs(targets) ** 2).sum(0)) / np.bincount(shells, 2 * weights.sum(0))
    np.testing.assert_allclose(power[2:-1] / np.square(window).mean(), 1, atol=0.25)


def test_an_image_is_the_same_in_any_batch_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(1)
    table = rows(50, seed=2).assign(rlnOriginXAngst=rng.uniform(-9, 9, 50), rlnOriginYAngst=rng.uniform(-9, 9, 50))
    images = rng.standard_normal((50, BOX, BOX)).astype(np.float32)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table, [optics(box=BOX, pixel_ang=PIXEL)]))
    whitened, count = WhitenedImages(dataset, estimate_noise(dataset)), dataset.lattice.size
    moves, turned = torch.from_numpy(rng.uniform(-0.1, 0.1, (50, 2))), torch.eye(3).repeat(50, 1, 1)

    def seen(index: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Targets and weights, and targets moved back once more."""
        batch, share = whitened.of(index, count), torch.ones(len(index))
        moved = batch.counted(torch.arange(len(index)), turned[index], moves[index], share, dataset.lattice)
        return batch.targets, batch.weights, moved.targets

    together = seen(np.arange(50))
    for few in np.split(np.arange(50), [1, 3, 10, 31]):
        for alone, whole in zip(seen(few), together, strict=True):
            np.testing.assert_array_equal(alone, whole[few])


def noisy_set(folder, **options) -> WhitenedImages:
    table = rows(N, seed=4)
    images = np.random.default_rng(5).standard_normal((N, BOX, BOX)).astype(np.float32)
    star = write_set(folder, images, table, [optics(box=BOX, pixel_ang=PIXEL)])
    dataset = ParticleDataset.open(star, DataConfig(sign="white", **options))
    return WhitenedImages(dataset, estimate_noise(dataset))


def targets_of(images: WhitenedImages, count: int) -> np.ndarray:
    """(N, F) in the order of the images, of one pass."""
    return np.concatenate([batch.targets.numpy() for batch in images.passes(count)])


def test_images_of_nothing_have_the_noise_of_the_images(tmp_path):
    """E|t|² is the multiplicity times the weight, real and imaginary parts alike."""
    images = noisy_set(tmp_path)
    count = images.lattice.count(10)
    weights = np.concatenate([batch.weights.numpy() for batch in images.passes(count)])
    noise, seen = targets_of(images.of_noise(7), count), targets_of(images, count)
    expected = images.lattice.multiplicity[:count] * weights
    for part in (noise.real, noise.imag):
        assert (2 * part**2).sum() / expected.sum() == pytest.approx(1, rel=0.02)
    per_coefficient = (np.abs(noise) ** 2).sum(0) / expected.sum(0)
    assert per_coefficient.mean() == pytest.approx(1, rel=0.02) and per_coefficient.std() < 0.12
    assert abs(np.corrcoef(noise.real.ravel(), seen.real.ravel())[0, 1]) < 0.02


def test_images_of_nothing_are_the_same_when_asked_again_and_when_streamed(tmp_path):
    (tmp_path / "kept").mkdir(), (tmp_path / "streamed").mkdir()
    kept, streamed = noisy_set(tmp_path / "kept"), noisy_set(tmp_path / "streamed", cache_mb=0)
    count, nothing = kept.lattice.count(10), kept.of_noise(7)
    first = targets_of(nothing, count)
    np.testing.assert_array_equal(targets_of(nothing, count), first)
    np.testing.assert_array_equal(targets_of(streamed.of_noise(7), count), first)
    assert not np.array_equal(targets_of(kept.of_noise(8), count), first)
    np.testing.assert_array_equal(targets_of(kept, count), targets_of(streamed, count))
