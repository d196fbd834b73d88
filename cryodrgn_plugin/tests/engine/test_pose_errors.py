"""Planted frames, hands, origins and wrong poses, and what is found of them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.hand import MIRROR, mirrored_map, mirrored_rotations
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.exact import exact_slices

N = 600
ORIGIN_ANG = np.array([4.0, -7.0, 2.5])


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def true_poses(rng):
    return random_matrices(N, rng), rng.uniform(-9, 9, (N, 2))


def turned_by(degrees: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rotations by exactly this angle about random axes."""
    axes = rng.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(np.radians(degrees) * axes).as_matrix()


def in_another_frame(rotations, shifts_ang, frame):
    """Poses of the same images against a map that was turned by `frame`, with its origin at ORIGIN_ANG."""
    return rotations @ frame.T, shifts_ang + rotations[:, :2] @ ORIGIN_ANG


def test_another_frame_and_origin_are_no_error(true_poses, rng):
    frame = random_matrices(1, rng)[0]
    found = in_another_frame(*true_poses, frame)
    errors = align_poses(found[0], true_poses[0], found[1], true_poses[1])
    assert errors.angle_deg.max() < 1e-4 and errors.shift_error_ang.max() < 1e-6
    assert not errors.mirrored
    np.testing.assert_allclose(errors.rotation, frame, atol=1e-7)
    np.testing.assert_allclose(errors.origin_ang, ORIGIN_ANG, atol=1e-6)
    np.testing.assert_allclose(errors.shifts_ang, true_poses[1], atol=1e-6)


def test_the_other_hand_is_found_and_is_no_error(true_poses, rng):
    found = in_another_frame(*true_poses, random_matrices(1, rng)[0])
    errors = align_poses(mirrored_rotations(found[0]), true_poses[0], found[1], true_poses[1])
    assert errors.mirrored
    assert errors.angle_deg.max() < 1e-4 and errors.shift_error_ang.max() < 1e-6
    one_hand = align_poses(mirrored_rotations(found[0]), true_poses[0], found[1], true_poses[1], either_hand=False)
    assert np.median(one_hand.angle_deg) > 30


@pytest.mark.parametrize("scattered", [True, False])
def test_a_third_of_wrong_poses_does_not_spoil_the_fit(true_poses, rng, scattered):
    """Scattered at random, or all flipped by the same half turn with shifts gone wrong."""
    rotations = turned_by(2.0, N, rng) @ true_poses[0]
    shifts_ang = true_poses[1].copy()
    wrong = rng.permutation(N) < 0.3 * N
    flip = random_matrices(int(wrong.sum()), rng) if scattered else np.diag([1.0, -1.0, -1.0])
    rotations[wrong] = rotations[wrong] @ flip
    shifts_ang[wrong] += 30.0
    frame = random_matrices(1, rng)[0]
    found = in_another_frame(rotations, shifts_ang, frame)
    # The origin's part of a shift is seen in the true pose.
    found = found[0], shifts_ang + true_poses[0][:, :2] @ ORIGIN_ANG
    errors = align_poses(found[0], true_poses[0], found[1], true_poses[1])
    assert angular_distance_deg(errors.rotation, frame) < 0.3
    assert np.linalg.norm(errors.origin_ang - ORIGIN_ANG) < 0.05
    assert np.median(errors.angle_deg) == pytest.approx(2.0, abs=0.3)
    assert errors.share_within(5.0) == pytest.approx(0.7, abs=0.02)
    assert np.median(errors.shift_error_ang) < 0.1


def test_errors_are_those_that_were_planted(true_poses, rng):
    rotations = turned_by(10.0, N, rng) @ true_poses[0]
    offsets_ang = np.where(rng.integers(0, 2, (N, 1)) == 1, [3.0, 0.0], [-3.0, 0.0])
    summary = align_poses(rotations, true_poses[0], true_poses[1] + offsets_ang, true_poses[1]).summary(1.5)
    assert summary["median_angle_deg"] == pytest.approx(10.0, abs=0.5)
    assert summary["frobenius2_median"] == pytest.approx(4 * (1 - np.cos(np.radians(10))), rel=0.1)
    assert summary["median_shift_px"] == pytest.approx(2.0, abs=0.1)
    assert summary["median_shift_ang"] == pytest.approx(3.0, abs=0.15)
    assert summary["within_5_deg"] < 0.02 and summary["within_10_deg"] < 0.9


def test_random_poses_are_as_wrong_as_chance(true_poses, rng):
    """The median angle between random rotations is 132°; a fit to hundreds of them gains next to nothing."""
    errors = align_poses(random_matrices(N, rng), true_poses[0], true_poses[1], true_poses[1])
    assert 125 < np.median(errors.angle_deg) < 140
    assert errors.share_within(5.0) < 0.02


def test_squared_frobenius_is_that_of_the_matrices(true_poses, rng):
    errors = align_poses(turned_by(25.0, N, rng) @ true_poses[0], true_poses[0], true_poses[1], true_poses[1])
    written_out = ((errors.rotations - true_poses[0]) ** 2).sum((1, 2))
    np.testing.assert_allclose(errors.squared_frobenius, written_out, atol=1e-9)


def test_the_mirrored_map_gives_the_same_images_at_the_mirrored_poses(rng):
    volume = np.zeros((16, 16, 16))
    volume[2:15, 2:15, 2:15] = rng.normal(size=(13, 13, 13))
    lattice, rotations = HalfPlane(16, 7), random_matrices(5, rng)
    images = exact_slices(volume, rotations, lattice)
    mirrored = exact_slices(mirrored_map(volume), mirrored_rotations(rotations), lattice)
    np.testing.assert_allclose(mirrored, images, atol=1e-4 * np.abs(images).max())
    np.testing.assert_allclose(mirrored_rotations(rotations), MIRROR @ rotations @ MIRROR)
    other = exact_slices(mirrored_map(volume), rotations, lattice)
    assert np.abs(other - images).max() > 0.1 * np.abs(images).max()


def test_sets_of_different_length_are_refused(true_poses):
    with pytest.raises(DataError, match="600 found and 599 true"):
        align_poses(true_poses[0], true_poses[0][1:], true_poses[1], true_poses[1][1:])
