"""Ab initio with several images of each particle: one pose and one half-set for all, and better poses than without."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.rounds import PoseRounds
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map

pytestmark = pytest.mark.slow

PAIRS, BOX = 150, 24
QUICK = {
    **{
        "z_dim": 0,
        "ab_initio.rounds": 10,
        "ab_initio.refinements": 3,
        "ab_initio.starts": 1,
        "ab_initio.more_starts": 1,
        "ab_initio.most_climbs": 1,
    },
    **{"ab_initio.images_per_round": 300, "poses.levels": 2, "poses.shift_extent": 0.06},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    config = SimulationConfig(
        n_particles=PAIRS, box=BOX, snr=0.5, shift_px=1.0, ctf=False, pixel_size_ang=4.0, tilt_deg=45.0
    )
    return simulate_particles([lopsided_map(BOX)], config, tmp_path_factory.mktemp("pairs"), seed=1)


def found(star, folder) -> tuple[np.ndarray, np.ndarray]:
    config = recipe_config("abinitio", {**QUICK, "particles": str(star)})
    run = Run.create(folder, config)
    with run.working():
        fit(run, config)
    table = run.particles()
    return matrices_from_euler(table.euler_deg), -table.origins_ang


def test_pairs_are_placed_as_pairs_and_better_than_one_by_one(pairs, tmp_path):
    truth = np.load(pairs.parent / "truth.npz")
    tables = read_star(pairs)
    untied = pairs.parent / "untied.star"
    write_star(untied, {**tables, "particles": tables["particles"].drop(columns="rlnTomoParticleName")})
    tied, alone = found(pairs, tmp_path / "tied"), found(untied, tmp_path / "untied")
    angles_deg = [
        align_poses(rotations, truth["rotations"], shifts, truth["shifts_ang"]).angle_deg
        for rotations, shifts in (tied, alone)
    ]
    series = find_series(ParticleDataset.open(pairs))
    first, second = series.images.T
    between = tied[0][second] @ np.swapaxes(tied[0][first], 1, 2)
    np.testing.assert_allclose(between, np.broadcast_to(series.tilts[0, 1], between.shape), atol=1e-4)
    np.testing.assert_allclose(tied[1][second], tied[1][first], atol=1e-3)
    assert np.median(angles_deg[0]) < 7
    assert np.median(angles_deg[0]) < 0.6 * np.median(angles_deg[1])


def test_images_of_a_particle_are_in_one_half_set(pairs):
    dataset = ParticleDataset.open(pairs)
    config, series = recipe_config("abinitio", QUICK), find_series(dataset)
    rounds = PoseRounds(dataset.without_poses(), estimate_noise(dataset), config.poses, 2.0, 0, series)
    assert (rounds.half[series.images[:, 0]] == rounds.half[series.images[:, 1]]).all()
    assert rounds.half.sum() == PAIRS


def test_pairs_of_two_kinds_of_molecule_are_told_apart(tmp_path, few_starts):
    whole = lopsided_map(BOX)
    other = whole * (np.arange(BOX) > BOX // 2)  # a half of it
    config = SimulationConfig(
        n_particles=PAIRS, box=BOX, snr=1.0, shift_px=1.0, ctf=False, pixel_size_ang=4.0, tilt_deg=45.0
    )
    star = simulate_particles([whole, other], config, tmp_path / "set", seed=2)
    settings = {**QUICK, "ab_initio.species": 2, "ab_initio.refinements": 1, "particles": str(star)}
    run = Run.create(tmp_path / "run", recipe_config("abinitio", settings))
    with run.working():
        fit(run, run.config)
    species = run.particles().frame["rlnClassNumber"].to_numpy().astype(int) - 1
    series, state = find_series(ParticleDataset.open(star)), np.load(star.parent / "truth.npz")["state"]
    assert (species[series.images[:, 0]] == species[series.images[:, 1]]).all()
    assert max((species == state).mean(), (species != state).mean()) > 0.9
