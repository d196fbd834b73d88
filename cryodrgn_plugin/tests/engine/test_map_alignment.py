"""Maps that were turned, moved, mirrored and blurred by a known amount are brought back."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import bare_model
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.hand import mirrored_map, mirrored_rotations
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices
from cryodrgn_plugin.engine.reconstruction import map_alignment, map_overlap
from cryodrgn_plugin.engine.reconstruction.map_alignment import align_maps
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform

pytestmark = pytest.mark.slow

BOX = 24
TURN = Rotation.from_rotvec([0.8, -1.7, 0.9]).as_matrix()
ORIGIN_PX = np.array([1.5, -2.25, 0.75])


@pytest.fixture(scope="module")
def reference():
    places_ang = np.random.default_rng(1).normal(0, [20, 15, 11], (40, 3))
    return AtomProjector(bare_model(places_ang), BOX, 6.0, 20.0, np.zeros(3)).volume()


@pytest.fixture(scope="module")
def found(reference):
    """The reference with its point r at TURN (r − ORIGIN_PX)."""
    return moved_volume(padded_transform(reference), TURN, -TURN @ ORIGIN_PX, BOX)


def test_a_turned_and_moved_map_is_brought_back(found, reference):
    alignment = align_maps(found, reference)
    assert angular_distance_deg(alignment.rotation, TURN) < 0.1
    np.testing.assert_allclose(alignment.origin_px, ORIGIN_PX, atol=0.02)
    assert not alignment.mirrored
    assert alignment.curve[1 : BOX // 2 - 1].min() > 0.99
    assert np.corrcoef(alignment.volume.ravel(), reference.ravel())[0, 1] > 0.999


@pytest.mark.filterwarnings("error")
def test_a_shell_of_which_no_coefficient_was_drawn_does_not_matter(found, reference, monkeypatch):
    monkeypatch.setattr(map_overlap, "_FREQUENCIES", 150)
    overlap = map_overlap.Overlap(padded_transform(found), padded_transform(reference), BOX // 2 - 1)
    assert len(np.unique(overlap.shell)) < overlap.shell.max() + 1
    assert 0.8 < overlap(TURN, ORIGIN_PX) < 1.2


def test_the_slope_of_the_correlation_is_that_of_finite_differences(found, reference):
    overlap = map_overlap.Overlap(padded_transform(found), padded_transform(reference), BOX // 2 - 1)
    turn, origin_px = TURN @ Rotation.from_rotvec([0.1, -0.05, 0.08]).as_matrix(), ORIGIN_PX + [0.4, 0.2, -0.3]

    def value(step: np.ndarray) -> float:
        return overlap(turn @ Rotation.from_rotvec(step[:3]).as_matrix(), origin_px + step[3:])

    slopes = [(value(step) - value(-step)) / 2e-3 for step in 1e-3 * np.eye(6)]
    found_value, gradient = overlap.with_gradient(turn, origin_px)
    assert found_value == pytest.approx(value(np.zeros(6)))
    np.testing.assert_allclose(gradient, slopes, atol=2e-3 * np.abs(slopes).max())


@pytest.mark.parametrize("size", [1e-6, 0.3, 2.0])
def test_a_step_after_a_rotation_is_a_step_of_its_vector(size):
    vector, step = size * np.array([0.6, 0.0, -0.8]), 1e-5 * np.array([1.0, -2.0, 0.5])
    after = Rotation.from_rotvec(vector).inv() * Rotation.from_rotvec(vector + step)
    np.testing.assert_allclose(map_overlap._turned_further(vector) @ step, after.as_rotvec(), atol=1e-9)


def test_the_other_hand_is_told(found, reference):
    alignment = align_maps(mirrored_map(found), reference)
    assert alignment.mirrored
    assert angular_distance_deg(alignment.rotation, TURN) < 0.1
    np.testing.assert_allclose(alignment.origin_px, ORIGIN_PX, atol=0.02)
    one_hand = align_maps(mirrored_map(found), reference, either_hand=False)
    assert one_hand.correlation < 0.8 * alignment.correlation


def test_starts_that_lead_to_one_place_do_not_crowd_out_the_other_hand():
    turns = Rotation.from_rotvec(np.radians([[0, 0, 0], [0, 3, 0], [4, 0, 0], [0, 0, 1], [0, 40, 0]])).as_matrix()
    placements = [(hand, turn, np.zeros(3)) for hand, turn in zip((1, 1, 1, 0, 1), turns, strict=True)]
    kept = map_alignment._distinct(placements)
    assert [any(each is other for other in kept) for each in placements] == [True, False, False, True, True]


def test_noise_and_another_sharpening_do_not_matter(found, reference):
    rng = np.random.default_rng(3)
    blurred = 17 * gaussian_filter(found, 0.7)
    noisy = blurred + gaussian_filter(rng.normal(size=found.shape), 0.5) * 0.5 * blurred.std()
    alignment = align_maps(noisy, reference)
    assert angular_distance_deg(alignment.rotation, TURN) < 2.0
    np.testing.assert_allclose(alignment.origin_px, ORIGIN_PX, atol=0.2)


def test_maps_and_poses_tell_the_same_frame(found, reference):
    """Poses of images against the found map, fitted to those against the reference, give the same G, o and hand."""
    rng = np.random.default_rng(5)
    true, shifts_px = random_matrices(50, rng), rng.normal(size=(50, 2))
    in_found = mirrored_rotations(true @ TURN.T), shifts_px + true[:, :2] @ ORIGIN_PX
    errors = align_poses(in_found[0], true, in_found[1], shifts_px)
    alignment = align_maps(mirrored_map(found), reference)
    assert errors.mirrored and alignment.mirrored
    assert angular_distance_deg(errors.rotation, alignment.rotation) < 0.1
    np.testing.assert_allclose(errors.origin_ang, alignment.origin_px, atol=0.02)


def test_maps_of_different_size_are_refused(found):
    with pytest.raises(DataError, match="same, even size"):
        align_maps(found, found[:20, :20, :20])
