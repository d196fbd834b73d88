"""What every registered decoder must be, whatever stands behind it. A new member is tested by being registered.

Beside the members stands a decoder that follows docs/extending.md and is no member.
"""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.decoders.decoder import Decoder, LinearDecoder
from cryodrgn_plugin.engine.decoders.decoder_registry import DECODERS
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.tests.contracts.moving_blobs import MovingBlobs
from cryodrgn_plugin.tests.contracts.needed_settings import settings_of
from cryodrgn_plugin.tests.contracts.planted_motion import PlantedMotion

BOX, Z_DIM = 16, 2
LATTICE = HalfPlane(BOX, BOX // 2 - 1)
COUNT = LATTICE.size
LEARNT = 0.5
"""A decoder has learnt a motion when it leaves less than this of the error of the mean map."""

MEMBERS = {**DECODERS, "blobs": MovingBlobs}


pytestmark = pytest.mark.parametrize("name", MEMBERS)


def some_decoder(name: str, seed: int = 0):
    """A small decoder whose volumes are smooth, far from symmetric, and depend on z."""
    overrides = {"z_dim": Z_DIM, "decoder.width": 16, "decoder.layers": 2, "decoder.n_bases": 3}
    overrides |= settings_of(name)
    decoder = MEMBERS[name].of(recipe_config("fast", {**overrides, "decoder.padding": 2.0}), BOX)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    if isinstance(decoder, LinearDecoder):
        decoder.set_volumes(blobs(4, seed))
    return decoder


def blobs(count: int, seed: int) -> np.ndarray:
    """(count, D, D, D) float32: a few Gaussian blobs at random places near the centre."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((BOX, BOX, BOX)) - BOX // 2
    volumes = np.zeros((count, BOX, BOX, BOX), dtype=np.float32)
    for volume in volumes:
        for cz, cy, cx in rng.uniform(-3, 3, (4, 3)):
            volume += np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 3.0).astype(np.float32)
    return volumes


def rotations(count: int, candidates: int = 1, seed: int = 1) -> torch.Tensor:
    matrices = random_matrices(count * candidates, np.random.default_rng(seed))
    return torch.as_tensor(matrices, dtype=torch.float32).reshape(count, candidates, 3, 3)


def latents(count: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(count, Z_DIM, generator=torch.Generator().manual_seed(seed))


def relative_error(found, wanted) -> float:
    found, wanted = np.asarray(found), np.asarray(wanted)
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_slice_at_identity_is_the_projection_along_z(name):
    decoder, z = some_decoder(name), latents(1)
    with torch.no_grad():
        found = decoder.slices(z, torch.eye(3)[None, None], LATTICE, COUNT)[0, 0]
    wanted = LATTICE.spectra(decoder.volume(z[0].numpy()).sum(axis=0))
    scale = np.vdot(wanted, found).real / np.vdot(wanted, wanted).real
    # At the nodes of its grid a voxel decoder shows its whole gridding correction: up to 5 % high, as in RELION.
    assert scale == pytest.approx(1, abs=0.06)
    assert relative_error(found, scale * wanted) < 0.02


def test_slices_at_any_rotation_are_the_fourier_sums_of_the_volume(name):
    decoder, z, poses = some_decoder(name), latents(1), rotations(4)
    with torch.no_grad():
        found = decoder.slices(z.expand(4, -1), poses, LATTICE, COUNT)[:, 0]
    volume = decoder.volume(z[0].numpy())
    error = relative_error(found, exact_slices(volume, poses[:, 0].numpy(), LATTICE))
    # A random network is not confined to its box, so the sum over the box is a little off between grid points.
    assert error < 0.25
    mirrored, transposed = exact_slices(volume[::-1], poses[:, 0].numpy(), LATTICE), poses[:, 0].mT.numpy()
    assert relative_error(found, mirrored) > 3 * error
    assert relative_error(found, exact_slices(volume, transposed, LATTICE)) > 3 * error


def test_volumes_depend_on_z(name):
    decoder = some_decoder(name)
    first, second = (decoder.volume(z.numpy()) for z in latents(2))
    assert first.shape == (BOX, BOX, BOX) and first.dtype == np.float32
    assert relative_error(first, second) > 0.01


def test_candidate_poses_are_independent_of_each_other(name):
    decoder, z, poses = some_decoder(name), latents(3), rotations(3, candidates=2)
    with torch.no_grad():
        together = decoder.slices(z, poses, LATTICE, COUNT)
        apart = [decoder.slices(z, poses[:, p : p + 1], LATTICE, COUNT) for p in range(2)]
    assert relative_error(together, torch.cat(apart, dim=1)) < 1e-5


def test_fewer_coefficients_are_a_prefix_of_all(name):
    decoder, z, poses = some_decoder(name), latents(2), rotations(2)
    count = LATTICE.count(4)
    with torch.no_grad():
        few, every = decoder.slices(z, poses, LATTICE, count), decoder.slices(z, poses, LATTICE, COUNT)
    assert few.shape[-1] == count < COUNT
    assert relative_error(few, every[..., :count]) < 1e-5


def test_gradients_agree_with_finite_differences(name):
    decoder = some_decoder(name).double()
    z, poses = latents(2).double().requires_grad_(), rotations(2).double().requires_grad_()
    generator = torch.Generator().manual_seed(5)
    target = torch.randn(2, 1, COUNT, 2, generator=generator, dtype=torch.float64)

    def objective(z, poses):
        return (torch.view_as_real(decoder.slices(z, poses, LATTICE, COUNT)) * target).sum()

    value = objective(z, poses)
    by_z, by_poses = torch.autograd.grad(value, [z, poses])
    for variable, gradient in ((z, by_z), (poses, by_poses)):
        direction = torch.randn(variable.shape, generator=generator, dtype=torch.float64)
        step = 1e-6 * direction
        ahead = objective(z + step, poses) if variable is z else objective(z, poses + step)
        behind = objective(z - step, poses) if variable is z else objective(z, poses - step)
        found = (gradient * direction).sum().item()
        assert found == pytest.approx(((ahead - behind) / 2e-6).item(), rel=1e-4, abs=1e-6)


def test_every_parameter_receives_a_gradient(name):
    decoder = some_decoder(name)
    slices = decoder.slices(latents(3), rotations(3), LATTICE, COUNT)
    torch.view_as_real(slices).square().sum().backward()
    for label, parameter in decoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.abs().sum() > 0, label


def test_its_state_makes_the_same_volume_again(name):
    decoder, again = some_decoder(name, seed=0), some_decoder(name, seed=7)
    z = latents(1)[0].numpy()
    assert relative_error(again.volume(z), decoder.volume(z)) > 0.01
    again.load_state_dict(decoder.state_dict())
    np.testing.assert_array_equal(again.volume(z), decoder.volume(z))


@pytest.fixture(scope="module")
def motion(tmp_path_factory) -> PlantedMotion:
    return PlantedMotion.simulated(tmp_path_factory.mktemp("motion"))


def learner(name: str) -> RunConfig:
    """A small decoder of one latent dimension."""
    return recipe_config("paper", {"z_dim": 1, "decoder.n_bases": 3, "decoder.width": 64, **settings_of(name)})


class Blind(Decoder):
    """A decoder that ignores z."""

    def __init__(self, inner: Decoder):
        super().__init__()
        self.inner, self.box, self.loss_weight = inner, inner.box, inner.loss_weight

    def prepare(self, statistics):
        self.inner.prepare(statistics)

    def slices(self, z, rotations, lattice, count):
        return self.inner.slices(torch.zeros_like(z), rotations, lattice, count)

    def volume(self, z):
        return self.inner.volume(np.zeros_like(z))


def test_it_learns_a_motion(name, motion):
    assert motion.unexplained(motion.trained(MEMBERS[name], learner(name))) < LEARNT


def test_a_decoder_that_ignores_z_would_not_count_as_learning(name, motion):
    assert motion.unexplained(motion.trained(MEMBERS[name], learner(name), Blind)) > 0.99


def test_what_it_says_it_can_do_it_can(name):
    decoder = some_decoder(name)
    assert decoder.stores_volumes == bool(decoder.stored_volumes())
    if decoder.takes_points:
        z, poses = latents(2), rotations(2)
        chosen = torch.tensor([[3, 11, COUNT - 1], [0, 5, 8]])
        freqs = torch.as_tensor(LATTICE.indices, dtype=torch.float32)[chosen][:, None]
        with torch.no_grad():
            points = decoder.slices_at(z, poses, freqs)[:, 0]
            every = decoder.slices(z, poses, LATTICE, COUNT)[:, 0]
        assert relative_error(points, every.gather(1, chosen)) < 1e-5


def test_a_closed_form_can_make_it_if_it_is_linear(name):
    if not issubclass(MEMBERS[name], LinearDecoder):
        return
    settings = {"z_dim": Z_DIM, "decoder.n_bases": Z_DIM, "decoder.padding": 2.0, "decoder.width": 16}
    decoder, z = MEMBERS[name].of(recipe_config("fast", settings), BOX), latents(1)
    volumes = blobs(Z_DIM + 1, seed=4)
    decoder.set_volumes(volumes)
    assert torch.equal(decoder.amplitudes(z), torch.cat([torch.ones(1, 1), z], dim=1))
    assert relative_error(decoder.basis_volumes(), volumes) < 0.05
    assert relative_error(decoder.volume(z[0].numpy()), volumes[0] + np.tensordot(z[0], volumes[1:], 1)) < 0.05
    for padding in (2.0, 1.5):
        sphere = HalfSphere(BOX, padding, BOX // 2 - 1)
        decoder.set_coefficients(sphere, sphere.from_volumes(volumes))
        assert relative_error(decoder.basis_volumes(), volumes) < 0.05


@pytest.mark.gpu
def test_the_gpu_gives_the_same_slices(name):
    decoder, z, poses = some_decoder(name), latents(2), rotations(2)
    with torch.no_grad():
        wanted = decoder.slices(z, poses, LATTICE, COUNT)
        found = decoder.cuda().slices(z.cuda(), poses.cuda(), LATTICE, COUNT)
    assert found.is_cuda
    assert relative_error(found.cpu(), wanted) < 1e-3
