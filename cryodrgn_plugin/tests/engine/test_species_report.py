"""What each of several species goes on with: particle files, how sure particles are, images that no map explains."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.ab_initio.found_maps import fit_species, save_maps
from cryodrgn_plugin.engine.ab_initio.membership import memberships
from cryodrgn_plugin.engine.ab_initio.placement import Placement
from cryodrgn_plugin.engine.analysis.found_states import found_states
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.species_report import leave_species
from cryodrgn_plugin.engine.selection.species_sheet import broad_side
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map, tiny_ensemble

N, JUNK = 480, 0.15


@pytest.fixture(scope="module")
def told_apart(tmp_path_factory):
    """A run that has found the true poses and species of a chain and of its first half, whose last fifth is unsure; and
    what its images show."""
    folder, chain = tmp_path_factory.mktemp("species"), tiny_ensemble(1).states[0]
    both = Ensemble([chain, chain[np.arange(120) < 60]], np.arange(2.0), np.array([3.0, 1.0]), ("whole", "half"))
    settings = SimulationConfig(n_particles=N, box=24, pixel_size_ang=4.7, snr=1.0, shift_px=1.0, junk_share=JUNK)
    star = simulate_particles(both, settings, folder / "set", seed=3)
    run = Run.create(folder / "run", recipe_config("abinitio", {"particles": str(star), "ab_initio.species": 0}))
    dataset, truth = ParticleDataset.open(star), dict(np.load(star.parent / "truth.npz"))
    species = truth["state"].astype(int)
    belongs = np.where(species[:, None] == np.arange(2), 0.99, 0.01).astype(np.float32)
    belongs[-N // 5 :] = np.where(species[-N // 5 :, None] == np.arange(2), 0.6, 0.4)
    with run.working():
        poses = dataset.rotations, dataset.shifts_ang
        run.save_poses(dataset.rows, *poses, species=species, probability=belongs.max(1))
        fit_species(run, run.config, dataset, save_maps(run, dataset, species, 2, 0), belongs)
    leave_species(run)
    return run, truth


def test_every_species_has_its_particles_with_what_is_known_of_each(told_apart):
    run, truth = told_apart
    results = run.results("species")
    for number, told in enumerate(results.index["species"], start=1):
        listed = read_particles(results.file(f"species_{number:03d}"))
        members = truth["state"] == number - 1
        assert told["particles"] == listed.n == members.sum()
        np.testing.assert_allclose(listed.euler_deg, read_particles(run.poses_file).euler_deg[members])
        assert (listed.numbers("rlnClassNumber") == number).all()
        assert told["sure"] == (listed.numbers("cryodrgnClassProbability") > 0.9).sum() < told["particles"]
        np.testing.assert_allclose(listed.numbers("cryodrgnOutlier"), results.arrays["outlier"][members], rtol=1e-5)
        assert ParticleDataset.open(listed.path).images([0]).shape == (1, 24, 24)
        assert told["resolution_ang"] < 20
    assert results.figures["species"].stat().st_size > 10_000


def test_images_that_show_no_species_are_told_from_those_that_do(told_apart):
    run, truth = told_apart
    told = run.results("species").index["species"]
    outlier, junk = run.results("species").arrays["outlier"], truth["kind"] > 0
    good = np.median(outlier[~junk])
    assert np.median(outlier[junk]) - good > 3
    assert 0.4 * junk.sum() < sum(kind["unexplained"] for kind in told) < 1.2 * junk.sum()


def test_the_states_of_each_species_are_looked_for_with_a_command_of_its_own(told_apart):
    run, _ = told_apart
    commands = run.results("species").file("script").read_text().splitlines()
    assert '--out "${run}_species_001"' in commands[2] and "species/species_001.star" in commands[2]
    assert commands[3].startswith("# Species 2 has ") and len(commands) == 4


def test_species_are_separate_states_that_keep_their_numbers(told_apart):
    run, truth = told_apart
    np.testing.assert_array_equal(found_states(run.latents()).labels, truth["state"])


def test_a_particle_is_as_sure_of_its_species_as_it_lacks_of_the_others():
    placed = Placement.unknown(3, 2)
    placed.species[:] = [0, 1, 1]
    placed.lag[:] = [[0.0, np.log(4.0)], [3.0, 0.0], [0.0, 2.0]]
    belongs = memberships(placed, np.array([0.2, 0.8]))
    np.testing.assert_allclose(belongs[0], [0.5, 0.5], rtol=1e-5)
    np.testing.assert_allclose(belongs[1], np.array([np.exp(-3) / 4, 1.0]) / (1 + np.exp(-3) / 4), rtol=1e-5)
    # Put into the second by poses that were moved since: as probable as the best.
    assert belongs[2, 1] >= belongs[2, 0]
    np.testing.assert_allclose(belongs.sum(1), 1, rtol=1e-6)


def test_a_map_is_shown_from_its_broad_side():
    z, y, x = np.indices((24, 24, 24)) - 12
    brick = (np.exp(-((z / 7) ** 2 + (y / 1.5) ** 2 + (x / 4) ** 2))).astype(np.float32)
    turned = broad_side(brick)
    widths = [np.sqrt((turned * axis**2).sum() / turned.sum()) for axis in (z, y, x)]
    assert widths[1] > 1.5 * widths[2] > 2 * widths[0]
    assert broad_side(lopsided_map(16)).shape == (16, 16, 16)
