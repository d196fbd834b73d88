"""Scores of a grid by the parts of slices that quarter turns keep are those of every rotation written out."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry import so3_grid
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.poses.hierarchical import square
from cryodrgn_plugin.engine.poses.inference import SharedPoses
from cryodrgn_plugin.engine.poses.scaled import ScaledScore
from cryodrgn_plugin.engine.slicing import turned_slices
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.slicing.turned_slices import frequency_pairs

BOX, KEPT = 16, 40
SHIFTS_ANG = torch.from_numpy(square(3.0, 3))


def score_of(images: int, n_volumes: int = 1) -> LinearScore:
    """Random images and volumes, with weights that no symmetry has."""
    rng, lattice = np.random.default_rng(images), HalfPlane(BOX, BOX // 2)
    volumes = rng.standard_normal((n_volumes, BOX, BOX, BOX)).astype(np.float32) / 30
    model = LinearModel.of(Compute().backend(HalfSphere(BOX, 1.5, BOX // 2), lattice), volumes)
    parts = rng.standard_normal((2, images, lattice.size)).astype(np.float32)
    weights = rng.uniform(0.1, 1, (images, lattice.size)).astype(np.float32)
    targets = (parts[0] + 1j * parts[1]).astype(np.complex64)
    return LinearScore(SliceBank(model), torch.from_numpy(targets), torch.from_numpy(weights), extent_ang=BOX * 2.0)


def poses_of(level: int) -> SharedPoses:
    turn = random_matrices(1, np.random.default_rng(0))[0].astype(np.float32)
    turns = torch.from_numpy(so3_grid.quarter_turns(level))
    return SharedPoses(torch.tensor(so3_grid.grid(level)) @ torch.from_numpy(turn), SHIFTS_ANG, turns)


def without_turns(poses: SharedPoses) -> SharedPoses:
    return SharedPoses(poses.rotations, poses.shifts_ang)


def test_rotations_of_a_grid_come_in_fours_that_are_turned_in_their_plane():
    turned = so3_grid.rotations_of(so3_grid.quarter_turns(1), 1)
    quarter = matrices_from_euler(np.array([[0.0, 0.0, 90.0]]))[0]
    for turn in range(3):
        np.testing.assert_allclose(turned[:, turn + 1], quarter @ turned[:, turn], atol=1e-6)
    assert sorted(so3_grid.quarter_turns(2).ravel()) == list(range(so3_grid.size(2)))
    assert so3_grid.quarter_turns(0) is None  # six angles are no multiple of four


@pytest.mark.parametrize("radius", [3, 7.5, BOX // 2])
def test_every_frequency_but_the_origin_is_in_a_pair_within_any_limit(radius):
    lattice = HalfPlane(BOX, BOX // 2)
    first, second, sign = frequency_pairs(lattice)[:, : lattice.count(radius) // 2]
    assert sorted([0, *first, *second]) == list(range(lattice.count(radius)))
    k = lattice.indices
    np.testing.assert_array_equal(k[second], sign[:, None] * np.stack([-k[first, 1], k[first, 0]], axis=1))


@pytest.mark.parametrize("level, radius, ratio", [(1, 5, 1.0), (1, BOX // 2, 1.0), (2, 3, 1.0), (1, 6, 1.1)])
def test_the_likeliest_poses_are_those_of_all_scores(level, radius, ratio):
    score = score_of(images=11)
    score = score if ratio == 1 else ScaledScore(score, ratio)
    quick, slow = (score.likeliest(poses, radius, KEPT) for poses in (poses_of(level), without_turns(poses_of(level))))
    np.testing.assert_allclose(quick.score, slow.score, atol=2e-4)
    # Scores may be equal to rounding, so that places are exchanged; what is at a place scores what it says.
    assert (quick.numbers == slow.numbers).float().mean() > 0.98
    every = score.shared(poses_of(level).rotations, SHIFTS_ANG, radius)
    at_places = every[torch.arange(11)[:, None], quick.numbers, quick.shifts]
    np.testing.assert_allclose(at_places, quick.score, atol=2e-4)


def test_an_image_is_the_same_in_any_batch_and_lot(monkeypatch):
    score, poses = score_of(images=20), poses_of(1)
    whole = score.likeliest(poses, 6, KEPT)
    monkeypatch.setattr(turned_slices, "IMAGES_AT_ONCE", 3)
    part = LinearScore(score.bank, score.targets[7:12], score.weights[7:12], score.extent_ang).likeliest(poses, 6, KEPT)
    for name in ("numbers", "shifts", "score"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[7:12]), name


def test_a_map_with_bases_is_compared_rotation_by_rotation():
    score = score_of(images=2, n_volumes=3)
    quick, slow = (score.likeliest(poses, 5, KEPT) for poses in (poses_of(1), without_turns(poses_of(1))))
    assert torch.equal(quick.score, slow.score) and torch.equal(quick.numbers, slow.numbers)


def test_slices_of_another_frequency_limit_or_grid_are_made_anew():
    score, (one, other) = score_of(images=2), (poses_of(1), poses_of(2))
    for poses, radius in ((one, 5), (one, 6), (other, 6), (one, 5)):
        again = LinearScore(SliceBank(score.bank.model), score.targets, score.weights, score.extent_ang)
        assert torch.equal(score.likeliest(poses, radius, 3).score, again.likeliest(poses, radius, 3).score)
