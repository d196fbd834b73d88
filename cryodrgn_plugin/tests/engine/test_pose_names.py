"""What is drawn for a pose stays with it, however rounding has ordered the list it stands in."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import gumbel_r, kstest

from cryodrgn_plugin.engine.config import PoseConfig
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.networks.pose_search import PoseSearch
from cryodrgn_plugin.engine.poses.inference import Candidates, Likeliest
from cryodrgn_plugin.engine.poses.pose_names import gumbel, named
from cryodrgn_plugin.engine.poses.strategy_registry import make_pose_inference
from cryodrgn_plugin.engine.ranks import Ranks

N, P, SEED = 30, 8, [0, 5, 3]


@dataclass
class Drawn:
    """A score without images."""

    n: int = 4
    device: torch.device = torch.device("cpu")

    def shared(self, rotations, shifts_ang, radius):
        return torch.rand(self.n, len(rotations), len(shifts_ang))

    def likeliest(self, poses, radius, kept):
        return Likeliest.of(self.shared(poses.rotations, poses.shifts_ang, radius), kept)

    def own(self, rotations, shifts_ang, radius):
        return torch.rand(*shifts_ang.shape[:3])

    def headroom(self, radius, last_radius):
        return torch.ones(self.n)


def test_drawn_numbers_belong_to_particle_pose_and_search():
    rng = np.random.default_rng(0)
    numbers = torch.from_numpy(rng.integers(0, 36864, (N, P)))
    shifts_ang = torch.from_numpy(rng.integers(-20, 20, (N, P, 2)) / 4)
    particles, order = rng.permutation(1000)[:N], rng.permutation(P)[:5]
    whole = gumbel(named(numbers, shifts_ang), particles, SEED)
    part = gumbel(named(numbers[3:9, order], shifts_ang[3:9, order]), particles[3:9], SEED)
    np.testing.assert_array_equal(part, whole[3:9, order])
    assert (gumbel(named(numbers, -shifts_ang), particles, SEED) != whole).mean() > 0.9
    assert (gumbel(named(numbers, shifts_ang), particles, [0, 5, 4]) != whole).all()
    assert (gumbel(named(numbers, shifts_ang), particles + 1, SEED) != whole).all()


def test_drawn_numbers_follow_gumbels_distribution_and_not_each_other():
    names = torch.arange(50).expand(400, -1)
    drawn = gumbel(names, np.arange(400), SEED)
    assert kstest(drawn.ravel(), gumbel_r.cdf).pvalue > 1e-3
    for one, other in ((drawn[:, 1:], drawn[:, :-1]), (drawn[1:], drawn[:-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("inference", ["hierarchical", "branch_and_bound"])
def test_poses_of_an_image_differ_in_name(inference):
    config = PoseConfig(inference=inference, spacing_deg=60.0, levels=2, kept=P, shift_steps=3)
    candidates = make_pose_inference(config, 16, 4.0, np.eye(3)).infer(Drawn())
    assert all(len(names.unique()) == P for names in candidates.names)


def test_of_two_poses_that_are_as_likely_the_same_is_taken_in_either_order():
    finder = PoseSearch.__new__(PoseSearch)
    finder._config, finder._ranks = SimpleNamespace(seed=0), Ranks()
    finder._dataset = SimpleNamespace(lattice=HalfPlane(16, 7))
    size = finder._dataset.lattice.size
    views = [SimpleNamespace(targets=torch.ones(N, size, dtype=torch.complex64), weights=torch.ones(N, size))]
    names = torch.from_numpy(np.random.default_rng(0).integers(0, 4608, (N, P)))
    score = 10 - torch.arange(P).expand(N, -1) * 1e-3

    def taken(order: list[int]) -> torch.Tensor:
        nothing = torch.zeros(N, len(order), 3, 3), torch.zeros(N, len(order), 2)
        candidates = Candidates(*nothing, score[:, order], names[:, order])
        first = finder._chosen(candidates, views, 20.0, np.arange(N), 3)
        return candidates.names[torch.arange(N), first]

    whole = taken([0, 1, 2, 3, 4, 5, 6, 7])
    assert len((whole[:, None] == names).nonzero()[:, 1].unique()) > 4  # they are drawn
    assert torch.equal(taken([0, 2, 1, 3, 5, 4, 7, 6]), whole)
    without = taken([0, 1, 3, 4, 5, 6, 7])
    assert torch.equal(without[whole != names[:, 2]], whole[whole != names[:, 2]])
