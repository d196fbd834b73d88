"""What every registered pose search must do, whatever its way of searching. A new member is tested by being registered.

The volume is a sum of Gaussians and the images are its own slices, so nothing but the search can be wrong.
"""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import PoseConfig, recipe_config
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.geometry import so3_grid
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices
from cryodrgn_plugin.engine.imaging.formation import ImageFormation
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.decoder_score import DecoderScore
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedBatch
from cryodrgn_plugin.engine.poses.strategy_registry import STRATEGIES, make_pose_inference

BOX, PIXEL_ANG, N = 24, 4.0, 8
LATTICE = HalfPlane(BOX, BOX // 2 - 1)
SETTINGS = {"first_radius": 5, "last_radius": 11, "spacing_deg": 30.0, "levels": 3, "kept": 24, "shift_steps": 5}
FINEST_DEG, SHIFT_PX = 30.0 / 2**3, 2.0

pytestmark = pytest.mark.parametrize("name", STRATEGIES)


def blob_decoder():
    """One map of Gaussian blobs, far from symmetric."""
    decoder = make_decoder(recipe_config("homogeneous", {"decoder.padding": 2.0}), BOX)
    rng = np.random.default_rng(0)
    z, y, x = np.indices((BOX, BOX, BOX)) - BOX // 2
    volume = np.zeros((BOX, BOX, BOX), dtype=np.float32)
    for cz, cy, cx in rng.uniform(-5, 5, (7, 3)):
        volume += np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 3.0).astype(np.float32)
    decoder.set_volumes(volume[None])
    return decoder.eval()


def planted(snr: float, seed: int = 1):
    """The decoder, N whitened images with CTF-like weights and unit noise, their rotations and shifts in angstrom."""
    rng = np.random.default_rng(seed)
    rotations = random_matrices(N, rng).astype(np.float32)
    shifts_ang = rng.uniform(-SHIFT_PX, SHIFT_PX, (N, 2)).astype(np.float32) * PIXEL_ANG
    decoder = blob_decoder()
    formation = ImageFormation(LATTICE, PIXEL_ANG)
    ctf = np.cos(rng.uniform(0.005, 0.02, (N, 1)) * (LATTICE.indices**2).sum(1)).astype(np.float32)
    with torch.no_grad():
        slices = decoder.slices(None, torch.from_numpy(rotations)[:, None], LATTICE, LATTICE.size)
        clean = formation.observe(slices, torch.from_numpy(ctf), torch.from_numpy(shifts_ang)[:, None])[:, 0].numpy()
    noise = rng.standard_normal((2, N, LATTICE.size)) / np.sqrt(2)
    gain = np.sqrt(snr / np.mean(np.abs(clean) ** 2))
    decoder.set_volumes(gain * decoder.volume(None)[None])
    observed = gain * clean + noise[0] + 1j * noise[1]
    precision = LATTICE.multiplicity
    targets = (precision * ctf * observed).astype(np.complex64)
    weights = precision * ctf**2
    images = WhitenedBatch(*map(torch.from_numpy, (targets, weights)), torch.empty(N, 0, 3, 3), np.arange(N))
    return decoder, images, rotations, shifts_ang


def searched(name: str, decoder, images: WhitenedBatch, turn: np.ndarray | None = None, **overrides):
    config = PoseConfig(**{**SETTINGS, "inference": name, "shift_extent": SHIFT_PX / BOX, **overrides})
    return make_pose_inference(config, BOX, PIXEL_ANG, turn).infer(score_of(decoder, images))


def score_of(decoder, images: WhitenedBatch) -> DecoderScore:
    return DecoderScore(decoder, images, LATTICE, PIXEL_ANG)


@pytest.mark.parametrize(("snr", "most_deg", "most_px"), [(1e4, FINEST_DEG, 0.3), (1.0, 2 * FINEST_DEG, 0.6)])
def test_planted_poses_are_found(name, snr, most_deg, most_px):
    decoder, images, rotations, shifts_ang = planted(snr)
    found = searched(name, decoder, images).best
    errors_deg = angular_distance_deg(found.rotations[:, 0].numpy(), rotations)
    errors_px = np.linalg.norm(found.shifts_ang[:, 0].numpy() - shifts_ang, axis=1) / PIXEL_ANG
    # Between points of a grid the nearest is about half its spacing away.
    assert np.median(errors_deg) < 0.7 * most_deg and np.sort(errors_deg)[-2] < 1.2 * most_deg
    assert np.median(errors_px) < most_px


def test_candidates_come_best_first_with_the_score_they_have(name):
    decoder, images, _, _ = planted(1.0)
    found = searched(name, decoder, images)
    assert len(found.rotations) == len(found.shifts_ang) == N and 1 <= found.score.shape[1] <= SETTINGS["kept"]
    assert (found.score.diff(dim=1) <= 0).all()
    best = found.best
    again = score_of(decoder, images).own(best.rotations, best.shifts_ang[:, :, None], SETTINGS["last_radius"])
    np.testing.assert_allclose(again[:, 0, 0], found.score[:, 0], rtol=1e-4, atol=1e-2)


def test_images_are_searched_independently(name):
    decoder, images, _, _ = planted(1.0)
    whole = searched(name, decoder, images).best
    few = searched(name, decoder, images.at(np.arange(3))).best
    np.testing.assert_allclose(few.rotations, whole.rotations[:3], atol=1e-5)
    np.testing.assert_allclose(few.shifts_ang, whole.shifts_ang[:3], atol=1e-4)


def test_a_turned_grid_finds_the_same_poses(name):
    decoder, images, rotations, _ = planted(1e4)
    turn = random_matrices(1, np.random.default_rng(5))[0]
    straight, turned = (searched(name, decoder, images, own).best.rotations[:, 0].numpy() for own in (None, turn))
    assert np.median(angular_distance_deg(turned, rotations)) < 0.7 * FINEST_DEG
    assert np.abs(turned - straight).max() > 1e-3


def test_a_search_without_levels_takes_the_best_of_the_first_grid(name):
    decoder, images, _, _ = planted(1.0)
    found = searched(name, decoder, images, levels=0, shift_steps=1, first_radius=11)
    grid = so3_grid.grid(so3_grid.level_for(SETTINGS["spacing_deg"]))
    values = score_of(decoder, images).shared(torch.tensor(grid), torch.zeros(1, 2), SETTINGS["last_radius"])
    np.testing.assert_allclose(found.best.rotations[:, 0], grid[values[:, :, 0].argmax(1)], atol=1e-6)
    assert found.best.shifts_ang.abs().max() == 0
