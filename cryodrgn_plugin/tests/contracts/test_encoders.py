"""What every registered encoder must be: a posterior per particle that its batch mates do not touch."""

import pytest
import torch

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.batch import ImageBatch
from cryodrgn_plugin.engine.data.step_draws import StepDraws
from cryodrgn_plugin.engine.encoders.encoder_registry import ENCODERS, make_encoder

N, COUNT, Z_DIM = 12, 40, 3

pytestmark = pytest.mark.parametrize("name", ENCODERS)


def some_encoder(name: str, seed: int = 0):
    torch.manual_seed(seed)
    config = recipe_config("fast", {"encoder.kind": name, "z_dim": Z_DIM, "encoder.width": 16})
    encoder = make_encoder(config, torch.full((COUNT,), 0.5), N)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return encoder


def some_batch(encoder, index) -> ImageBatch:
    """The images of particles `index`, one after the other; the same particle always has the same images."""
    per_particle = encoder.images_per_particle
    generator = torch.Generator().manual_seed(1)
    spectra = torch.randn(N * per_particle, COUNT, dtype=torch.complex64, generator=generator)
    ctf = torch.randn(N * per_particle, COUNT, generator=generator)
    images = (torch.as_tensor(index)[:, None] * per_particle + torch.arange(per_particle)).ravel()
    return ImageBatch(images, spectra[images], ctf[images], None, torch.zeros(len(images), dtype=torch.int64))


def test_every_particle_has_a_posterior(name):
    encoder = some_encoder(name)
    posterior = encoder.encode(some_batch(encoder, range(N)))
    assert posterior.mean.shape == posterior.log_var.shape == (N, Z_DIM)
    assert torch.isfinite(posterior.mean).all() and torch.isfinite(posterior.log_var).all()
    assert posterior.mean.std(dim=0).min() > 0


def test_a_posterior_depends_on_its_own_particle_alone(name):
    encoder = some_encoder(name)
    together, alone = (encoder.encode(some_batch(encoder, index)) for index in ([7, 2, 5], [5]))
    torch.testing.assert_close(together.mean[2:], alone.mean)
    torch.testing.assert_close(together.log_var[2:], alone.log_var)


def test_samples_have_the_mean_and_variance_of_the_posterior(name):
    encoder = some_encoder(name)
    with torch.no_grad():
        posterior = encoder.encode(some_batch(encoder, range(N)))
        generator = torch.Generator().manual_seed(3)
        draws = torch.stack([posterior.sample(StepDraws(generator)) for _ in range(4000)])
    spread = torch.exp(0.5 * posterior.log_var)
    assert ((draws.mean(0) - posterior.mean).abs() < 5 * spread / 4000**0.5).all()
    assert (draws.std(0) / spread - 1).abs().max() < 0.1


def test_the_divergence_is_zero_at_the_prior_and_grows_away_from_it(name):
    encoder = some_encoder(name)
    posterior = encoder.encode(some_batch(encoder, range(N)))
    prior = type(posterior)(torch.zeros(N, Z_DIM), torch.zeros(N, Z_DIM))
    assert prior.divergence().abs().max() == 0
    normal = torch.distributions.Normal(0.0, 1.0)
    mine = torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_var))
    wanted = torch.distributions.kl_divergence(mine, normal).sum(-1)
    torch.testing.assert_close(posterior.divergence(), wanted, rtol=1e-4, atol=1e-5)


def test_it_learns_where_particles_belong(name):
    encoder = some_encoder(name)
    batch = some_batch(encoder, range(N))
    target = torch.randn(N, Z_DIM, generator=torch.Generator().manual_seed(4))
    sparse = encoder.sparse_parameters()
    dense = [p for p in encoder.parameters() if all(p is not q for q in sparse)]
    optimisers = [torch.optim.SparseAdam(sparse, lr=0.02)] if sparse else []
    optimisers += [torch.optim.Adam(dense, lr=0.02)] if dense else []
    for _ in range(300):
        posterior = encoder.encode(batch)
        loss = (posterior.mean - target).square().mean() + (posterior.log_var + 2).square().mean()
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    assert loss < 0.05


def test_its_state_gives_the_same_posterior_again(name):
    encoder, again = some_encoder(name, 0), some_encoder(name, 9)
    batch = some_batch(encoder, range(N))
    assert not torch.equal(encoder.encode(batch).mean, again.encode(batch).mean)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder.encode(batch).mean, again.encode(batch).mean)
