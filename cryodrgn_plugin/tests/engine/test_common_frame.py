"""Conformations whose maps were turned, moved and mirrored are brought into the frame of the part that stays."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import bare_model
from cryodrgn_plugin.engine.geometry.hand import mirrored_map, mirrored_rotations
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.reconstruction import common_frame as frames
from cryodrgn_plugin.engine.reconstruction.common_frame import CommonFrame, common_frame, stillness
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform

pytestmark = pytest.mark.slow

BOX, PIXEL_ANG = 28, 5.5
ANGLES_DEG = (0.0, 45.0, 90.0)
MIRRORED = (False, True, False)
TURNS_DEG = 12.0
"""What a map was turned by: about what images leave open where the molecule turns after its arm."""


def conformations() -> list[np.ndarray]:
    """A body, and an arm of a third of its size that turns about a hinge."""
    rng = np.random.default_rng(4)
    body = rng.normal(0, [18, 14, 10], (60, 3)) - [0, 0, 15]
    arm = rng.normal(0, [5, 5, 12], (20, 3)) + [0, 0, 26]
    maps = []
    for angle_deg in ANGLES_DEG:
        turned = Rotation.from_rotvec([0, np.radians(angle_deg), 0]).apply(arm - [0, 0, 10]) + [0, 0, 10]
        atoms = bare_model(np.concatenate([body, turned]))
        maps.append(AtomProjector(atoms, BOX, PIXEL_ANG, 12.0, np.zeros(3)).volume())
    return maps


@pytest.fixture(scope="module")
def planted():
    """Maps, and for each the rotation and origin at which the true map's points lie in it before its mirror."""
    rng, found, turns, origins = np.random.default_rng(5), [], [], []
    for volume, mirrored in zip(conformations(), MIRRORED, strict=True):
        turn = Rotation.from_rotvec(np.radians(TURNS_DEG) * rng.normal(size=3) / np.sqrt(3)).as_matrix()
        origin_px = rng.normal(0, 1, 3)
        moved = moved_volume(padded_transform(volume), turn, -turn @ origin_px, BOX)
        found.append(mirrored_map(moved) if mirrored else moved)
        turns.append(turn)
        origins.append(origin_px)
    return found, np.stack(turns), np.stack(origins)


def test_poses_against_conformers_agree_in_the_common_frame(planted):
    maps, turns, origins_px = planted
    rng = np.random.default_rng(6)
    true, shifts_ang, which = random_matrices(200, rng), rng.normal(0, 5, (200, 2)), rng.integers(0, len(maps), 200)
    against = true @ np.swapaxes(turns[which], 1, 2)
    moved_ang = shifts_ang + np.einsum("nij,nj->ni", true[:, :2], origins_px[which] * PIXEL_ANG)
    against = np.where(np.array(MIRRORED)[which, None, None], mirrored_rotations(against), against)
    before = align_poses(against, true, moved_ang, shifts_ang)
    frame = common_frame(maps, 1, BOX // 2 - 2)
    poses = frame.of_poses(which, against, moved_ang, BOX * PIXEL_ANG)
    after = align_poses(poses[0], true, poses[1], shifts_ang)
    assert (frame.mirrored == (np.array(MIRRORED) != MIRRORED[1])).all()
    assert after.angle_deg.max() < 3 < np.median(before.angle_deg)
    assert after.shift_error_ang.max() < 0.5 * PIXEL_ANG
    still = [frame.of_map(each, volume) for each, volume in enumerate(maps)]
    alike = [np.corrcoef(still[1].ravel(), other.ravel())[0, 1] for other in (maps[0], still[0])]
    assert alike[1] > 0.6 > alike[0]


def test_what_stands_still_is_told_from_what_moves():
    maps = conformations()
    weight = stillness(maps)
    body, arm = np.prod(maps, axis=0) > 0.05 * np.prod(maps, axis=0).max(), maps[0] - maps[2] > 0.5 * maps[0].max()
    assert np.average(weight, weights=body) > 0.6 > 0.2 > np.average(weight, weights=arm)
    np.testing.assert_array_equal(stillness(maps[:1]), 1.0)
    finer = [np.kron(volume, np.ones((2, 2, 2), np.float32)) for volume in maps]
    assert np.abs(stillness(finer, 2.0)[::2, ::2, ::2] - weight).max() < 0.2


def test_a_map_that_was_joined_the_wrong_way_round_is_placed_anew():
    maps = conformations()
    upside_down = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix()
    frame = CommonFrame(np.stack([np.eye(3), upside_down, np.eye(3)]), np.zeros((3, 3)), np.array([0, 1, 0], bool), BOX)
    placed = [frame.of_map(each, volume) for each, volume in enumerate(maps)]
    frames._place_anew(frame, maps, placed, 1, BOX // 2 - 2)
    assert not frame.mirrored[1]
    assert np.degrees(Rotation.from_matrix(frame.rotations[1]).magnitude()) < 10
    before = frame.rotations.copy()
    frames._place_anew(frame, maps, placed, 1, BOX // 2 - 2)
    assert np.abs(frame.rotations - before).max() < 0.01


def test_one_map_is_its_own_frame():
    frame = common_frame(conformations()[:1], 0, 8)
    np.testing.assert_array_equal(frame.rotations, np.eye(3)[None])
    assert not frame.mirrored.any() and not frame.origins_px.any()
