"""Poses from images alone: the score against sums written out, and planted poses and species recovered."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio import conformers
from cryodrgn_plugin.engine.ab_initio.ab_initio_recipe import AbInitio, Progress
from cryodrgn_plugin.engine.ab_initio.candidates import tempered
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.ab_initio.rounds import PoseRounds
from cryodrgn_plugin.engine.ab_initio.stages import Stages
from cryodrgn_plugin.engine.ab_initio.steps import Round
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import PoseConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.misfit import Misfit, with_misfit
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedBatch, WhitenedImages
from cryodrgn_plugin.engine.poses.hierarchical import HierarchicalSearch
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.common_frame import CommonFrame
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map, tiny_ensemble
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.kernels.matching import match_poses
from cryodrgn_plugin.engine.slicing.kernels.one_volume import match_one_volume
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

pytestmark = pytest.mark.slow

BOX = 16
QUICK = {
    "ab_initio.rounds": 12,
    "ab_initio.images_per_round": 200,
    "ab_initio.refinements": 4,
    "ab_initio.conformers": 2,
    "ab_initio.moving_rounds": 1,
    "ab_initio.starts": 1,
    "ab_initio.more_starts": 1,
    "ab_initio.most_climbs": 1,
    "poses.levels": 3,
    "poses.shift_extent": 0.07,
}


def model_of(volumes: np.ndarray, radius: int) -> LinearModel:
    """Volumes (C, D, D, D) known up to `radius`, for images of their size."""
    box = len(volumes[0])
    return LinearModel.of(Compute().backend(HalfSphere(box, 1.5, radius), HalfPlane(box, box // 2 - 1)), volumes)


def true_model(star) -> LinearModel:
    return model_of(read_map(star.parent / "maps" / "state_000.mrc")[0][None], 15)


def scored(n_channels: int, images: int = 3):
    """A random model of several volumes, a score of random images, and what is needed to compute it by hand."""
    rng = np.random.default_rng(n_channels)
    model = model_of(rng.standard_normal((n_channels, BOX, BOX, BOX)).astype(np.float32) / 30, BOX // 2 - 1)
    lattice = model.backend.lattice
    targets = rng.standard_normal((2, images, lattice.size)).astype(np.float32)
    targets = (targets[0] + 1j * targets[1]).astype(np.complex64)
    weights = rng.uniform(0.1, 1, (images, lattice.size)).astype(np.float32)
    return LinearScore(SliceBank(model), *map(torch.from_numpy, (targets, weights)), extent_ang=BOX * 2.0)


def by_hand(score: LinearScore, image: int, rotation: np.ndarray, shift_ang: np.ndarray, radius: float) -> float:
    """The log-likelihood of one image at one pose, amplitudes integrated out, from matrices written out."""
    lattice, n_channels = score.bank.lattice, score.bank.n_channels
    count = lattice.count(radius)
    slices = score.bank.at(torch.from_numpy(rotation)[None], count)[0][:, :, 0].view(n_channels, 2, count)
    slices = slices.double().numpy()
    slices = slices[:, 0] + 1j * slices[:, 1]
    back = np.exp(2j * np.pi * lattice.indices[:count] @ shift_ang / score.extent_ang)
    target, weight = score.targets[image, :count].numpy() * back, score.weights[image, :count].numpy()
    gram = np.real(np.einsum("cf,f,df->cd", slices.conj(), weight, slices))
    inner = np.real(slices.conj() @ target)
    residual = inner[1:] - gram[1:, 0]
    precision = gram[1:, 1:] + np.eye(n_channels - 1)
    of_amplitudes = residual @ np.linalg.solve(precision, residual) / 2 - np.linalg.slogdet(precision)[1] / 2
    return inner[0] - gram[0, 0] / 2 + of_amplitudes


@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_the_score_is_the_likelihood_written_out(n_channels):
    score, rng = scored(n_channels), np.random.default_rng(9)
    rotations = random_matrices(5, rng).astype(np.float32)
    shifts = rng.uniform(-5, 5, (4, 2)).astype(np.float32)
    shared = score.shared(*map(torch.from_numpy, (rotations, shifts)), 6)
    own_rotations = np.tile(rotations, (score.n, 1, 1, 1))
    pattern = np.tile(shifts, (score.n, 5, 1, 1))
    scattered = pattern + rng.uniform(-3, 3, (score.n, 5, 4, 2)).astype(np.float32)
    assert shared.shape == (score.n, 5, 4)
    apart = score.own(*map(torch.from_numpy, (own_rotations, scattered)), 6)
    for image, place, move in np.ndindex(score.n, 5, 4):
        expected = by_hand(score, image, rotations[place], shifts[move], 6)
        assert shared[image, place, move] == pytest.approx(expected, rel=2e-4, abs=2e-3)
        elsewhere = by_hand(score, image, rotations[place], scattered[image, place, move], 6)
        assert apart[image, place, move] == pytest.approx(elsewhere, rel=2e-4, abs=2e-3)
    together = score.own(*map(torch.from_numpy, (own_rotations, pattern)), 6)
    np.testing.assert_allclose(together, shared, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("n_waves", [1, 9])
def test_the_kernel_of_one_volume_equals_that_of_any_number(n_waves):
    score, rng = scored(1, images=4), np.random.default_rng(2)
    model, lattice, radius = score.bank.model, score.bank.lattice, 7
    # Rotations of length above 1 reach beyond the volume's frequency limit, as do images of a larger extent.
    rotations = (random_matrices(4 * 6, rng).reshape(4, 6, 3, 3) * 1.1).astype(np.float32)
    centres = np.repeat(rng.uniform(-0.2, 0.2, (4, 3, 2)), 2, axis=1).astype(np.float32)
    waves = rng.standard_normal((lattice.count(radius), 2, n_waves)).astype(np.float32)
    data = model.coefs.numpy(), score.targets.numpy(), score.weights.numpy(), rotations, centres
    freqs, sphere = lattice.indices.astype(np.float32), model.sphere
    gram, inner = (np.empty((2, 4, 6, *shape), np.float32) for shape in ((1,), (1, n_waves)))
    geometry = sphere.row_start, np.float32(sphere.step), np.float32(sphere.radius)
    match_poses(*data, waves, lattice.indices, freqs, *geometry, gram[0], inner[0])
    turned = np.ascontiguousarray(waves.transpose(1, 2, 0)), lattice.indices, np.ascontiguousarray(freqs.T)
    match_one_volume(*data, *turned, *geometry, gram[1], inner[1])
    np.testing.assert_allclose(gram[1], gram[0], rtol=1e-4)
    np.testing.assert_allclose(inner[1], inner[0], atol=1e-4 * np.abs(inner[0]).max())


def test_a_model_is_not_compared_beyond_the_frequency_it_is_known_to():
    score = scored(1)
    known = replace(score, bank=SliceBank(model_of(lopsided_map(BOX)[None], 4)))
    poses = torch.from_numpy(random_matrices(2, np.random.default_rng(0)).astype(np.float32)), torch.zeros(1, 2)
    assert torch.equal(known.shared(*poses, 7), known.shared(*poses, 4))


def test_weights_follow_the_tempered_likelihood():
    weights = tempered(torch.tensor([[0.0, -1.0, -torch.inf, -50.0], [3.0, 3.0, 3.0, 3.0]]), 0.5)
    assert weights.dtype == torch.float64
    np.testing.assert_allclose(weights[0], [1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(0.5)), 0, 0])
    np.testing.assert_allclose(weights[1], 0.25)


def test_maps_and_placements_of_some_species_only():
    models = [[object(), object(), object()]]
    kept = Maps(models, np.array([0.5, 0.2, 0.3])).only([0, 2])
    assert kept.models == [[models[0][0], models[0][2]]]
    np.testing.assert_allclose(kept.populations, [0.625, 0.375])
    placed = replace(Placement.unknown(4, 3), species=np.array([2, 1, -1, 0]), lag=np.tile([0.0, 40.0, 50.0], (4, 1)))
    left = placed.only([0, 2])
    np.testing.assert_array_equal(left.species, [1, -1, -1, 0])
    np.testing.assert_array_equal(left.lag, [[0, 50], [0, 0], [0, 0], [0, 50]])


def test_empty_species_are_dropped_and_one_always_stays():
    models = [[object(), object(), object()]]
    assert Maps(models, np.array([0.98, 0.0005, 0.0195])).occupied(0.01) == [0, 2]
    assert Maps(models, np.array([0.2, 0.5, 0.3])).occupied(2.0) == [1]


def test_errors_of_a_map_are_told_from_noise_shell_by_shell():
    score, rng = scored(1, images=200), np.random.default_rng(3)
    model, lattice = score.bank.model, score.bank.lattice
    rotations, moves = random_matrices(200, rng).astype(np.float32), rng.uniform(-0.1, 0.1, (200, 2))
    factors = np.where(np.arange(lattice.shells.max() + 1) < 4, 9.0, 1.0)
    turned = torch.from_numpy(rotations)
    slices = model.backend.mix(model.coefs, torch.ones(200, 1), turned, lattice.size).numpy()
    spread = np.sqrt(factors[lattice.shells] / score.weights.numpy())
    error = (rng.standard_normal(slices.shape) + 1j * rng.standard_normal(slices.shape)) * spread
    seen = slices * np.exp(-2j * np.pi * moves @ lattice.indices.T) + error
    targets = torch.from_numpy((score.weights.numpy() * seen).astype(np.complex64))
    batch = WhitenedBatch(targets, score.weights, turned, np.arange(200))
    misfit = Misfit(lattice, Compute())
    misfit.add(model, batch, turned, torch.from_numpy(moves))
    np.testing.assert_allclose(misfit.factor()[1:], factors[1:], rtol=0.15)
    known = with_misfit(batch, factors, lattice)
    np.testing.assert_allclose(known.targets / known.weights, seen, rtol=1e-4)
    np.testing.assert_allclose(
        batch.weights / known.weights, np.broadcast_to(factors[lattice.shells], seen.shape), rtol=1e-5
    )


# --- recovery ---------------------------------------------------------------------------------------------------------


def simulated(folder, ensemble: Ensemble, n: int, snr: float = 1.0, ctf: bool = True):
    settings = SimulationConfig(n_particles=n, box=32, pixel_size_ang=3.5, snr=snr, shift_px=2.0, ctf=ctf)
    return simulate_particles(ensemble, settings, folder, seed=3)


@pytest.fixture(scope="module")
def rigid(tmp_path_factory):
    """A rigid chain; its star file has true poses, which ab initio must not look at."""
    return simulated(tmp_path_factory.mktemp("rigid"), tiny_ensemble(1), 500)


def run_of(star, out, **overrides):
    config = recipe_config("abinitio", {"particles": str(star), "seed": 1, **QUICK, **overrides})
    run = Run.create(out, config)
    with run.working():
        fit(run, config)
    return run


def errors(run: Run, star, among=slice(None)):
    found, truth = read_particles(run.poses_file), np.load(star.parent / "truth.npz")
    return align_poses(
        matrices_from_euler(found.euler_deg)[among],
        truth["rotations"][among],
        -found.origins_ang[among],
        truth["shifts_ang"][among],
    )


def against_the_truth(star) -> np.ndarray:
    """(N,) errors in degrees of the same search against the true map."""
    dataset, truth = ParticleDataset.open(star).without_poses(), np.load(star.parent / "truth.npz")
    images = WhitenedImages(dataset, estimate_noise(dataset))
    batch = next(images.passes(dataset.lattice.size))
    extent_ang = dataset.box * dataset.pixel_size_ang
    score = LinearScore(SliceBank(true_model(star)), batch.targets, batch.weights, extent_ang)
    poses = PoseConfig(shift_extent=0.1, shift_steps=6)
    found = HierarchicalSearch(poses, dataset.box, dataset.pixel_size_ang).infer(score).best.rotations[:, 0]
    return angular_distance_deg(found.numpy(), truth["rotations"][batch.index])


def test_the_poses_of_a_rigid_molecule_are_found(rigid, tmp_path):
    run = run_of(rigid, tmp_path / "run", z_dim=0, **{"ab_initio.starts": 2})
    assert np.median(errors(run, rigid).angle_deg) < 2.5 * np.median(against_the_truth(rigid))
    volume, pixel = read_map(run.found_map_file(1))
    other, _ = read_map(run.found_map_file(1, "other_hand"))
    assert pixel == pytest.approx(3.5)
    np.testing.assert_array_equal(other, mirrored_map(volume))
    decoded = load_decoder(run).volume(None)
    assert np.corrcoef(decoded.ravel(), volume.ravel())[0, 1] > 0.99
    assert run.latents().z.shape == (500, 0)


def engine_for(star) -> PoseRounds:
    dataset = ParticleDataset.open(star).without_poses()
    return PoseRounds(dataset, estimate_noise(dataset), PoseConfig(), 1.5, seed=0)


def test_a_local_round_moves_poses_to_the_best_ones_nearby(tmp_path):
    star = simulated(tmp_path, tiny_ensemble(1), 300, snr=30.0, ctf=False)
    engine, truth, rng = engine_for(star), np.load(star.parent / "truth.npz"), np.random.default_rng(4)
    turned = Rotation.from_rotvec(rng.normal(0, 0.02, (300, 3))).as_matrix() @ truth["rotations"]
    found = {"rotations": turned.astype(np.float32), "shifts_ang": truth["shifts_ang"].astype(np.float32)}
    engine.placement = replace(engine.placement, species=np.zeros(300, np.int64), **found)
    plan = Round(15, 300, 1.0, 1, crossed=True, masked=True, met="own", local=True)
    engine.advance(Maps([[true_model(star)]], np.ones(1)), plan, rng)
    before = angular_distance_deg(turned, truth["rotations"])
    after = angular_distance_deg(engine.placement.rotations, truth["rotations"])
    assert np.median(before) > 1.5
    assert np.median(after) < 0.5


def test_a_species_whose_map_is_wrong_finds_a_better_one_among_its_own_images(rigid, few_starts):
    config = recipe_config("abinitio", {"particles": str(rigid), "z_dim": 0, "ab_initio.species": 2, **QUICK})
    recipe = AbInitio(config, ParticleDataset.open(rigid).without_poses())
    recipe.engine.placement = replace(recipe.engine.placement, species=np.arange(500) % 2)
    true, wrong = read_map(rigid.parent / "maps" / "state_000.mrc")[0], lopsided_map(32)
    models = [model_of(volume[None], 12) for volume in (wrong * true.std() / wrong.std(), true)]
    progress = Progress(maps=Maps([models], np.full(2, 0.5)))
    steps = recipe.steps(progress)
    parting = [number for number, step in enumerate(steps) if step.phase == "part"]
    with_wrong = recipe.engine.advance(progress.maps, steps[parting[-1]].plan, np.random.default_rng(0)).of_species
    assert with_wrong[0] < 0.95 * with_wrong[1]
    for progress.done in parting:
        recipe.advance(progress)
    assert progress.best_score[0] - with_wrong[0] > 0.5 * (with_wrong[1] - with_wrong[0])
    assert progress.best_score[1] > 0.98 * with_wrong[1]


def test_the_rounds_of_several_species_come_in_order():
    config = recipe_config("abinitio", {"ab_initio.species": 2, **QUICK})
    stages = Stages.of(config.ab_initio, config.poses, 32, 1000, species=2)
    steps = stages.steps(starts=2, drops=True, repeats=3, moving=1)
    phases = [phase for phase, _ in groupby(step.phase for step in steps)]
    assert phases == ["settle", "sort", "pair", "sort", "part", "refine", "move"]
    assert [step.start for step in steps if step.begins] == [0, 1, 2, 3, 4, *[2, 3, 4, 5]]
    judged = [step for step in steps if step.judged]
    assert [step.judged for step in judged if step.phase == "settle"] == ["first", "again"]
    for phase, starts in (("pair", 3), ("part", 4)):
        # The likeliest start ripens, and is held against what was before; both pairs are judged by the same images.
        *of_starts, ripe, before = (step for step in judged if step.phase == phase)
        assert [step.judged for step in of_starts] == ["first", *["again"] * (starts - 1)]
        assert (ripe.judged, before.judged) == ("first", "again")
        assert ripe.number == before.number and len({step.number for step in of_starts}) == 1
        assert [step.phase for step in steps if step.returns].count(phase) == 1
        assert next(step for step in steps if step.phase == phase).anew
    assert [step.plan.local for step in steps if step.phase == "refine"] == [False] * 4 + [True] * 4
    conformers = Stages.of(config.ab_initio, config.poses, 32, 1000, species=2, distinct=False)
    assert "pair" not in {step.phase for step in conformers.steps(2, False, 0, 1)}
    alone = Stages.of(recipe_config("abinitio", QUICK).ab_initio, config.poses, 32, 1000)
    assert {step.phase for step in alone.steps(1, False, 0, 0)} == {"settle", "refine"}


def test_angles_and_origins_of_the_file_are_not_looked_at(rigid, tmp_path):
    turned = rigid.with_name("turned.star")
    table = read_particles(rigid)
    frame = table.frame.assign(rlnAngleRot="12.0", rlnAngleTilt="34.0", rlnAnglePsi="56.0", rlnOriginXAngst="3.0")
    write_star(turned, {**table.tables, "particles": frame})
    few = {"ab_initio.rounds": 2, "ab_initio.refinements": 1, "ab_initio.most_climbs": 0, "z_dim": 0}
    first, second = run_of(rigid, tmp_path / "a", **few), run_of(turned, tmp_path / "b", **few)
    np.testing.assert_array_equal(
        read_particles(first.poses_file).euler_deg, read_particles(second.poses_file).euler_deg
    )


def test_two_kinds_of_molecule_are_told_apart_while_their_poses_are_found(tmp_path, few_starts):
    chain = tiny_ensemble(1).states[0]
    half = chain[np.arange(len(chain.coords_ang)) < 60]
    both = Ensemble([chain, half], np.arange(2.0), np.ones(2), ("whole", "half"))
    star = simulated(tmp_path / "set", both, 300)
    run = run_of(
        star,
        tmp_path / "run",
        z_dim=0,
        **{"ab_initio.species": 2, "ab_initio.rounds": 8, "ab_initio.refinements": 1, "poses.levels": 2},
    )
    species = read_particles(run.poses_file).frame["rlnClassNumber"].to_numpy().astype(int) - 1
    state = np.load(star.parent / "truth.npz")["state"]
    right = max((species == state).mean(), (species != state).mean())
    assert right > 0.9
    belongs = run.latents().states
    np.testing.assert_array_equal(belongs.argmax(1), species)
    np.testing.assert_array_equal(run.latents().z, belongs)
    # Particles are as often right as they are said to be.
    assert abs(belongs.max(1).mean() - right) < 0.05
    for number in range(2):
        # A decoder's volumes end at its last shell; a map that was confined to its mask goes a little beyond.
        volume, written = load_decoder(run).volume(np.eye(2)[number]), read_map(run.found_map_file(number + 1))[0]
        assert np.corrcoef(volume.ravel(), written.ravel())[0, 1] > 0.998


def test_conformers_of_which_one_is_left_end_as_a_molecule_kept_whole(rigid):
    config = recipe_config("abinitio", {"particles": str(rigid), "z_dim": 2, **QUICK, "ab_initio.conformers": 2})
    recipe = AbInitio(config, ParticleDataset.open(rigid).without_poses())
    model = model_of(lopsided_map(32)[None], 15)

    def moving_rounds(maps: Maps | None) -> int:
        return sum(step.phase == "move" for step in recipe.steps(Progress(maps=maps)))

    assert moving_rounds(None) == moving_rounds(Maps([[model, model]] * 2, np.full(2, 0.5))) == 0
    assert moving_rounds(Maps([[model]] * 2, np.ones(1))) == config.ab_initio.moving_rounds > 0


@pytest.mark.parametrize("conformers", [1, 2])
def test_a_moving_molecule_gets_poses_and_a_latent_space(tmp_path, conformers, few_starts):
    star = simulated(tmp_path / "set", tiny_ensemble(6, 0.3), 300)
    closed = {"closed_form.n_components": 3, "closed_form.iterations": 3, "closed_form.nodes": 8}
    few = {"ab_initio.conformers": conformers, "ab_initio.rounds": 10, "ab_initio.refinements": 3}
    run = run_of(star, tmp_path / "run", z_dim=2, **closed, **few)
    assert np.median(errors(run, star).angle_deg) < 20
    assert run.latents().z.shape == (300, 2)
    rows = run.metrics()
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    # Stopped between the last round and the end, it ends the same: conformers are joined from the checkpoint alone.
    ended = run.poses_file.read_bytes()
    run.poses_file.unlink()
    resumed = Run.create(run.path, run.config, resume=True)
    with resumed.working():
        fit(resumed, resumed.config, resume=True)
    assert resumed.poses_file.read_bytes() == ended


def test_what_frames_of_conformers_are_wrong_by_is_made_good_together(tmp_path, monkeypatch):
    star = simulated(tmp_path / "set", tiny_ensemble(1), 400, snr=2.0)
    engine, truth = engine_for(star), np.load(star.parent / "truth.npz")
    which, wrong = np.arange(400) % 2, Rotation.from_rotvec([0.0, np.radians(2.0), 0.0]).as_matrix()
    found = {"rotations": truth["rotations"].astype(np.float32), "shifts_ang": truth["shifts_ang"].astype(np.float32)}
    engine.placement = replace(engine.placement, species=which, **found)
    model = true_model(star)
    frame = CommonFrame(np.stack([np.eye(3), wrong]), np.zeros((2, 3)), np.zeros(2, bool), 32)
    monkeypatch.setattr(conformers, "common_frame", lambda *_: frame)
    run = Run.create(tmp_path / "run", recipe_config("abinitio", {"particles": str(star)}))
    local = Round(15, 400, 1.0, 1, crossed=True, masked=True, met="own", local=True)
    maps = conformers.join_conformers(run, engine, Maps([[model, model]] * 2, np.full(2, 0.5)), local)
    turns = np.swapaxes(truth["rotations"], 1, 2) @ engine.placement.rotations
    first, second = (Rotation.from_matrix(turns[which == each]).mean() for each in range(2))
    assert np.degrees((first.inv() * second).magnitude()) < 1.0
    assert maps.n_species == 1 and not engine.placement.species.any()


def test_a_killed_search_resumes_bit_for_bit(rigid, tmp_path):
    command = ["abinitio", str(rigid), "--homogeneous"]
    for name, value in {**QUICK, "ab_initio.rounds": 5, "ab_initio.refinements": 1}.items():
        command += [f"--{name}", str(value)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    in_a_process = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", *command, "--out", str(killed)]
    process = subprocess.Popen(in_a_process, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (killed / "checkpoints" / "poses.pt").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert Run.open(killed).status == "stopped"
    assert main([*command, "--out", str(killed), "--resume"]) == main([*command, "--out", str(whole)]) == 0
    assert (killed / "poses.star").read_bytes() == (whole / "poses.star").read_bytes()
    for name in ("score", "radius"):
        assert [row[name] for row in Run.open(killed).metrics()] == [row[name] for row in Run.open(whole).metrics()]
