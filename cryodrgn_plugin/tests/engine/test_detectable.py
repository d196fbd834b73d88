"""What the search for directions would have seen: parts of stated shares, what images tell of them, planted ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from cryodrgn_plugin.engine.closed_form.detectable import (
    SEARCH_TAKES,
    SHARES,
    in_brief,
    in_words,
    needed_information,
    outermost,
    part_information,
    parts_around,
    smallest_parts,
    weight_kda,
)
from cryodrgn_plugin.engine.closed_form.directions import Directions, band_of, improved
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.equations import accumulate, of_amplitudes
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, fit_volumes, sphere_at
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.simulate import tiny_set

ABOVE = 1.1
SEEN = 2  # which of SHARES is planted


def body(box: int = 32, radius: float = 8.0) -> np.ndarray:
    """A ball of density 1 with a soft rim."""
    far = np.linalg.norm(np.indices((box,) * 3) - box / 2, axis=0)
    return ndimage.gaussian_filter((far < radius).astype(float), 1.0)


def test_parts_hold_their_shares_and_lie_together():
    volume = body()
    place = outermost(volume, np.array([0.0, 0.0, 1.0]))
    parts = parts_around(volume, place)
    np.testing.assert_allclose(parts.sum((1, 2, 3)) / volume.sum(), SHARES, rtol=1e-4)
    centre = [ndimage.center_of_mass(part)[2] for part in parts]
    assert place[2] > 22 and np.all(np.diff(centre) < 0) and centre[-1] > 17
    for part in parts:
        assert ndimage.label(part > 0)[1] == 1


def test_a_ball_weighs_what_its_volume_does():
    expected = 4 / 3 * np.pi * 8**3 * 3.0**3 * 0.81 / 1000
    assert weight_kda(body(), 3.0) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_what_is_needed_is_seen_as_the_formula_says(noise):
    gamma = (np.sqrt(1 + noise) - 1) ** 2
    theta = needed_information(noise, ABOVE) / SEARCH_TAKES
    assert theta + gamma + gamma / theta == pytest.approx(ABOVE * noise)
    assert np.sqrt(gamma) < theta < noise


def test_the_sentence_names_share_weight_and_how_often_it_is_absent():
    notes = {"smallest_part": {"0.1": None, "0.5": 0.0213}, "molecule_kda": 900.0}
    assert "2.1% of the molecule (about 19 kDa) absent from 50% of the particles" in in_words(notes)
    assert "10%" not in in_words(notes) and "absent from half" in in_brief(notes)
    nothing = {"smallest_part": {"0.1": None, "0.5": None}, "molecule_kda": 900.0}
    assert "No part" in in_words(nothing) and in_brief(nothing) == "" == in_words({})


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Images, their band without pose errors, and their consensus in it."""
    dataset = ParticleDataset.open(tiny_set(tmp_path_factory.mktemp("tiny"), n=400, box=24, seed=1))
    images = WhitenedImages(dataset, estimate_noise(dataset))
    band = band_of(images, sphere_at(24, 2.0, 6), True)
    ones = torch.ones(images.n, 1, dtype=torch.float64)
    mean = fit_volumes(accumulate(images, band.sphere, band.count, of_amplitudes(ones)), band.mask)[0]
    volume = np.maximum(mean.mean_map(), 0) * band.mask
    return images, band, mean, parts_around(volume, outermost(volume, np.array([1.0, 0.0, 0.0])))


def exactly_known(images: WhitenedImages) -> Nuisances:
    return replace(Nuisances.unknown(images, pose_errors=False), contrast_sd=0.0)


def test_information_is_the_weighted_power_of_the_part_in_the_images(seen):
    images, band, mean, parts = seen
    told = part_information(images, replace(band, moving=None), mean, parts, exactly_known(images))
    coefs, expected = LinearModel.of(mean.backend, parts).coefs, 0.0
    for batch in images.passes(band.count):
        slices = mean.backend.project(coefs, batch.rotations, band.count)
        expected = expected + (batch.weights[:, :, None] * (slices**2).sum(2)).sum((0, 1))
    np.testing.assert_allclose(told, expected.numpy() / images.n, rtol=1e-3)
    assert np.all(np.diff(told) > 0)


def test_unknown_poses_and_contrasts_take_information_away(seen):
    images, band, mean, parts = seen
    exact = part_information(images, replace(band, moving=None), mean, parts, exactly_known(images))
    unknown = part_information(images, band, mean, parts, Nuisances.unknown(images))
    assert np.all(unknown < exact) and np.all(unknown > 0) and unknown[-1] < 0.95 * exact[-1]


class Planted:
    """Noise at the images' weights and poses, to which a part is added in an amplitude of each image."""

    def __init__(self, images, volume, amplitude):
        self.images, self.volume, self.amplitude = images, volume, amplitude

    def __getattr__(self, name):
        return getattr(self.images, name)

    def by_halves(self, count, half, some=slice(None)):
        for number, batch in self.images.by_halves(count, half, some):
            slices = self.volume.backend.project(self.volume.coefs, batch.rotations, count)
            view = torch.complex(slices[:, :, 0, 0], slices[:, :, 1, 0])
            amplitude = torch.as_tensor(self.amplitude[batch.index], dtype=view.real.dtype)[:, None]
            yield number, replace(batch, targets=batch.targets + amplitude * batch.weights * view)


def strongest(images, band) -> float:
    found = Directions.random(images, (3, 0), 0, pose_errors=False)
    for _ in range(12):
        _, _, found = improved(images, band, found)
    return float(found.information[0])


def test_a_part_that_is_worth_what_is_needed_is_seen_and_one_worth_half_of_it_is_not(seen):
    images, band, mean, parts = seen
    still = replace(band, moving=None)
    told = part_information(images, still, mean, parts, exactly_known(images))[SEEN]
    noise = strongest(images.of_noise(1), still)
    needed = needed_information(noise, ABOVE)
    sign = np.where(np.random.default_rng(2).random(images.n) < 0.5, -1, 1)
    volume = LinearModel.of(mean.backend, parts[SEEN : SEEN + 1])

    def over_noise(theta: float) -> float:
        return strongest(Planted(images.of_noise(2), volume, sign * np.sqrt(theta / told)), still) / noise

    assert over_noise(0.5 * needed) < ABOVE < over_noise(1.2 * needed)


def always(needed: float):
    """The same information for every part."""
    return lambda parts, body: np.full(len(parts), needed)


def test_parts_that_are_rarely_absent_have_to_be_larger_to_be_seen(seen):
    images, band, mean, parts = seen
    nuisances = Nuisances.unknown(images)
    told = part_information(images, band, mean, parts, nuisances)
    found = smallest_parts(images, band, mean, nuisances, always(0.25 * float(told[3])), 4.0).share
    assert found[0.5] is not None and (found[0.1] is None or found[0.1] > 1.3 * found[0.5])
    assert smallest_parts(images, band, mean, nuisances, always(1e6), 4.0).share == {0.1: None, 0.5: None}
