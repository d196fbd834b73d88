"""Which particles a map rests on: their effective number, ties, and distances that are those between volumes."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.metric import LatentMetric
from cryodrgn_plugin.engine.decoders.basis import BasisDecoder
from cryodrgn_plugin.engine.decoders.restore import TrainedDecoder
from cryodrgn_plugin.engine.reconstruction.bandwidth import sizes_for
from cryodrgn_plugin.engine.reconstruction.kernel import effective_number, kernel_at
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.states.making import DecoderStates


@pytest.fixture(scope="module")
def linear():
    """A decoder of three bases whose amplitudes are a network of z, and latents of 300 particles."""
    decoder = BasisDecoder(HalfSphere(16, 1.0, 7), n_bases=3, z_dim=2, width=8)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.nn.init.normal_(decoder.network.head.weight, std=0.3)
    # The soft sphere in which distances are taken leaves what lies near the centre.
    axis = np.arange(16) - 8
    ball = np.exp(-(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2) / 8)
    decoder.set_volumes((np.random.default_rng(2).standard_normal((4, 16, 16, 16)) * ball).astype(np.float32))
    z = np.random.default_rng(3).standard_normal((300, 2)).astype(np.float32)
    return TrainedDecoder(decoder.eval(), None, 2.0), z


@pytest.mark.parametrize("wanted", [5, 50, 400])
def test_the_nearest_particles_are_taken_until_their_effective_number_is_reached(wanted):
    positions = np.random.default_rng(0).standard_normal((1000, 3))
    kernel = kernel_at(positions, np.array([0.3, 0, 0]), wanted)
    distance = np.linalg.norm(positions - [0.3, 0, 0], axis=1)
    nearest = np.sort(np.argsort(distance)[: len(kernel.index)])
    np.testing.assert_array_equal(kernel.index, nearest)
    assert wanted <= kernel.effective <= wanted + 1.5
    assert np.all(np.diff(kernel.weights[np.argsort(distance[kernel.index])]) <= 0)


@pytest.mark.parametrize("wanted", [30, 150, 190])
def test_a_gap_between_particles_does_not_bring_more_than_were_asked_for(wanted):
    """One particle beyond the gap would make those of the clump, of 200, count nearly alike all at once."""
    rng = np.random.default_rng(0)
    positions = np.concatenate([rng.standard_normal((200, 3)), rng.standard_normal((200, 3)) + [60, 0, 0]])
    kernel = kernel_at(positions, np.zeros(3), wanted)
    assert kernel.effective == pytest.approx(wanted, abs=1)
    assert kernel.index.max() < 200


def test_the_effective_number_says_how_far_noise_averages_out():
    weights = np.random.default_rng(1).uniform(0.1, 1, 60)
    noise = np.random.default_rng(2).standard_normal((60, 20_000))
    averaged = (weights / weights.sum()) @ noise
    assert effective_number(weights) == pytest.approx(1 / averaged.var(), rel=0.03)
    assert effective_number(np.ones(17)) == pytest.approx(17)


def test_particles_in_one_place_count_alike_and_are_drawn_by_the_seed():
    positions = np.zeros((500, 2))
    kernels = [kernel_at(positions, np.zeros(2), 100, seed) for seed in (0, 0, 1)]
    assert all(len(kernel.index) == 100 and np.all(kernel.weights == 1) for kernel in kernels)
    np.testing.assert_array_equal(kernels[0].index, kernels[1].index)
    assert not np.array_equal(kernels[0].index, kernels[2].index)


def test_more_than_all_particles_are_all_of_them():
    assert len(kernel_at(np.arange(10.0)[:, None], np.zeros(1), 99).index) == 10


def test_distances_are_those_between_the_volumes_where_they_are_linear(linear):
    decoder, z = linear
    metric = LatentMetric(decoder, z)
    here, there = metric.at(z[:4]), metric.positions
    for i in range(4):
        apart = [np.linalg.norm(decoder.volume(z[i]) - decoder.volume(z[j])) for j in (7, 50, 299)]
        found = np.linalg.norm(here[i] - there[[7, 50, 299]], axis=1)
        np.testing.assert_allclose(found / found[0], np.array(apart) / apart[0], rtol=0.05)


def test_other_decoders_get_latents_of_unit_variance_in_every_direction():
    z = np.random.default_rng(4).standard_normal((2000, 3)) @ np.array([[5, 0, 0], [3, 1, 0], [0, 0, 0.1]])
    positions = LatentMetric(object(), z).positions
    np.testing.assert_allclose(np.cov(positions.T), np.eye(3), atol=0.02)


def test_the_effective_number_of_a_decoders_map_is_that_of_its_weights_on_the_images(linear):
    decoder, z = linear
    terms = decoder.linear()[0].amplitudes(torch.from_numpy(z)).detach().numpy().astype(np.float64)
    weights = terms @ np.linalg.inv(terms.T @ terms) @ terms[5]
    assert DecoderStates(decoder, z).at(z[5]).effective == pytest.approx(effective_number(weights), rel=1e-3)


@pytest.mark.parametrize(
    ("count", "sizes"), [(40, [20]), (1000, [100, 200, 400]), (10**6, [100 * 2**k for k in range(7)])]
)
def test_sizes_double_up_to_half_of_the_particles(count, sizes):
    assert sizes_for(count) == sizes
