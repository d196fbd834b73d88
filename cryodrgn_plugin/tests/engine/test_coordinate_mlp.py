"""The coordinate network beyond its contract: encodings, both outputs, the fused layers, chosen points."""

import math

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import DecoderConfig
from cryodrgn_plugin.engine.decoders.coordinate_mlp import MlpDecoder, interpolate_shells
from cryodrgn_plugin.engine.decoders.encoding import EncodedPoints, gaussian_waves, geometric_waves
from cryodrgn_plugin.engine.decoders.residual_stack import fused_residual_stack, residual_stack
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane

BOX = 16
LATTICE = HalfPlane(BOX, 7)
QUARTER_TURN = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""View axes x', y', z' are the volume's y, z, x."""


def decoder(output: str, encoding: str = "gaussian", z_dim: int = 2) -> MlpDecoder:
    return MlpDecoder(DecoderConfig(kind="mlp", output=output, encoding=encoding, width=24, layers=2), BOX, z_dim)


def stack_parameters(views=3, points=50, waves=6, hidden=16, layers=3):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return (torch.randn(*shape, generator=generator) / math.sqrt(shape[-1])).requires_grad_()

    points = torch.randn(views, points, 2, generator=generator)
    waves = torch.randn(views, 2, waves, generator=generator)
    hidden_layers = [(random(hidden, hidden), random(hidden)) for _ in range(layers)]
    inputs = 2 * waves.shape[2]
    return (points, waves), (random(hidden, inputs), random(views, hidden), hidden_layers, random(2, hidden), random(2))


def flat(parameters):
    first, shift, layers, head, head_bias = parameters
    return [first, shift, head, head_bias, *(p for layer in layers for p in layer)]


@pytest.mark.parametrize("output", ["hartley", "complex"])
@pytest.mark.parametrize("encoding", ["gaussian", "geometric"])
def test_every_output_and_encoding_projects_along_the_axis_of_view(output, encoding):
    model, z = decoder(output, encoding), torch.tensor([[0.3, -1.0]])
    with torch.no_grad():
        found = model.slices(z, QUARTER_TURN[None, None], LATTICE, LATTICE.size)[0, 0]
    # vol[z, y, x] seen along x, with y to the right and z down.
    projection = model.volume(z[0].numpy()).sum(axis=2)
    np.testing.assert_allclose(found.numpy(), LATTICE.spectra(projection), atol=1e-5)


@pytest.mark.parametrize("output", ["hartley", "complex"])
def test_opposite_views_are_mirror_images(output):
    model, z = decoder(output), torch.zeros(1, 2)
    flip = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    with torch.no_grad():
        front, back = (model.slices(z, pose[None, None], LATTICE, LATTICE.size)[0, 0] for pose in (torch.eye(3), flip))
    front, back = LATTICE.images(front.numpy()), LATTICE.images(back.numpy())
    np.testing.assert_allclose(back[:, 1:], front[:, :0:-1], atol=1e-5)


def test_without_a_latent_it_is_one_volume():
    model = decoder("complex", z_dim=0)
    slices = model.slices(None, torch.eye(3)[None, None], LATTICE, LATTICE.size)
    wanted = LATTICE.spectra(model.volume(None).sum(axis=0))
    np.testing.assert_allclose(slices[0, 0].detach().numpy(), wanted, atol=1e-5)


def test_the_profile_scales_each_shell():
    model = decoder("complex")
    z, pose = torch.zeros(1, 2), torch.eye(3)[None, None]
    before = model.slices(z, pose, LATTICE, LATTICE.size)[0, 0]
    model.profile.copy_(torch.arange(len(model.profile)).float() + 2)
    after = model.slices(z, pose, LATTICE, LATTICE.size)[0, 0]
    radius = np.linalg.norm(LATTICE.indices, axis=1)
    np.testing.assert_allclose((after / before).detach().numpy()[1:], radius[1:] + 2, rtol=1e-3)
    assert interpolate_shells(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 7.0]))[0] == 2


def test_chosen_points_have_the_values_of_the_whole_slice():
    model = decoder("complex")
    z, poses = torch.randn(2, 2), torch.stack([QUARTER_TURN, torch.eye(3)])[:, None]
    chosen = torch.tensor([[3, 9, 40], [0, 1, 2]])
    freqs = torch.as_tensor(LATTICE.indices, dtype=torch.float32)[chosen][:, None]
    whole = model.slices(z, poses, LATTICE, LATTICE.size)
    torch.testing.assert_close(model.slices_at(z, poses, freqs), whole.gather(2, chosen[:, None]))


def test_wavelengths_of_the_geometric_encoding_run_from_the_box_to_the_nyquist_limit():
    waves = geometric_waves(64).norm(dim=1)
    # Thesis eq. 3.3: gamma from D pi to 2 pi over coordinates in [-0.5, 0.5], made 2 pi longer.
    assert waves.max() == pytest.approx(64 * math.pi / (2 * math.pi), rel=1e-5)
    assert waves.min() == pytest.approx(1.0, rel=1e-5)
    assert len(waves) == 3 * 32


def test_gaussian_features_have_their_spread_and_follow_the_seed():
    waves = gaussian_waves(64, torch.Generator().manual_seed(1))
    assert waves.std() == pytest.approx(16, rel=0.1)
    assert torch.equal(waves, gaussian_waves(64, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("rows", [7, 50, 120, 4096])
def test_fused_layers_equal_the_reference_with_gradients_in_parts_of_any_size(rows, monkeypatch):
    monkeypatch.setattr("cryodrgn_plugin.engine.decoders.residual_stack.ROWS_IN_CACHE", rows)
    points, parameters = stack_parameters()
    encoded = EncodedPoints(*points, torch.float32)
    target = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(1))
    plain = residual_stack(encoded.all_features(), *parameters)
    fused = fused_residual_stack(encoded, *parameters)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
    wanted = torch.autograd.grad((plain * target).sum(), flat(parameters))
    found = torch.autograd.grad((fused * target).sum(), flat(parameters))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_bfloat16_layers_are_within_their_rounding_of_the_reference():
    points, parameters = stack_parameters(points=400)
    plain = residual_stack(EncodedPoints(*points, torch.float32).all_features(), *parameters)
    fused = fused_residual_stack(EncodedPoints(*points, torch.bfloat16), *parameters)
    assert fused.dtype == torch.float32
    assert (fused - plain).norm() < 0.02 * plain.norm()
    wanted = torch.autograd.grad(plain.square().sum(), flat(parameters))
    found = torch.autograd.grad(fused.square().sum(), flat(parameters))
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()
