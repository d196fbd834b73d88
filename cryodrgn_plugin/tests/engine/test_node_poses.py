"""Poses found together with places at the nodes: a planted motion is seen, and every part equals a plainer one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.analysis.known_poses import read_poses
from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.analysis.truth import Truth, rank_correlation
from cryodrgn_plugin.engine.closed_form.fast_recipe import fit_fast
from cryodrgn_plugin.engine.closed_form.node_poses import NodePoses, accumulate_at_nodes, totals
from cryodrgn_plugin.engine.closed_form.nodes import Responsibilities, merged
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.likelihood.equations import accumulate, of_amplitudes
from cryodrgn_plugin.engine.likelihood.expansion import ChosenExpansion, LinearExpansion, LocalImages
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.progress import PlainReporter
from cryodrgn_plugin.engine.reconstruction.adaptive import filtered_halves
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import tiny_set

pytestmark = pytest.mark.slow

SETTINGS = {"z_dim": 3, "closed_form.n_components": 3, "closed_form.iterations": 8, "closed_form.nodes": 16}
LEAN_DEG, SCATTER_DEG, OFF_ANG = 6.0, 4.0, 3.0


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("hinge"), n=500, box=32, seed=4)


def leaning(star) -> ParticleDataset:
    """The particles with poses that lean after the moving half: by more, the further it has moved; and scatter."""
    dataset, rng = ParticleDataset.open(star), np.random.default_rng(6)
    rotations, shifts_ang = dataset.physical_poses()
    with np.load(star.parent / "truth.npz") as truth:
        moved = truth["coordinate"] - truth["coordinate"].mean()
    lean = np.radians(LEAN_DEG) * (moved / np.abs(moved).max())[:, None] * [0, 1, 0]
    scatter = np.radians(SCATTER_DEG) * rng.standard_normal((dataset.n, 3)) / np.sqrt(3)
    turned = Rotation.from_rotvec(scatter).as_matrix() @ rotations @ Rotation.from_rotvec(lean).as_matrix()
    return dataset.with_poses(turned, shifts_ang + OFF_ANG * rng.standard_normal(shifts_ang.shape))


def errors(dataset: ParticleDataset, star):
    true = read_poses(star.parent / "truth.npz")
    rotations, shifts_ang = dataset.physical_poses()
    return align_poses(rotations, true.rotations, shifts_ang, true.shifts_ang, either_hand=False)


def fitted(folder, star, dataset: ParticleDataset, free: bool, **settings) -> tuple[Run, ParticleDataset]:
    settings = {**SETTINGS, "particles": str(star), "closed_form.free_poses": free, **settings}
    run = Run.create(folder, recipe_config("fast", settings))
    with run.working("train"):
        posed = fit_fast(run, run.config, dataset)
    return run, posed


def test_the_motion_is_seen_though_poses_lean_after_it(hinge, tmp_path):
    """The lean hides the motion from maps at fixed poses. Half of this molecule moves: which half, no image tells."""
    before = leaning(hinge)
    fixed, _ = fitted(tmp_path / "fixed", hinge, before, free=False, **{"closed_form.pose_errors": False})
    free, after = fitted(tmp_path / "free", hinge, before, free=True)
    planted = Truth.open(hinge.parent).coordinate
    seen = rank_correlation(free.latents().coordinate, planted)
    assert seen > 0.9 and seen > rank_correlation(fixed.latents().coordinate, planted) + 0.03
    assert errors(after, hinge).shift_error_ang.mean() < 0.7 * errors(before, hinge).shift_error_ang.mean()


def test_found_poses_go_into_the_run_and_are_those_of_its_maps(hinge, tmp_path):
    run, posed = fitted(tmp_path / "free", hinge, leaning(hinge).subset(np.arange(100, 300)), free=True)
    kept = images_of(run)
    for mine, theirs, exact in zip(kept.physical_poses(), posed.physical_poses(), (1e-4, 1e-3), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=exact)
    assert np.isfinite(read_particles(run.poses_file).numbers("rlnLogLikeliContribution")).all()


def test_every_batch_of_both_halves_is_told_of(hinge, tmp_path):
    told = []

    class Listener(PlainReporter):
        def step(self, stage, done, total, values, left_s=None):
            told.extend([(done, total)] if stage == "pose" else [])

    settings = {**SETTINGS, "particles": str(hinge), "closed_form.free_poses": True}
    run = Run.create(tmp_path / "run", recipe_config("fast", settings))
    run.reporter = Listener()
    with run.working("train"):
        fit_fast(run, run.config, leaning(hinge).subset(np.arange(300)))
    assert told == [(number, 4) for number in (1, 2, 3, 4)]


def test_poses_that_are_told_to_be_right_are_left_alone(hinge, tmp_path):
    before, right = leaning(hinge), {"closed_form.pose_errors": False}
    run, after = fitted(tmp_path / "fixed", hinge, before, free=False, **right)
    assert after is before and not run.poses_file.exists()


def test_without_a_search_poses_are_moved_a_little_and_the_run_says_by_how_much(hinge, tmp_path):
    before = leaning(hinge)
    run, after = fitted(tmp_path / "moved", hinge, before, free=False)
    moved = after.physical_poses()[1] - before.physical_poses()[1]
    np.testing.assert_allclose(run.latents().pose_correction[:, 3:], moved, atol=1e-3)
    for mine, theirs, exact in zip(images_of(run).physical_poses(), after.physical_poses(), (1e-4, 1e-3), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=exact)
    assert errors(after, hinge).shift_error_ang.mean() < 0.8 * errors(before, hinge).shift_error_ang.mean()


@pytest.fixture(scope="module")
def images(hinge):
    dataset = leaning(hinge).subset(np.arange(40))
    return dataset, WhitenedImages(dataset, estimate_noise(dataset), series=TiltSeries.singles(40))


def double(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def placed_at(nodes: np.ndarray, poses, log_likelihood: np.ndarray) -> NodePoses:
    """Images at nodes (N, K), with the same pose of theirs, rotations (N, 3, 3) and shifts (N, 2), at every one."""
    rotations, shifts_ang = (np.repeat(pose[:, None], nodes.shape[1], axis=1) for pose in poses)
    return NodePoses(
        torch.as_tensor(nodes), double(rotations).float(), double(shifts_ang).float(), double(log_likelihood)
    )


def test_maps_of_images_that_lie_at_one_node_as_given_are_those_of_their_amplitudes(images):
    dataset, whitened = images
    sphere, half = sphere_at(32, 1.5, 10), np.arange(40) % 2
    features = double([[1.0, 0.3], [1.0, -2.0]])
    node, weight = np.arange(40) // 20, double(np.random.default_rng(1).uniform(0.2, 0.8, 40))
    placed = placed_at(np.stack([node, 1 - node], axis=1), dataset.physical_poses(), np.zeros((40, 2)))
    weights = torch.stack([weight, torch.zeros_like(weight)], dim=1)
    sums = accumulate_at_nodes(whitened, dataset, sphere, features, placed, weights, half)

    def moments(index):
        own = features[node[index]]
        return weight[index, None] * own, weight[index, None, None] * own[:, :, None] * own[:, None, :]

    wanted = accumulate(whitened, sphere, whitened.lattice.count(10), moments, half)
    for mine, theirs in zip(*(next(each.blocks()) for each in (sums, wanted)), strict=True):
        np.testing.assert_allclose(mine.rhs, theirs.rhs, atol=2e-4 * theirs.rhs.abs().max())
        np.testing.assert_allclose(mine.lhs, theirs.lhs, atol=2e-4 * theirs.lhs.abs().max())


def test_an_image_moved_elsewhere_at_a_node_counts_as_one_that_was_there_from_the_start(images, hinge):
    dataset, whitened = images
    sphere, half = sphere_at(32, 1.5, 10), np.arange(40) % 2
    elsewhere = ParticleDataset.open(hinge).subset(np.arange(40))
    placed = placed_at(np.zeros((40, 1), int), elsewhere.physical_poses(), np.zeros((40, 1)))
    one = double(np.ones((40, 1)))
    sums = accumulate_at_nodes(whitened, dataset, sphere, one[:1], placed, one, half)
    there = WhitenedImages(elsewhere, estimate_noise(dataset))
    wanted = accumulate(there, sphere, whitened.lattice.count(10), of_amplitudes(one), half)
    for mine, theirs in zip(*(next(each.blocks()) for each in (sums, wanted)), strict=True):
        np.testing.assert_allclose(mine.rhs, theirs.rhs, atol=2e-3 * theirs.rhs.abs().max())


def test_an_image_compared_with_one_of_several_volumes_sees_that_one_alone(images):
    dataset, whitened = images
    batch = next(whitened.passes(whitened.lattice.size))
    backend, rng = whitened.backend(sphere_at(32, 1.5, 10)), np.random.default_rng(3)
    shape = backend.sphere.n_voxels, 2, 1
    volumes = [
        torch.from_numpy(backend.sphere.symmetrize(rng.standard_normal(shape).astype(np.float32))) for _ in range(3)
    ]
    local, chosen = LocalImages.of(dataset, batch), torch.arange(40) % 3
    poses = tuple(map(double, dataset.physical_poses()))
    several = ChosenExpansion(backend, torch.stack([volume[:, :, 0] for volume in volumes]), chosen, local)
    among = several.expand(*poses, 10)
    for number, volume in enumerate(volumes):
        alone = LinearExpansion(LinearModel(backend, volume), local, torch.ones(40, 1)).expand(*poses, 10)
        own = chosen == number
        np.testing.assert_array_equal(among.value[own], alone.value[own])
        np.testing.assert_array_equal(among.gradient[own], alone.gradient[own])
        np.testing.assert_array_equal(among.curvature[own], alone.curvature[own])


def test_shares_follow_the_likelihood_and_the_population():
    still = np.eye(3)[None], np.zeros((1, 2))
    placed = placed_at(np.array([[2, 0]]), still, np.array([[0.0, np.log(3.0)]]))
    responsible = placed.responsibilities(double([0.2, 0.4, 0.4]))
    np.testing.assert_allclose(responsible.shares, [[0.6, 0.0, 0.4]])
    np.testing.assert_allclose(placed.weights(responsible), [[0.4, 0.6]])
    unlikely = replace(placed, log_likelihood=double([[0.0, 30.0]]))
    np.testing.assert_array_equal(unlikely.weights(unlikely.responsibilities(double(np.ones(3) / 3))), [[0.0, 1.0]])


def test_nodes_that_lie_together_become_one_with_all_of_their_images():
    shares = double([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    fewer = merged(Responsibilities(shares.log(), shares.mean(0)), double([[0.0], [0.1], [5.0]]), 2, seed=0)
    order = fewer.population.argsort()
    np.testing.assert_allclose(fewer.shares[:, order], [[0.2, 0.8], [0.7, 0.3]])
    np.testing.assert_allclose(fewer.population[order], [0.45, 0.55])


def test_halves_keep_what_they_share_and_lose_their_noise():
    rng = np.random.default_rng(2)
    axis = np.arange(32) - 16
    blob = np.exp(-(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 30.0).astype(np.float32)
    same = filtered_halves(blob, blob)
    np.testing.assert_allclose(same[0], blob, atol=1e-3)
    halves = [blob + 0.3 * rng.standard_normal(blob.shape).astype(np.float32) for _ in range(2)]
    filtered = filtered_halves(*halves)
    for own, smooth in zip(halves, filtered, strict=True):
        assert np.square(smooth - blob).sum() < 0.3 * np.square(own - blob).sum()


def test_what_images_of_a_particle_say_is_added_up():
    series = replace(TiltSeries.singles(2), images=np.array([[0, 2], [1, -1]]))
    values = torch.tensor([1.0, 10.0, 2.0])
    np.testing.assert_array_equal(totals(values, series), [3.0, 10.0, 3.0])
