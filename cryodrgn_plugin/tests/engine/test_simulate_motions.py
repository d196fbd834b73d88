"""Motions keep what should be still still, carry what moves rigidly, and end where they should."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, bare_model, coarse, matched
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.simulate.map_motions import cropped_map, hinge_in_mask
from cryodrgn_plugin.engine.simulate.motions import (
    best_fit,
    domain_path,
    hinge_rotation,
    likely_hinge,
    superposed,
    trajectory,
)
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector
from cryodrgn_plugin.engine.simulate.selections import selected


@pytest.fixture
def chain():
    """A body of 40 atoms and an arm of 20 beside it, numbered from 1."""
    rng = np.random.default_rng(0)
    body, arm = rng.normal(0, 8, (40, 3)), rng.normal(0, 3, (20, 3)) + [0, 0, 26]
    return bare_model(np.concatenate([body, arm]))


def distances(coords: np.ndarray) -> np.ndarray:
    return np.linalg.norm(coords[:, None] - coords[None], axis=-1)


def test_best_fit_recovers_a_planted_rigid_motion():
    rng = np.random.default_rng(1)
    points, rotation = rng.normal(size=(30, 3)), Rotation.random(random_state=2).as_matrix()
    found, translation = best_fit(points, points @ rotation.T + [1, 2, 3])
    np.testing.assert_allclose(found, rotation, atol=1e-10)
    np.testing.assert_allclose(translation, [1, 2, 3], atol=1e-10)


def test_a_hinge_turns_its_domain_by_the_angle_and_leaves_the_rest(chain):
    arm = selected(chain, "41-60")
    turned = hinge_rotation(chain, arm, [0, 0, 10], [1, 0, 0], [0.0, 0.5])[1]
    np.testing.assert_array_equal(turned.coords_ang[~arm], chain.coords_ang[~arm])
    rotation, translation = best_fit(chain.coords_ang[arm], turned.coords_ang[arm])
    np.testing.assert_allclose(Rotation.from_matrix(rotation).as_rotvec(), [0.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(rotation @ [5, 0, 10] + translation, [5, 0, 10], atol=1e-9)


def test_the_path_between_two_conformations_ends_in_them_and_keeps_the_domain_rigid(chain):
    arm = selected(chain, "41-60")
    opened = hinge_rotation(chain, arm, [0, 0, 10], [0, 1, 0], [1.4])[0]
    somewhere = Rotation.random(random_state=5).as_matrix()
    moved = opened.moved(opened.coords_ang @ somewhere.T + [30, -4, 7])
    path = domain_path(chain, moved, ~arm, [arm], [0, 0.5, 1])
    np.testing.assert_allclose(path[0].coords_ang, chain.coords_ang, atol=1e-9)
    np.testing.assert_allclose(path[2].coords_ang, opened.coords_ang, atol=1e-9)
    half = hinge_rotation(chain, arm, [0, 0, 10], [0, 1, 0], [0.7])[0]
    np.testing.assert_allclose(path[1].coords_ang, half.coords_ang, atol=1e-9)


def test_without_domains_the_path_is_straight(chain):
    last = chain.moved(chain.coords_ang + np.random.default_rng(1).normal(size=(60, 3)))
    core = np.ones(60, dtype=bool)
    middle = domain_path(chain, last, core, [], [0.5])[0]
    expected = (chain.coords_ang + superposed(last.coords_ang, chain.coords_ang, core)) / 2
    np.testing.assert_allclose(middle.coords_ang, expected)


def test_frames_are_superposed_on_the_core(chain):
    turn = Rotation.from_rotvec([0.3, 0.2, 0.1])
    states = trajectory(chain, np.stack([chain.coords_ang, turn.apply(chain.coords_ang) + 9]), np.arange(40))
    np.testing.assert_allclose(states[1].coords_ang, chain.coords_ang, atol=1e-9)


def test_frames_of_another_molecule_are_refused(chain):
    with pytest.raises(ConfigError, match=r"needs \(frames, 60, 3\)"):
        trajectory(chain, np.zeros((5, 59, 3)))


def test_the_likely_hinge_lies_at_the_contact_and_opens_the_domain():
    rng = np.random.default_rng(0)
    rest = np.stack([*rng.normal(0, 2, (2, 300)), rng.uniform(-20, 10, 300)], axis=1)
    domain = np.stack([rng.uniform(2, 30, 300), rng.normal(0, 2, 300), rng.normal(14, 1, 300)], axis=1)
    point, axis = likely_hinge(domain, rest)
    assert np.linalg.norm(point - [4, 0, 13]) < 3
    assert abs(axis @ [0, 1, 0]) > 0.98


def test_models_are_matched_by_residue_and_name_in_the_order_of_the_first(chain):
    shuffled = chain[np.random.default_rng(0).permutation(60)[:50]].renamed("B")
    first, second = matched(chain, shuffled)
    assert len(first) == 50
    np.testing.assert_array_equal(first.residues, second.residues)
    np.testing.assert_array_equal(first.coords_ang, second.coords_ang)
    assert (np.diff(first.residues) > 0).all()


def test_models_of_different_molecules_are_refused(chain):
    other = AtomicModel(chain.coords_ang, chain.weights, chain.chains, chain.residues + 1000, chain.names)
    with pytest.raises(DataError, match="share 0 atoms"):
        matched(chain, other)


def test_a_part_that_names_nothing_is_refused_with_the_chains_there_are(chain):
    with pytest.raises(ConfigError, match="its chains are A"):
        selected(chain, "C:1-5")


def test_parts_are_joined_by_commas(chain):
    assert selected(chain, "A:1-3, 58-60").sum() == 6
    assert selected(chain, "A").all()


def test_a_coarse_model_keeps_weight_and_centre_and_splits_nucleotides():
    names = np.array(["P", "C1'", "N9", "N", "CA", "CB"])
    model = AtomicModel(
        np.arange(18.0).reshape(6, 3), np.array([15, 6, 7, 7, 6, 6.0]), np.full(6, "A"), np.repeat([7, 8], 3), names
    )
    reduced = coarse(model)
    assert reduced.names.tolist() == ["BB", "NB", "CA"]
    assert reduced.weights.tolist() == [21, 7, 19]
    assert reduced.weights.sum() == model.weights.sum()
    np.testing.assert_allclose(reduced.centre_ang(), model.centre_ang())


def test_residues_that_share_a_number_stay_apart_in_a_coarse_model():
    names = np.array(["N", "CA", "C", "N", "CA", "C"])
    model = AtomicModel(np.arange(18.0).reshape(6, 3), np.full(6, 6.0), np.full(6, "A"), np.full(6, 52), names)
    assert len(coarse(model)) == 2


def test_a_hinge_in_a_mask_moves_the_map_as_the_hinge_of_its_model_does():
    box, pixel_ang = 32, 3.0
    rng = np.random.default_rng(0)
    chain = bare_model(np.concatenate([rng.normal(0, 5, (40, 3)), rng.normal(0, 3, (20, 3)) + [0, 0, 32]]))
    arm = selected(chain, "41-60")
    corner = np.full(3, box // 2 * pixel_ang)
    point, axis = np.array([0.0, 0.0, 16.0]), [1, 0, 0]
    closed, opened = (
        AtomProjector(state, box, pixel_ang, 12.0, np.zeros(3)).volume()
        for state in hinge_rotation(chain, arm, point, axis, [0.0, 0.6])
    )
    mask = AtomProjector(chain[arm], box, pixel_ang, 20.0, np.zeros(3)).volume()
    mask = (mask > 0.01 * mask.max()).astype(np.float32)
    turned = hinge_in_mask(closed, mask, [0.0, 0.6], pixel_ang, point + corner, axis)
    assert np.corrcoef(turned[0].ravel(), closed.ravel())[0, 1] > 0.999
    assert np.corrcoef(turned[1].ravel(), opened.ravel())[0, 1] > 0.98
    assert np.corrcoef(closed.ravel(), opened.ravel())[0, 1] < 0.95


def test_a_mask_without_density_is_refused():
    volume = np.random.default_rng(0).normal(size=(16,) * 3)
    with pytest.raises(ConfigError, match="none or all"):
        hinge_in_mask(volume, np.zeros_like(volume), [0.1], 1.0)


def test_a_map_is_cropped_in_fourier_space_and_keeps_its_grey_values(chain):
    fine = AtomProjector(chain, 48, 2.0, 12.0, np.zeros(3)).volume()
    coarse_map = AtomProjector(chain, 32, 3.0, 12.0, np.zeros(3)).volume()
    # The projector conserves mass, a map conserves density: voxels of 27 against 8 cubic angstrom.
    np.testing.assert_allclose(cropped_map(fine, 32, "map") * 27 / 8, coarse_map, atol=0.02 * coarse_map.max())


def test_a_map_smaller_than_the_images_is_refused():
    with pytest.raises(DataError, match="smaller than the box"):
        cropped_map(np.zeros((16,) * 3), 32, "small.mrc")
