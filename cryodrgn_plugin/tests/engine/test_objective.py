"""The loss against closed forms: noise costs one, the divergence is the textbook's, candidate poses marginalise."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import DecoderConfig, EncoderConfig, TrainingConfig
from cryodrgn_plugin.engine.data.batch import ImageBatch, Pose
from cryodrgn_plugin.engine.data.step_draws import StepDraws
from cryodrgn_plugin.engine.decoders.coordinate_mlp import MlpDecoder
from cryodrgn_plugin.engine.encoders.image_mlp import MlpEncoder
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.networks.objective import VaeObjective
from cryodrgn_plugin.engine.networks.point_sampling import PointSampler
from cryodrgn_plugin.engine.networks.rate_schedule import learning_rate, prior_weight

LATTICE = HalfPlane(16, 7)
FORMATION = ImageFormation(LATTICE, 3.0)
SIGMA2 = torch.linspace(1, 4, LATTICE.size)[None]
COMPLEX = DecoderConfig(kind="mlp", width=16, layers=1, output="complex")


class Silent(MlpDecoder):
    """A decoder of the empty volume."""

    def slices_at(self, z, rotations, freqs):
        return 0 * super().slices_at(z, rotations, freqs)


def objective(decoder_class=MlpDecoder, **options) -> VaeObjective:
    torch.manual_seed(0)
    encoder = MlpEncoder(EncoderConfig(width=16, layers=1), torch.ones(LATTICE.size), 2)
    return VaeObjective(decoder_class(COMPLEX, 16, 2), encoder, FORMATION, 1 / SIGMA2, **options)


def noise_batch(count: int = 6, candidates: int = 1) -> ImageBatch:
    """Images of pure noise of variance `SIGMA2`."""
    rng = np.random.default_rng(0)
    noise = torch.randn(count, LATTICE.size, 2, generator=torch.Generator().manual_seed(1))
    spectra = torch.view_as_complex(noise) * (SIGMA2 / 2).sqrt()
    rotations = torch.as_tensor(random_matrices(count * candidates, rng), dtype=torch.float32)
    shifts = torch.as_tensor(rng.uniform(-4, 4, (count, candidates, 2)), dtype=torch.float32)
    pose = Pose(rotations.reshape(count, candidates, 3, 3), shifts)
    ctf = torch.as_tensor(rng.uniform(-1, 1, (count, LATTICE.size)), dtype=torch.float32)
    return ImageBatch(torch.arange(count), spectra, ctf, pose, torch.zeros(count, dtype=torch.int64))


def test_noise_explained_by_an_empty_volume_costs_one():
    terms = objective(Silent).evaluate(noise_batch(count=200), beta=0.0)
    assert terms.reconstruction == pytest.approx(1, abs=0.02)
    assert terms.total == terms.reconstruction


def test_the_divergence_is_divided_by_the_pixels():
    terms = objective().evaluate(noise_batch(), beta=0.5)
    pixels = LATTICE.multiplicity.sum()
    assert (terms.total - terms.reconstruction) == pytest.approx(0.5 * terms.divergence.item() / pixels, rel=1e-4)


def test_equal_candidate_poses_cost_what_one_costs():
    loss, one = objective(), noise_batch(candidates=1)
    pose = Pose(one.pose.rotations.repeat(1, 3, 1, 1), one.pose.shifts_ang.repeat(1, 3, 1))
    torch.testing.assert_close(
        loss.evaluate(replace(one, pose=pose), 0.0).total, loss.evaluate(one, 0.0).total, rtol=1e-5, atol=0
    )


def test_a_bad_candidate_pose_costs_at_most_its_share_of_the_prior():
    loss, two = objective(), noise_batch(count=1, candidates=2)
    first = replace(two, pose=Pose(two.pose.rotations[:, :1], two.pose.shifts_ang[:, :1]))
    limit = loss.evaluate(first, 0.0).total + math.log(2) * 2 / LATTICE.multiplicity.sum()
    assert loss.evaluate(two, 0.0).total <= limit + 1e-6


def test_shifted_images_cost_what_centred_images_cost():
    loss, batch = objective(), noise_batch()
    centred = loss.centred(batch)
    assert centred.pose.shifts_ang.abs().max() == 0
    torch.testing.assert_close(loss.evaluate(centred, 0.3).total, loss.evaluate(batch, 0.3).total)


def test_a_part_of_the_points_has_the_same_expectation():
    sampler = PointSampler((1 / SIGMA2).sqrt(), 0.3)
    whole, part = objective(), objective(sampler=sampler)
    batch = noise_batch()
    z = torch.zeros(len(batch), 2)
    wanted = whole._misfit(whole.centred(batch), z)
    draws = [
        part._sampled_misfit(part.centred(batch), z, StepDraws(torch.Generator().manual_seed(seed))).detach()
        for seed in range(600)
    ]
    draws = torch.stack(draws)
    assert ((draws.mean(0) - wanted).abs() < 5 * draws.std(0) / math.sqrt(600)).all()


def test_gradients_agree_with_finite_differences():
    loss = objective().double()
    loss._weights, loss._formation = loss._weights.double(), ImageFormation(LATTICE, 3.0)
    batch = noise_batch(count=3)
    pose = Pose(batch.pose.rotations.double(), batch.pose.shifts_ang.double())
    batch = replace(batch, spectra=batch.spectra.to(torch.complex128), ctf=batch.ctf.double(), pose=pose)
    value = loss.evaluate.__wrapped__(loss, batch, 0.7).total
    parameters = list(loss.parameters())
    gradients = torch.autograd.grad(value, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        values = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                parameter.add_(step * direction)
            values.append(loss.evaluate(batch, 0.7).total.item())
        with torch.no_grad():
            parameter.add_(1e-6 * direction)
        assert (gradient * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-3, abs=1e-8)


def test_schedules_start_at_the_rate_and_end_where_they_say():
    rate = {
        name: [learning_rate(TrainingConfig(schedule=name, epochs=9, learning_rate=0.1), t) for t in (0, 4.5, 9)]
        for name in ("constant", "cosine", "step")
    }
    assert rate["constant"] == [0.1, 0.1, 0.1]
    assert rate["cosine"] == pytest.approx([0.1, 0.0505, 0.001])
    assert rate["step"] == pytest.approx([0.1, 0.1, 0.01])


def test_the_prior_warms_up_to_one_over_the_latent_dimensions():
    config = TrainingConfig(warmup_epochs=2)
    assert [prior_weight(config, 4, t) for t in (0, 1, 2, 9)] == [0, 0.125, 0.25, 0.25]
    assert prior_weight(TrainingConfig(warmup_epochs=0, beta=3.0), 4, 0) == 3.0
