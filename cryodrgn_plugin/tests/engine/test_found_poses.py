"""Poses that a run has found: a star file with the original's columns, that every reader of the run then sees."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.cli.info_command import about_run
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io.found_poses import posed_frame, tables_with
from cryodrgn_plugin.engine.io.particles import EULER, ParticleTable, read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.run import Run

from .particle_files import small_set

N = 12


@pytest.fixture
def run(tmp_path) -> Run:
    (tmp_path / "data").mkdir()
    return Run.create(tmp_path / "run", RunConfig(particles=str(small_set(tmp_path / "data", N))))


@pytest.fixture
def poses() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return random_matrices(N, rng), rng.uniform(-9, 9, (N, 2))


def test_saved_poses_are_the_poses_of_a_dataset_opened_from_them(run, poses):
    rotations, shifts_ang = poses
    run.save_poses(np.arange(N), rotations, shifts_ang)
    dataset = ParticleDataset.open(run.poses_file)
    np.testing.assert_allclose(dataset.rotations, rotations, atol=1e-6)
    np.testing.assert_allclose(dataset.shifts_ang, shifts_ang, atol=1e-5)


def test_every_other_column_and_the_order_of_rows_are_the_originals(run, poses):
    before = read_star(run.given_file)
    order = np.random.default_rng(1).permutation(N)
    run.save_poses(order, poses[0][order], poses[1][order])
    after = read_star(run.poses_file)
    same = [name for name in before["particles"] if name not in (*EULER, "rlnOriginXAngst", "rlnOriginYAngst")]
    pd.testing.assert_frame_equal(after["particles"][same], before["particles"][same])
    assert list(after["particles"]) == list(before["particles"])
    pd.testing.assert_frame_equal(after["optics"], before["optics"])
    np.testing.assert_allclose(
        after["particles"][["rlnOriginXAngst", "rlnOriginYAngst"]], -poses[1].astype(np.float32), atol=1e-5
    )


def test_origins_in_pixels_give_way_to_origins_in_angstrom(tmp_path, poses):
    old = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1}@a.mrcs" for i in range(N)],
            "rlnDetectorPixelSize": 5.0,
            "rlnMagnification": 20000.0,
            "rlnOriginX": 3.0,
            "rlnOriginY": 4.0,
        }
    )
    write_star(tmp_path / "old.star", {"": old})
    run = Run.create(tmp_path / "run", RunConfig(particles=str(tmp_path / "old.star")))
    run.save_poses(np.arange(N), *poses)
    found = read_particles(run.poses_file)
    assert "rlnOriginX" not in found.frame
    np.testing.assert_allclose(found.origins_ang, -poses[1], rtol=1e-8)


def test_species_become_classes_and_the_class_before_is_kept(run, poses):
    star = read_star(run.given_file)
    write_star(run.given_file, {**star, "particles": star["particles"].assign(rlnClassNumber=7)})
    species = np.arange(N) % 3
    run.save_poses(np.arange(N), *poses, species=species, score=np.linspace(-5, 5, N))
    frame = read_particles(run.poses_file).frame
    assert (frame["rlnClassNumber"] == species + 1).all() and (frame["cryodrgnFormerClassNumber"] == 7).all()
    np.testing.assert_allclose(frame["rlnLogLikeliContribution"], np.linspace(-5, 5, N))


def test_the_particles_of_a_run_carry_the_poses_it_found(run, poses):
    assert angular_distance_deg(matrices_from_euler(run.particles().euler_deg), poses[0]).min() > 1
    run.save_poses(np.arange(N), *poses)
    assert angular_distance_deg(matrices_from_euler(run.particles().euler_deg), poses[0]).max() < 1e-3


def test_info_says_that_a_run_found_its_poses(run, poses):
    assert "poses" not in dict(about_run(run.path)[1])
    run.save_poses(np.arange(N), *poses)
    assert dict(about_run(run.path)[1])["poses"] == "found by the run, in poses.star"


def test_poses_of_a_part_of_the_particles_keep_their_rows(run, poses):
    rows = np.array([9, 2, 5])
    run.save_poses(rows, poses[0][rows], poses[1][rows], species=np.array([0, 1, 0]))
    assert len(read_star(run.poses_file)["particles"]) == 3
    table = run.particles()
    assert table.n == N
    assert np.isfinite(table.euler_deg).all(axis=1).nonzero()[0].tolist() == [2, 5, 9]
    np.testing.assert_allclose(table.origins_ang[rows], -poses[1][rows], rtol=1e-8)
    assert table.frame["rlnImageName"].tolist() == read_particles(run.given_file).frame["rlnImageName"].tolist()
    assert table.frame["rlnClassNumber"][rows].tolist() == [1, 2, 1]


def test_a_defocus_that_was_found_is_written_and_the_others_stay(run, poses):
    """The particles whose poses were not looked for keep the defocus that they have."""
    before, rows = read_star(run.given_file)["particles"], np.array([9, 2, 5])
    moved_ang = np.array([100.0, -250.0, 30.0])
    run.save_poses(rows, poses[0][rows], poses[1][rows], defocus_moved_ang=moved_ang)
    expected = before[["rlnDefocusU", "rlnDefocusV"]].to_numpy(float)
    expected[rows] += moved_ang[:, None]
    for table, kept in ((run.particles(), slice(None)), (read_particles(run.poses_file), np.sort(rows))):
        np.testing.assert_allclose(table.frame[["rlnDefocusU", "rlnDefocusV"]].to_numpy(float), expected[kept])
    assert ParticleDataset.open(run.poses_file).ctf_params.defocus_u_ang == pytest.approx(expected[np.sort(rows), 0])


def test_a_part_of_a_part_keeps_the_rows_of_its_own_particles(run, poses, tmp_path):
    rows = np.array([2, 5, 9])
    run.save_poses(rows, poses[0][rows], poses[1][rows])
    second = Run.create(tmp_path / "second", RunConfig(particles=str(run.poses_file)))
    second.save_poses(np.array([1]), poses[0][:1], poses[1][:1])
    np.testing.assert_allclose(second.particles().origins_ang[1], -poses[1][0], rtol=1e-8)
    second.save_poses(np.arange(3), poses[0][:3], poses[1][:3])
    np.testing.assert_allclose(second.particles().origins_ang, -poses[1][:3], rtol=1e-8)


def test_images_of_a_runs_list_are_found_where_the_run_found_them(run, poses, tmp_path, monkeypatch):
    run.save_poses(np.arange(N), *poses)
    monkeypatch.chdir(tmp_path / "run")
    given = ParticleDataset.open(run.given_file)
    np.testing.assert_array_equal(ParticleDataset.open(run.poses_file).images([3]), given.images([3]))


def test_tilt_images_become_particles_of_a_table_of_their_own(tmp_path):
    images = pd.DataFrame({"rlnImageName": ["1@a.mrcs", "2@a.mrcs"], "rlnOpticsGroup": [1, 1]})
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnImagePixelSize": [12.0]})
    series = {"particles": pd.DataFrame({"rlnTomoParticleName": ["tomo/1"]})}
    table = ParticleTable(tmp_path / "set.star", images, optics, series)
    frame = posed_frame(table, np.arange(2), np.stack([np.eye(3)] * 2), np.array([[1.0, 2.0], [0.0, 0.0]]))
    written = tables_with(table, frame)
    assert written["optics"] is optics
    assert written["particles"]["rlnImageName"].tolist() == ["1@a.mrcs", "2@a.mrcs"]
    assert written["particles"]["rlnOriginXAngst"].tolist() == [-1.0, 0.0]
