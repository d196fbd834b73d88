"""Scores of poses against a decoder: likelihoods as the image model has them, whichever way they are asked for."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.decoder_registry import DECODERS, make_decoder
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.decoder_score import DecoderScore
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedBatch
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.tests.contracts.needed_settings import settings_of

BOX, PIXEL_ANG, Z_DIM, N = 16, 3.0, 2, 3
LATTICE = HalfPlane(BOX, BOX // 2 - 1)
RNG = np.random.default_rng(0)
SPECTRA = (RNG.standard_normal((N, LATTICE.size)) + 1j * RNG.standard_normal((N, LATTICE.size))).astype(np.complex64)
CTF = RNG.uniform(-1, 1, (N, LATTICE.size)).astype(np.float32)
PRECISION = (LATTICE.multiplicity * RNG.uniform(0.5, 2.0, LATTICE.size)).astype(np.float32)
IMAGES = WhitenedBatch(
    torch.from_numpy(PRECISION * CTF * SPECTRA),
    torch.from_numpy(PRECISION * CTF**2),
    torch.empty(N, 0, 3, 3),
    np.arange(N),
)
ROTATIONS = torch.from_numpy(random_matrices(5, np.random.default_rng(1)).astype(np.float32))
SHIFTS_ANG = torch.from_numpy(np.random.default_rng(2).uniform(-5, 5, (4, 2)).astype(np.float32))
RADIUS = 5.5


def some_decoder(name: str, z_dim: int):
    overrides = {"z_dim": z_dim, "decoder.kind": name, "decoder.width": 16, "decoder.n_bases": 2 if z_dim else 0}
    decoder = make_decoder(recipe_config("fast", overrides | settings_of(name)), BOX)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return decoder.eval()


def latents(z_dim: int) -> torch.Tensor | None:
    return torch.randn(N, z_dim, generator=torch.Generator().manual_seed(3)) if z_dim else None


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("z_dim", [0, Z_DIM], ids=["one volume", "a volume for each image"])
def test_differences_of_scores_are_those_of_log_likelihoods(name, z_dim):
    decoder, z = some_decoder(name, z_dim), latents(z_dim)
    scores = DecoderScore(decoder, IMAGES, LATTICE, PIXEL_ANG, z).shared(ROTATIONS, SHIFTS_ANG, RADIUS)
    count, formation = LATTICE.count(RADIUS), ImageFormation(LATTICE, PIXEL_ANG)
    wanted = np.empty((N, len(ROTATIONS), len(SHIFTS_ANG)))
    with torch.no_grad():
        for r, t in np.ndindex(wanted.shape[1:]):
            views = ROTATIONS[r].expand(N, 1, 3, 3)
            shifts = SHIFTS_ANG[t].expand(N, 1, 2)
            slices = decoder.slices(z, views, LATTICE, count)
            predicted = formation.observe(slices, torch.from_numpy(CTF[:, :count]), shifts)[:, 0].numpy()
            wanted[:, r, t] = -0.5 * (PRECISION[:count] * np.abs(SPECTRA[:, :count] - predicted) ** 2).sum(1)
    misfit = scores.numpy() - wanted
    np.testing.assert_allclose(misfit, np.broadcast_to(misfit[:, :1, :1], misfit.shape), atol=2e-3 * np.ptp(wanted))
    # What is left out is the power of the image, which is what a perfect fit would win.
    power = 0.5 * (PRECISION[:count] * np.abs(SPECTRA[:, :count]) ** 2).sum(1)
    np.testing.assert_allclose(misfit[:, 0, 0], power, rtol=1e-3)


@pytest.mark.parametrize("z_dim", [0, Z_DIM])
def test_shared_and_own_candidates_score_alike(z_dim):
    score = DecoderScore(some_decoder("basis", z_dim), IMAGES, LATTICE, PIXEL_ANG, latents(z_dim))
    shared = score.shared(ROTATIONS, SHIFTS_ANG, RADIUS)
    own = score.own(ROTATIONS.expand(N, 5, 3, 3), SHIFTS_ANG.expand(N, 5, 4, 2), RADIUS)
    np.testing.assert_allclose(own, shared, rtol=1e-4, atol=1e-3)


def test_a_voxel_volume_scores_like_the_decoder_that_it_was_rendered_from():
    decoder = some_decoder("basis", 0)
    sphere = HalfSphere(BOX, 2.0, BOX // 2 - 1)
    model = LinearModel.of(Compute().backend(sphere, LATTICE), decoder.volume(None)[None])
    smooth = make_decoder(recipe_config("homogeneous", {"decoder.padding": 2.0}), BOX)
    smooth.set_volumes(decoder.volume(None)[None])
    exact = DecoderScore(smooth, IMAGES, LATTICE, PIXEL_ANG).shared(ROTATIONS, SHIFTS_ANG, RADIUS)
    linear = LinearScore(SliceBank(model), IMAGES.targets, IMAGES.weights, BOX * PIXEL_ANG)
    np.testing.assert_allclose(
        linear.shared(ROTATIONS, SHIFTS_ANG, RADIUS), exact, rtol=1e-3, atol=1e-3 * np.ptp(exact.numpy())
    )


def test_no_pose_gains_more_than_the_headroom_from_higher_frequencies():
    score = DecoderScore(some_decoder("basis", 0), IMAGES, LATTICE, PIXEL_ANG)
    rotations = torch.from_numpy(random_matrices(200, np.random.default_rng(4)).astype(np.float32))
    gains = score.shared(rotations, SHIFTS_ANG, 7.0) - score.shared(rotations, SHIFTS_ANG, 3.0)
    assert (gains <= score.headroom(3.0, 7.0)[:, None, None] + 1e-3).all()
    band = slice(LATTICE.count(3.0), LATTICE.count(7.0))
    perfect = 0.5 * (PRECISION[band] * np.abs(SPECTRA[:, band]) ** 2).sum(1)
    np.testing.assert_allclose(score.headroom(3.0, 7.0), perfect, rtol=1e-4)
