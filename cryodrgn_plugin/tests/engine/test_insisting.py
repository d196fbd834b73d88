"""Species whose starts do not agree about poses start by themselves, and the others stay as they are."""

from dataclasses import replace

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.contests import close_contest, judge, open_contest
from cryodrgn_plugin.engine.ab_initio.insisting import placed_alike, with_poses_of
from cryodrgn_plugin.engine.ab_initio.outcome import Outcome
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.search_checkpoint import Progress
from cryodrgn_plugin.engine.ab_initio.stages import Stages
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.geometry.hand import mirrored_rotations
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.likelihood.species_maps import Maps

N = 120


def placed(rotations: np.ndarray) -> Placement:
    """The first half of the images in species 0, the second in species 1."""
    species = np.arange(N) // (N // 2)
    return replace(Placement.unknown(N, 2), rotations=rotations.astype(np.float32), species=species)


@pytest.fixture
def rotations() -> np.ndarray:
    return random_matrices(N, np.random.default_rng(0))


def test_starts_that_differ_by_their_frame_and_hand_agree(rotations):
    frame = random_matrices(1, np.random.default_rng(1))[0]
    assert placed_alike(placed(rotations), placed(rotations @ frame), 0)
    assert placed_alike(placed(rotations), placed(mirrored_rotations(rotations) @ frame), 1)


def test_starts_that_place_half_of_the_images_elsewhere_do_not(rotations):
    frame, others = random_matrices(1, np.random.default_rng(1))[0], random_matrices(N, np.random.default_rng(2))
    elsewhere = np.where(np.arange(N)[:, None, None] % 5 < 3, others, rotations) @ frame
    assert not placed_alike(placed(rotations), placed(elsewhere), 0)


def test_poses_that_neither_start_has_found_tell_nothing(rotations):
    """Most images are left where they were, and the others are placed at random."""
    start = rotations.copy()
    start[:30] = random_matrices(30, np.random.default_rng(3))
    assert not placed_alike(placed(rotations), placed(start), 0)


def test_the_poses_of_the_best_start_of_each_species_are_kept(rotations):
    other = random_matrices(N, np.random.default_rng(4))
    kept = with_poses_of(placed(rotations), placed(other), np.array([False, True]))
    np.testing.assert_array_equal(kept.rotations[: N // 2], rotations[: N // 2].astype(np.float32))
    np.testing.assert_array_equal(kept.rotations[N // 2 :], other[N // 2 :].astype(np.float32))


class Engine:
    """As much of the rounds as contests change."""

    def __init__(self, placement: Placement) -> None:
        self.placement, self.dataset = placement, placement_of(placement)

    def keep(self, species: list[int]) -> None:
        self.placement = self.placement.only(species)


def placement_of(placement: Placement):
    return type("Images", (), {"n": len(placement.species)})


def test_species_that_are_sure_of_their_poses_take_no_part_and_come_back(rotations):
    engine = Engine(placed(rotations))
    progress = Progress(maps=Maps([["a", "b"], ["A", "B"]], np.array([0.3, 0.7])), hard=np.array([1]))
    open_contest(progress, "insist", engine)
    assert progress.maps.models == [["b"], ["B"]] == progress.incumbents.models
    assert (engine.placement.species == np.where(np.arange(N) < N // 2, -1, 0)).all()
    progress.maps = Maps([["new"], ["NEW"]], np.ones(1))
    close_contest(progress, "insist", engine)
    assert progress.maps.models == [["a", "new"], ["A", "NEW"]]
    np.testing.assert_array_equal(progress.maps.populations, [0.3, 0.7])
    assert progress.whole is None
    assert engine.placement.lag.shape == (N, 2) and (engine.placement.species == -1).all()


def test_a_species_is_not_hard_to_place_where_a_start_agrees_with_the_poses_before_all_starts(rotations):
    """The first start finds the poses of the first species again, in another frame; the second finds those of the
    first start for the other species."""
    frame, others = random_matrices(1, np.random.default_rng(1))[0], random_matrices(N, np.random.default_rng(2))
    first, later = np.arange(N) < N // 2, random_matrices(N, np.random.default_rng(3))
    engine = Engine(placed(rotations))
    progress = Progress(maps=Maps([["a", "b"], ["A", "B"]], np.array([0.5, 0.5])))
    open_contest(progress, "part", engine)
    config = recipe_config("abinitio", {})
    stages = Stages.of(config.ab_initio, config.poses, 64, 3000, species=2, grows=True)
    starts = [step for step in stages.steps(1, True, 0, 0) if step.phase == "part" and step.judged and step.start]
    outcome = Outcome(progress.maps, 1.0, np.ones(2), np.full(2, N / 2))
    for step, turned, hard in (
        (starts[0], np.where(first[:, None, None], rotations @ frame, others), [1]),
        (starts[1], np.where(first[:, None, None], later, others @ frame), []),
    ):
        engine.placement.rotations[:] = turned
        judge(progress, outcome, step, engine)
        assert progress.hard.tolist() == hard


@pytest.mark.parametrize("grows", [False, True])
def test_there_are_more_starts_only_where_some_do_not_agree(grows):
    config = recipe_config("abinitio", {})
    stages = Stages.of(config.ab_initio, config.poses, 64, 3000, species=6, grows=grows)
    plain, insisting = (stages.steps(1, grows, 0, 0, insists=insists) for insists in (0, 5))
    more = [step for step in insisting if step.phase == "insist"]
    first = insisting.index(more[0])
    assert "insist" not in {step.phase for step in plain} and insisting[first - 1].phase == "part"
    begun = [step.start for step in more if step.begins]
    assert begun == list(range(begun[0], begun[0] + 5)) and begun[0] > max(step.start or 0 for step in plain)
    assert plain[:first] == insisting[:first] and insisting[first + len(more)].phase == "sort"
    after = first + len(more) + 1
    assert [step.plan for step in plain[first:]] == [step.plan for step in insisting[after:]]
