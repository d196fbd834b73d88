"""The grid of rotations: nested, even, as dense as it says, and its neighbours are near."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.geometry import so3_grid
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices

LEVELS = (0, 1, 2)


def distances_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len(a), len(b)) angles between all pairs."""
    cosines = (a.reshape(-1, 9).astype(np.float64) @ b.reshape(-1, 9).T.astype(np.float64) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


@pytest.mark.parametrize("level, count", [(0, 72), (1, 576), (2, 4608)])
def test_a_level_has_eight_times_the_rotations_of_the_last(level, count):
    assert so3_grid.size(level) == len(so3_grid.grid(level)) == count
    assert so3_grid.size(3) == 36_864 and so3_grid.size(4) == 294_912


@pytest.mark.parametrize("level", LEVELS)
def test_the_grid_consists_of_different_rotations(level):
    rotations = so3_grid.grid(level).astype(np.float64)
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-6)
    apart = distances_deg(rotations[:600], rotations)
    apart[np.arange(min(600, len(rotations))), np.arange(min(600, len(rotations)))] = 180
    assert apart.min() > 0.5 * so3_grid.spacing_deg(level)


@pytest.mark.parametrize("level", LEVELS)
def test_the_children_of_a_level_are_the_next_level_each_once(level):
    children = so3_grid.children(np.arange(so3_grid.size(level)), level)
    assert children.shape == (so3_grid.size(level), 8)
    np.testing.assert_array_equal(np.sort(children, axis=None), np.arange(so3_grid.size(level + 1)))
    np.testing.assert_array_equal(
        so3_grid.parents(children, level + 1), np.broadcast_to(np.arange(len(children))[:, None], children.shape)
    )


@pytest.mark.parametrize("level", (*LEVELS, 3))
def test_tensors_of_numbers_give_the_rotations_and_children_that_arrays_give(level):
    numbers = np.random.default_rng(level).integers(so3_grid.size(level), size=(40, 25))
    rotations = so3_grid.rotations_at(torch.from_numpy(numbers), level)
    assert rotations.dtype == torch.float32
    np.testing.assert_allclose(rotations, so3_grid.rotations_of(numbers, level), atol=2e-7)
    np.testing.assert_array_equal(
        so3_grid.children_of(torch.from_numpy(numbers), level), so3_grid.children(numbers, level)
    )


def test_a_rotation_has_the_same_bits_whatever_others_are_asked_for():
    numbers = torch.randperm(so3_grid.size(2), generator=torch.Generator().manual_seed(0))
    rotations = so3_grid.rotations_at(numbers, 2)
    for some in (slice(0, 1), slice(5, 12), slice(3, 1000, 7)):
        assert torch.equal(so3_grid.rotations_at(numbers[some], 2), rotations[some])


@pytest.mark.parametrize("level", LEVELS)
def test_children_lie_around_their_parent(level):
    """At the poles too, where rot turns fast from one direction to the next."""
    numbers = np.arange(so3_grid.size(level))
    parents = so3_grid.rotations_of(numbers, level)
    children = so3_grid.rotations_of(so3_grid.children(numbers, level), level + 1)
    farthest = angular_distance_deg(children, parents[:, None]).max()
    assert farthest < 0.75 * so3_grid.spacing_deg(level)
    closest_other = np.sort(distances_deg(parents[:100], parents), axis=1)[:, 1].min()
    assert farthest < 1.1 * closest_other


def test_descending_from_the_nearest_ends_near():
    """What a search does that keeps one cell a level: it must not lose what lies between the children of others."""
    random = random_matrices(3000, np.random.default_rng(4))
    numbers = so3_grid.nearest(random, 1)[:, 0]
    for level in (1, 2):
        children = so3_grid.children(numbers, level)
        apart = angular_distance_deg(so3_grid.rotations_of(children, level + 1), random[:, None])
        numbers = np.take_along_axis(children, apart.argmin(1)[:, None], 1)[:, 0]
    assert np.quantile(apart.min(1), 0.99) < 1.1 * so3_grid.spacing_deg(3)


@pytest.mark.parametrize("level", LEVELS)
def test_no_rotation_is_far_from_the_grid(level):
    random = random_matrices(2000, np.random.default_rng(1))
    nearest = distances_deg(random, so3_grid.grid(level)).min(1)
    spacing = so3_grid.spacing_deg(level)
    assert nearest.max() < 0.9 * spacing
    assert 0.35 * spacing < np.median(nearest) < 0.6 * spacing


@pytest.mark.parametrize("level", (1, 2))
def test_every_rotation_stands_for_the_same_share_of_all(level):
    """Cells hold as many of 200 random rotations per cell as chance gives them, wherever they are on the sphere."""
    count = so3_grid.size(1)
    random = random_matrices(200 * count, np.random.default_rng(2))
    cells = so3_grid.nearest(random, level)[:, 0]
    while level > 1:
        cells, level = so3_grid.parents(cells, level), level - 1
    filled = np.bincount(cells, minlength=count)
    assert filled.min() > 100 and filled.max() < 320
    by_ring = filled.reshape(48, 12).sum(1)  # directions of equal area
    assert np.abs(by_ring / by_ring.mean() - 1).max() < 0.15


def test_moments_over_the_grid_are_those_of_the_rotation_group():
    """Means over SO(3) of the first two moments of matrix entries are 0 and δδ/3 (orthogonality of representations)."""
    rotations = so3_grid.grid(1).astype(np.float64)
    np.testing.assert_allclose(rotations.mean(0), 0, atol=1e-6)
    second = np.einsum("nij,nkl->ijkl", rotations, rotations) / len(rotations)
    expected = np.einsum("ik,jl->ijkl", np.eye(3), np.eye(3)) / 3
    np.testing.assert_allclose(second, expected, atol=0.01)


def test_the_nearest_are_those_of_brute_force():
    random = random_matrices(200, np.random.default_rng(3))
    apart = distances_deg(random, so3_grid.grid(1))
    found = so3_grid.nearest(random, 1, count=5)
    np.testing.assert_allclose(np.take_along_axis(apart, found, 1), np.sort(apart, axis=1)[:, :5], atol=0.01)
    assert all(len(set(row)) == 5 for row in found.tolist())


def test_neighbours_are_the_nearest_others():
    numbers = np.arange(0, so3_grid.size(2), 37)
    found = so3_grid.neighbours(numbers, 2, 6)
    apart = distances_deg(so3_grid.rotations_of(numbers, 2), so3_grid.grid(2))
    assert not (found == numbers[:, None]).any()
    np.testing.assert_allclose(np.take_along_axis(apart, found, 1), np.sort(apart, axis=1)[:, 1:7], atol=0.02)
    assert np.take_along_axis(apart, found, 1).max() < 1.6 * so3_grid.spacing_deg(2)


@pytest.mark.parametrize("degrees, level", [(60, 0), (30, 1), (15, 2), (14.9, 3), (7.5, 3), (90, 0)])
def test_the_level_for_a_spacing_is_the_coarsest_that_reaches_it(degrees, level):
    assert so3_grid.level_for(degrees) == level
    assert so3_grid.spacing_deg(level) <= degrees
