"""Local refinement: wrong poses come back, right ones stay, nothing leaves its bounds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio.refinement import refine_poses
from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, random_matrices
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.likelihood.expansion import LinearExpansion, LocalImages
from cryodrgn_plugin.engine.likelihood.half_models import shared_mask
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, compress, sphere_at
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.poses.refine import Bounds, Expansion, refine, rising_limits
from cryodrgn_plugin.engine.poses.refine_options import RefineOptions
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

pytestmark = pytest.mark.slow

N, BOX, PIXEL_ANG = 600, 48, 2.4
WRONG_DEG, WRONG_PX = 3.0, 1.0
OPTIONS = RefineOptions(max_shift_ang=4 * PIXEL_ANG)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ParticleDataset:
    config = SimulationConfig(snr=1.0, shift_px=2.0, pixel_size_ang=PIXEL_ANG)
    return ParticleDataset.open(tiny_set(tmp_path_factory.mktemp("set"), N, BOX, seed=3, states=1, config=config))


@pytest.fixture(scope="module")
def truth(dataset) -> tuple[np.ndarray, np.ndarray]:
    return dataset.rotations.astype(np.float64), dataset.shifts_ang.astype(np.float64)


@pytest.fixture(scope="module")
def wrong(truth) -> tuple[np.ndarray, np.ndarray]:
    """Poses that are 3° and 1 px off (root mean squares)."""
    rng = np.random.default_rng(8)
    turns = Rotation.from_rotvec(np.radians(WRONG_DEG) * rng.standard_normal((N, 3)) / np.sqrt(3))
    moves = WRONG_PX * PIXEL_ANG * rng.standard_normal((N, 2)) / np.sqrt(2)
    return turns.as_matrix() @ truth[0], truth[1] + moves


@pytest.fixture(scope="module")
def by_the_true_map(dataset, truth, wrong):
    """Errors of the wrong poses refined against the map that the images were made from."""
    volume, _ = read_map(dataset.table.path.parent / "maps" / "state_000.mrc")
    radius = BOX // 2 - 1
    images = WhitenedImages(dataset, estimate_noise(dataset, 0), batch_size=N)
    model = LinearModel.of(images.backend(sphere_at(BOX, 1.5, radius)), volume[None])
    gram, inner = compress([model], images, images.lattice.size)
    # The images' grey scale is that of their noise; the map's is not.
    model = LinearModel(model.backend, model.coefs * (inner.sum() / gram.sum()).float())
    (batch,) = images.passes(images.lattice.size)
    local = LocalImages(
        targets=batch.targets, weights=batch.weights, moved_by_ang=torch.from_numpy(truth[1]), lattice=images.lattice,
        extent_ang=BOX * PIXEL_ANG, ratio=torch.ones(N, dtype=torch.float64),
    )  # fmt: skip
    radii = rising_limits(OPTIONS, BOX, PIXEL_ANG, radius)
    start = tuple(map(torch.from_numpy, wrong))
    bounds = Bounds(*start, OPTIONS.max_angle_deg, OPTIONS.max_shift_ang)
    climbed = refine(LinearExpansion(model, local, torch.ones(N, 1)), *start, radii, OPTIONS.steps, bounds)
    return errors(climbed.rotations.numpy(), climbed.shifts_ang.numpy(), truth)


def errors(rotations, shifts_ang, truth) -> tuple[float, float]:
    """Median errors in degrees and pixels, after the one turn and the one move of the map that poses cannot tell."""
    u, _, v = np.linalg.svd(np.einsum("nji,njk->ik", truth[0], rotations))
    angle = angular_distance_deg(rotations, truth[0] @ (u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v))
    seen_from = truth[0][:, :2].reshape(-1, 3)
    off = (shifts_ang - truth[1]).reshape(-1)
    off = (off - seen_from @ np.linalg.lstsq(seen_from, off, rcond=None)[0]).reshape(-1, 2)
    return float(np.median(angle)), float(np.median(np.linalg.norm(off, axis=1))) / PIXEL_ANG


def test_wrong_poses_come_back_nearly_as_far_as_right_ones_stay_and_as_the_true_map_allows(
    dataset, truth, wrong, by_the_true_map
):
    refinement = refine_poses(dataset.with_poses(*wrong), OPTIONS, seed=1)
    found, rounds = refinement.poses, refinement.rounds
    stayed = refine_poses(dataset, replace(OPTIONS, rounds=2), seed=1).poses
    before, after = errors(*wrong, truth), errors(found.rotations, found.shifts_ang, truth)
    right = errors(stayed.rotations, stayed.shifts_ang, truth)
    assert before[0] > 2.5 and before[1] > 0.8
    assert after[0] < 1.3 * right[0] and after[1] < 1.3 * right[1], (after, right)
    assert after[0] < 1.4 * by_the_true_map[0] and after[1] < 1.4 * by_the_true_map[1], (after, by_the_true_map)
    assert [figures.number for figures in rounds] == [1, 2, 3, 4]
    assert rounds[-1].median_turn_deg < rounds[0].median_turn_deg and all(figures.gain > 0 for figures in rounds)


def test_no_pose_leaves_its_bounds_and_none_ends_less_likely(dataset, wrong):
    tight = RefineOptions(rounds=2, max_angle_deg=2.0, max_shift_ang=1.0)
    found = refine_poses(dataset.with_poses(*wrong), tight, seed=1).poses
    turned = angular_distance_deg(found.rotations, dataset.with_poses(*wrong).rotations)
    assert 1.9 < turned.max() < 2.01
    assert np.linalg.norm(found.shifts_ang - wrong[1], axis=1).max() < 1.001
    assert (found.gain >= 0).all() and found.gain.mean() > 0


def test_particles_of_different_species_meet_maps_of_their_own(dataset, wrong):
    """What the poses of one species are makes no difference to the other."""
    first = np.arange(N) < N // 2
    options = replace(OPTIONS, rounds=1)
    nonsense = wrong[0].copy()
    nonsense[~first] = random_matrices(N - first.sum(), np.random.default_rng(0))
    species = np.where(first, 0, 1)
    clean = refine_poses(dataset.with_poses(*wrong), options, species=species, seed=1).poses
    spoilt = refine_poses(dataset.with_poses(nonsense, wrong[1]), options, species=species, seed=1).poses
    np.testing.assert_allclose(spoilt.rotations[first], clean.rotations[first], atol=1e-6)
    assert angular_distance_deg(spoilt.rotations[~first], clean.rotations[~first]).min() > 0.1


def test_the_mask_holds_what_two_halves_share_also_where_it_is_thin():
    axis = np.arange(32) - 16
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    body = np.exp(-((x + 4) ** 2 + y**2 + z**2) / 12)
    arm = 0.3 * np.exp(-((x - 6) ** 2 + y**2 + z**2) / 8)
    rng = np.random.default_rng(1)
    halves = [(body + arm + 0.05 * rng.standard_normal(x.shape)).astype(np.float32) for _ in range(2)]
    mask = shared_mask(*halves, 3.0)
    assert mask[16, 16, 12] == 1 and mask[16, 16, 22] > 0.9 and mask[4, 4, 4] == 0
    assert mask.mean() < 0.3


def test_limits_rise_from_what_the_bounds_allow_to_the_box():
    radii = rising_limits(RefineOptions(max_angle_deg=8, max_shift_ang=0), 128, 1.0, 63)
    assert radii == [6, 12, 24, 48, 63]
    assert rising_limits(RefineOptions(max_angle_deg=0.5, max_shift_ang=0), 128, 1.0, 63)[0] > 60
    assert rising_limits(RefineOptions(max_angle_deg=1, max_shift_ang=4), 128, 1.0, 63)[0] == pytest.approx(8)
    assert rising_limits(RefineOptions(), 16, 1.0, 5) == [5]


class Bowl:
    """A likelihood that is exactly quadratic in the turn from the identity and in the shift, with its top elsewhere."""

    def __init__(self, top: torch.Tensor) -> None:
        self.top = top

    def expand(self, rotations, shifts_ang, radius):
        turned = torch.from_numpy(Rotation.from_matrix(rotations.numpy()).as_rotvec())
        off = self.top - torch.cat([turned, shifts_ang], dim=1)
        curvature = 1e4 * torch.eye(5, dtype=off.dtype).repeat(len(off), 1, 1)
        return Expansion(-5e3 * (off**2).sum(1), 1e4 * off, curvature)


def test_the_climb_reaches_a_top_within_the_bounds_and_the_bound_towards_one_beyond():
    top = torch.tensor([[0.02, -0.01, 0.03, 0.5, -0.2], [0.0, 0.0, 0.5, 0.0, 0.0]], dtype=torch.float64)
    start = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1), torch.zeros(2, 2, dtype=torch.float64)
    climbed = refine(Bowl(top), *start, [6.0], 10, Bounds(*start, 10.0, 5.0))
    turned = Rotation.from_matrix(climbed.rotations.numpy()).as_rotvec()
    np.testing.assert_allclose(turned[0], top[0, :3], atol=2e-3)
    np.testing.assert_allclose(climbed.shifts_ang[0], top[0, 3:], atol=1e-3)
    np.testing.assert_allclose(turned[1], [0, 0, np.radians(10)], atol=1e-6)


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"rounds": 0}, "rounds is 0; it must be at least 1"),
        ({"max_angle_deg": 60}, "max_angle_deg is 60; it must be positive and at most 45"),
        ({"max_shift_ang": -1}, "max_shift_ang is -1; it must be 0 or more"),
        ({"moves": "stage"}, "moves is 'stage'; choose image or particle"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        RefineOptions(**values)


def test_three_particles_are_too_few(dataset):
    with pytest.raises(DataError, match="3 particles are too few to refine poses"):
        refine_poses(dataset.subset(np.arange(3)), OPTIONS)


def test_a_part_of_the_particles_can_be_used(dataset):
    part = ParticleDataset.open(dataset.table.path, DataConfig(max_particles=100), seed=2)
    found = refine_poses(part, replace(OPTIONS, rounds=1)).poses
    assert found.rotations.shape == (100, 3, 3) and np.linalg.det(found.rotations).min() > 0.999
