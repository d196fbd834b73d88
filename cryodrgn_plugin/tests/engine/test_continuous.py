"""Small turns in torch against scipy's rotation vectors, and their derivatives where the angle is zero."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.geometry.continuous import turn_vectors, turns


def vectors_of(angle: float, n: int = 20) -> np.ndarray:
    """(N, 3) about random axes by one angle in radians."""
    axes = np.random.default_rng(0).standard_normal((n, 3))
    return angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)


@pytest.mark.parametrize("angle", [0.0, 1e-160, 1e-9, 1e-4, 0.3, np.pi / 2, 2.0, 3.1])
def test_turns_and_vectors_are_scipys_at_every_angle(angle):
    vectors = vectors_of(angle)
    wanted = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(turns(torch.from_numpy(vectors)), wanted, atol=1e-14)
    np.testing.assert_allclose(turn_vectors(torch.from_numpy(wanted)), vectors, rtol=1e-12, atol=1e-13)


def test_small_vectors_come_back_to_the_last_digits():
    """A refinement's last steps are small, and must not be lost in those before."""
    vectors = torch.from_numpy(vectors_of(1e-9))
    np.testing.assert_allclose(turn_vectors(turns(vectors)), vectors, rtol=1e-12)


def test_batches_of_any_shape_are_turned_one_by_one():
    vectors = torch.from_numpy(vectors_of(0.7).reshape(4, 5, 3))
    matrices = turns(vectors)
    assert matrices.shape == (4, 5, 3, 3)
    np.testing.assert_array_equal(matrices[2, 3], turns(vectors[2, 3]))
    np.testing.assert_array_equal(turn_vectors(matrices)[2, 3], turn_vectors(matrices[2, 3]))


@pytest.mark.parametrize("size", [1.5, 1e-3])
def test_a_turn_is_the_same_in_any_batch_to_the_last_bit(size):
    vectors = torch.from_numpy(np.random.default_rng(1).standard_normal((150, 3)) * size)
    matrices = turns(vectors)
    for number in range(150):
        alone = slice(number, number + 1)
        np.testing.assert_array_equal(turns(vectors[alone]), matrices[alone])
        np.testing.assert_array_equal(turn_vectors(matrices[alone]), turn_vectors(matrices)[alone])


def test_turns_have_their_derivative_where_the_angle_is_zero():
    """Of x, y and z: the generators of the rotations."""
    jacobian = torch.autograd.functional.jacobian(turns, torch.zeros(3, dtype=torch.float64))
    cross = [np.cross(axis, np.eye(3)).T for axis in np.eye(3)]
    np.testing.assert_array_equal(jacobian, np.stack(cross, axis=2))


def test_vectors_have_their_derivative_where_the_angle_is_zero():
    there_and_back = lambda vector: turn_vectors(turns(vector))  # noqa: E731
    for start in (torch.zeros(3, dtype=torch.float64), torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)):
        jacobian = torch.autograd.functional.jacobian(there_and_back, start)
        np.testing.assert_allclose(jacobian, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("angle", [0.3, 2.0])
def test_derivatives_of_turns_are_finite_differences(angle):
    assert torch.autograd.gradcheck(turns, torch.from_numpy(vectors_of(angle, 3)).requires_grad_())
