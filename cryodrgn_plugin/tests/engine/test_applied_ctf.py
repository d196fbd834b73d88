"""What was done about the CTF is read off the images where the file is wrong, and nothing is read into clean ones."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.vetting.applied_ctf import settled
from cryodrgn_plugin.engine.vetting.at_start import vetted
from cryodrgn_plugin.engine.vetting.case import FLIPPED, MULTIPLIED, SIGNED
from cryodrgn_plugin.engine.vetting.transfer import NONE

from .particle_files import ctf_params, molecule, optics, project, rows, write_set

pytestmark = pytest.mark.slow

COUNT, BOX, PIXEL = 400, 32, 4.0
CHANGES = {"none": np.ones_like, "flipped": np.sign, "multiplied": lambda ctf: ctf}
CORRECTED = "corrected"
FLAGS = {
    "none": {},
    "flipped": {"rlnCtfDataArePhaseFlipped": 1},
    "multiplied": {"rlnCtfDataAreCtfPremultiplied": 1},
}


def particle_set(folder, done: str, said: str, *, noise=2.0, seed=3, with_poses=True):
    """Images to which something was `done` beside a file that says something else, or the same."""
    group, table = optics(box=BOX, pixel_ang=PIXEL) | FLAGS[said], rows(COUNT, seed=seed)
    images = project(molecule(width_ang=4.0), table, group, with_ctf=done != CORRECTED)
    images = images / images.std() + noise * np.random.default_rng(seed).normal(size=images.shape)
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    ctf = evaluate_ctf(ctf_params(table, group), lattice.indices / (BOX * PIXEL))
    images = lattice.images(lattice.spectra(images) * CHANGES.get(done, np.ones_like)(ctf))
    if not with_poses:
        table = table.drop(columns=[name for name in table if name.startswith(("rlnAngle", "rlnOrigin"))])
    return write_set(folder, images.astype(np.float32), table, [group])


def config_of(star, recipe="homogeneous", **settings):
    return recipe_config(recipe, {"particles": str(star), **settings})


@pytest.mark.parametrize("said", FLAGS)
@pytest.mark.parametrize("done", CHANGES)
def test_what_was_done_is_found_whatever_the_file_says(tmp_path, done, said):
    found = vetted(config_of(particle_set(tmp_path, done, said)))
    dataset = found.dataset
    assert (dataset.ctf_multiplied.all(), dataset.source.phase_flipped.all()) == (
        done == "multiplied",
        done == "flipped",
    )
    told = [sentence for sentence in found.sentences if "that is believed" in sentence]
    assert len(told) == (done != said) and found.notes == ({"ctf_applied": done} if done != said else {})
    (tmp_path / "right").mkdir()
    flagged = ParticleDataset.open(particle_set(tmp_path / "right", done, done))
    np.testing.assert_array_equal(reconstruct(dataset).volume, reconstruct(flagged).volume)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [1.5, 4.0])
def test_nothing_is_read_into_clean_sets(tmp_path, noise, seed):
    found = vetted(config_of(particle_set(tmp_path, "none", "none", noise=noise, seed=seed)))
    assert found.notes == {} and not any("believed" in sentence for sentence in found.sentences)


@pytest.mark.parametrize("done", ["none", "multiplied"])
def test_without_poses_the_noise_tells(tmp_path, done):
    found = vetted(config_of(particle_set(tmp_path, done, "none", with_poses=False), "abinitio"), poses_given=False)
    assert found.dataset.ctf_multiplied.all() == (done == "multiplied")


@pytest.mark.parametrize("asked", CHANGES)
def test_a_setting_overrules_file_and_images(tmp_path, asked):
    config = config_of(particle_set(tmp_path, "multiplied", "flipped"), **{"data.ctf_applied": asked})
    found = vetted(config)
    assert found.dataset.ctf_multiplied.all() == (asked == "multiplied")
    assert found.dataset.source.phase_flipped.all() == (asked == "flipped")
    assert found.notes == {}


def test_images_without_noise_are_told_by_their_signal(tmp_path):
    for done in ("none", "flipped"):
        (tmp_path / done).mkdir()
        found = vetted(config_of(particle_set(tmp_path / done, done, "none", noise=0.0)))
        assert found.notes == ({"ctf_applied": done} if done != "none" else {})


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_ctf_columns_beside_images_without_ctf_are_not_believed(tmp_path, noise):
    found = vetted(config_of(particle_set(tmp_path, CORRECTED, "none", noise=noise)))
    assert found.notes == {"ctf_applied": CORRECTED} and found.dataset.ctf_params is None
    assert any("they look free of any CTF" in sentence for sentence in found.sentences)


def test_a_few_images_tell_nothing(tmp_path):
    star = particle_set(tmp_path, "flipped", "none")
    assert vetted(config_of(star, **{"data.max_particles": "60"})).notes == {}


def test_weak_or_contradictory_evidence_changes_nothing():
    assert settled(SIGNED, 0.1, {FLIPPED: 4.0, MULTIPLIED: 30.0}) == SIGNED
    assert settled(SIGNED, 0.9, {FLIPPED: -9.0, MULTIPLIED: -20.0}) == SIGNED
    assert settled(SIGNED, 0.9, {}) == MULTIPLIED and settled(MULTIPLIED, 0.05, {}) == SIGNED
    assert settled(MULTIPLIED, 0.05, {FLIPPED: 8.0, SIGNED: 3.0}) == FLIPPED
    assert settled(SIGNED, 0.1, {FLIPPED: 30.0, MULTIPLIED: 3.0, NONE: -0.1}) == FLIPPED
    assert settled(SIGNED, 0.1, {FLIPPED: 30.0, MULTIPLIED: 3.0, NONE: 31.0}) == NONE
    assert settled(MULTIPLIED, 0.4, {FLIPPED: 3.0, SIGNED: 3.0}) == MULTIPLIED


def test_what_was_found_is_kept_for_whoever_looks_at_the_run(tmp_path):
    star = particle_set(tmp_path, "multiplied", "none")
    config = config_of(star)
    run = Run.create(tmp_path / "run", config)
    with run.working():
        fit(run, config)
    assert "look multiplied by their CTF" in run.log_file.read_text()
    assert Run.open(run.path).info["notes"]["ctf_applied"] == "multiplied"
    assert images_of(Run.open(run.path)).ctf_multiplied.all()


def test_multiplied_images_are_seen_through_the_squared_ctf_by_who_does_not_allow_for_them(tmp_path):
    dataset = ParticleDataset.open(particle_set(tmp_path, "multiplied", "multiplied"))
    squared = dataset.through_squared_ctf()
    index = np.arange(5)
    np.testing.assert_array_equal(squared.batch(index).ctf, dataset.batch(index).ctf ** 2)
    assert not squared.subset(index).ctf_multiplied.any() and dataset.ctf_multiplied.all()
    both = [reconstruct(one, mask="sphere").volume.ravel() for one in (dataset, squared)]
    assert np.corrcoef(both)[0, 1] > 0.95
