"""Images tied to a particle: poses go there and back, the joint likelihood is the sum, and its top is reached."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from torch import Tensor

from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices
from cryodrgn_plugin.engine.poses.refine import Bounds, Expansion, refine
from cryodrgn_plugin.engine.poses.tied import TiedExpansion, Ties, TiesInSpace, refine_tied

SHOWN = np.array([[True, True, True], [True, False, True], [True, False, False], [True, True, False]])
STILL = torch.eye(3, dtype=torch.float64)


def turned_by(vectors) -> Tensor:
    """(N, 3, 3) of rotation vectors (N, 3)."""
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())


def random_poses(n: int, shifts: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rotations (N, 3, 3) and numbers (N, S) of shifts."""
    return torch.from_numpy(random_matrices(n, rng)), torch.from_numpy(rng.standard_normal((n, shifts)))


class Bowls:
    """Likelihoods of images, each exactly quadratic in the turn from a rotation of its own and in the shift."""

    def __init__(self, rotations: Tensor, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rotations, self.top = rotations, torch.from_numpy(0.02 * rng.standard_normal((len(rotations), 5)))
        root = torch.from_numpy(rng.standard_normal((len(rotations), 5, 5)) + 2 * np.eye(5))
        self.bend = 1e4 * root @ root.mT

    def expand(self, rotations, shifts_ang, radius) -> Expansion:
        turned = Rotation.from_matrix((rotations @ self.rotations.mT).numpy()).as_rotvec()
        off = self.top - torch.cat([torch.from_numpy(turned), shifts_ang], dim=1)
        slope = torch.einsum("bij,bj->bi", self.bend, off)
        return Expansion(-(slope * off).sum(1) / 2, slope, self.bend)


@pytest.fixture
def ties() -> Ties:
    rng = np.random.default_rng(3)
    tilts = torch.from_numpy(random_matrices(SHOWN.size, rng)).view(*SHOWN.shape, 3, 3)
    return Ties(torch.from_numpy(SHOWN), tilts)


@pytest.fixture
def poses(ties) -> tuple[Tensor, Tensor]:
    return random_poses(len(SHOWN), 2 * SHOWN.shape[1], np.random.default_rng(4))


def test_poses_of_images_are_those_of_their_particle_after_its_tilts(ties, poses):
    rotations, shifts_ang = ties.images(*poses)
    number = 0
    for particle, row in enumerate(SHOWN):
        for view in np.flatnonzero(row):
            np.testing.assert_allclose(rotations[number], ties.tilts[particle, view] @ poses[0][particle], atol=1e-12)
            np.testing.assert_array_equal(shifts_ang[number], poses[1][particle, 2 * view : 2 * view + 2])
            number += 1
    back, moved = ties.particles(rotations, shifts_ang)
    np.testing.assert_allclose(back, poses[0], atol=1e-12)
    np.testing.assert_array_equal(ties.images(back, moved)[1], shifts_ang)


def test_images_of_a_particle_that_moves_in_space_move_by_its_projections(ties, poses):
    moves_ang = torch.from_numpy(np.random.default_rng(6).standard_normal((len(SHOWN), 3)))
    first_ang = ties.images(*poses)[1]
    in_space = TiesInSpace(ties.shown, ties.tilts, first_ang)
    rotations, shifts_ang = in_space.images(poses[0], moves_ang)
    np.testing.assert_array_equal(rotations, ties.images(*poses)[0])
    expected = [(tilt @ moves_ang[owner])[:2] for owner, tilt in zip(ties.owner, ties.seen_after, strict=True)]
    np.testing.assert_allclose(shifts_ang - first_ang, torch.stack(expected), atol=1e-12)
    several = SHOWN.sum(1) > 1
    np.testing.assert_allclose(in_space.particles(rotations, shifts_ang)[1][several], moves_ang[several], atol=1e-9)
    np.testing.assert_allclose(in_space.images(*in_space.particles(rotations, shifts_ang))[1], shifts_ang, atol=1e-9)


def test_the_image_tilted_least_says_how_a_particle_is_turned():
    tilts = turned_by([[0.5, 0, 0], [0.1, 0, 0], [-0.3, 0, 0]])
    ties = Ties(torch.ones(1, 3, dtype=torch.bool), tilts[None])
    off = turned_by([[0, 0, 0.2], [0, 0, 0], [0, 0.3, 0]])
    np.testing.assert_allclose(ties.particles(off @ tilts, off.new_zeros(3, 2))[0], STILL[None], atol=1e-12)


@pytest.mark.parametrize("in_space", [False, True], ids=["own shifts", "moves in space"])
def test_slopes_and_curvature_are_those_of_the_sum_over_images(ties, poses, in_space):
    model, n = Bowls(ties.images(*poses)[0]), 3 + poses[1].shape[1]
    if in_space:
        ties, n = TiesInSpace(ties.shown, ties.tilts, ties.images(*poses)[1]), 6
        poses = poses[0], poses[1].new_zeros(len(SHOWN), 3)
    joint = TiedExpansion(model, ties)
    here = joint.expand(*poses, 10.0)

    def value(move: Tensor) -> Tensor:
        return joint.expand(turned_by(move[:3].repeat(len(SHOWN), 1)) @ poses[0], poses[1] + move[3:], 10.0).value

    steps = 1e-4 * torch.eye(n, dtype=torch.float64)
    for i in range(n):
        slope = (value(steps[i]) - value(-steps[i])) / 2e-4
        np.testing.assert_allclose(here.gradient[:, i], slope, rtol=1e-4, atol=1.0)
        for j in range(3, n):
            across = value(steps[i] + steps[j]) - value(steps[i] - steps[j])
            across = (across - value(steps[j] - steps[i]) + value(-steps[i] - steps[j])) / 4e-8
            np.testing.assert_allclose(here.curvature[:, i, j], -across, rtol=1e-3, atol=50.0)
            np.testing.assert_allclose(here.curvature[:, j, i], here.curvature[:, i, j], rtol=1e-9)


def test_the_climb_ends_where_an_independent_optimiser_does(ties, poses):
    """Images of a particle disagree about its turn; what they settle on weighs each by its own curvature."""
    unmoved = torch.zeros_like(poses[1])
    start = ties.images(poses[0], unmoved)
    model, bounds = Bowls(start[0]), Bounds(*start, 20.0, 5.0)
    climbed = refine_tied(model, ties, start, [6.0], 12, bounds)
    wide = Bounds(poses[0], unmoved, 20.0, 5.0)
    joint, number = TiedExpansion(model, ties), 0
    for particle, row in enumerate(SHOWN):

        def loss(move: np.ndarray, particle: int = particle) -> float:
            turns, shifts = STILL.repeat(len(SHOWN), 1, 1), unmoved.clone()
            turns[particle], shifts[particle] = turned_by(move[:3]), torch.from_numpy(move[3:])
            at = turns @ poses[0], shifts
            return -float(wide.weigh(joint.expand(*at, 6.0), *at).value[particle]) / 1e4

        best = minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-9}).x
        expected = ties.tilts[particle, row] @ turned_by(best[:3]) @ poses[0][particle]
        here = slice(number, number + row.sum())
        assert angular_distance_deg(climbed.rotations[here].numpy(), expected.numpy()).max() < 0.01
        np.testing.assert_allclose(climbed.shifts_ang[here], best[3:].reshape(3, 2)[row], atol=2e-4)
        number += row.sum()


def test_a_particle_with_one_image_is_climbed_as_that_image_bit_for_bit():
    rng = np.random.default_rng(5)
    start = random_poses(6, 2, rng)
    model, bounds = Bowls(start[0]), Bounds(*start, 1.0, 0.01)
    ties = Ties(torch.ones(6, 1, dtype=torch.bool), STILL.repeat(6, 1, 1, 1))
    tied, plain = refine_tied(model, ties, start, [6.0], 5, bounds), refine(model, *start, [6.0], 5, bounds)
    for name in ("rotations", "shifts_ang", "score", "gain"):
        np.testing.assert_array_equal(getattr(tied, name), getattr(plain, name))
