"""Rows of particle files are copied, whatever kind of file; and a run knows which rows its latents belong to."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.run_particles import images_of, particles_of
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io.chosen_rows import particle_of_image, read_lines, write_chosen
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.run import Run

from .particle_files import small_set
from .tilt_sets import tilt_series


def test_all_rows_together_are_the_file(tmp_path):
    star = small_set(tmp_path, count=9)
    written = write_chosen(read_particles(star), np.arange(9), tmp_path / "copy")
    assert written.read_bytes() == star.read_bytes()


def test_windows_ends_of_lines_and_comments_survive(tmp_path):
    text = b"data_\r\nloop_\r\n_rlnImageName #1\r\n_rlnAngPix #2\r\n1@a.mrcs 1.0\r\n2@a.mrcs 1.00\r\n\r\n# end\r\n"
    (tmp_path / "old.star").write_bytes(text)
    table = read_particles(tmp_path / "old.star")
    kept = write_chosen(table, np.array([1]), tmp_path / "kept", {"mine": np.array([0.5, 0.25])}).read_bytes()
    assert kept.endswith(b"_mine #3\n2@a.mrcs 1.00 0.25\r\n\r\n# end\r\n")


COMMENTED = b"""# made by hand

data_

loop_
_rlnImageName #1
_rlnAngPix #2
# the good ones

1@a.mrcs 1.0 # sharp
# ice from here on
  2@a.mrcs  1.00\x20
#3@a.mrcs 1.0
4@a.mrcs 1.000
# end of the good ones

5@a.mrcs 1.0
"""


def test_all_rows_of_a_commented_file_are_the_file_and_a_comment_goes_with_its_row(tmp_path):
    star = tmp_path / "a.star"
    star.write_bytes(COMMENTED)
    table = read_particles(star)
    assert table.image_names == ["1@a.mrcs", "2@a.mrcs", "4@a.mrcs"]
    assert write_chosen(table, np.arange(3), tmp_path / "all").read_bytes() == COMMENTED
    without_second = COMMENTED.replace(b"# ice from here on\n  2@a.mrcs  1.00\x20\n", b"")
    assert write_chosen(table, np.array([0, 2]), tmp_path / "two").read_bytes() == without_second


def test_an_added_value_stands_before_the_comment_of_its_row(tmp_path):
    star = tmp_path / "a.star"
    star.write_bytes(COMMENTED)
    written = write_chosen(read_particles(star), np.arange(3), tmp_path / "b", {"mine": np.array([5, 6, 7])})
    assert b"\n1@a.mrcs 1.0 5 # sharp\n# ice from here on\n  2@a.mrcs  1.00 6\n" in written.read_bytes()
    again = read_particles(written).frame
    assert again["mine"].tolist() == [5, 6, 7] and again["rlnAngPix"].tolist() == [1.0] * 3


def test_of_tilt_series_the_particles_of_the_images_are_written(tmp_path):
    _, path = tilt_series(tmp_path, whole_stacks=False)
    table = read_table(path)
    assert particle_of_image(table).tolist() == np.repeat([0, 1, 2], 4).tolist()
    written = write_chosen(table, np.array([0, 1, 2, 3, 8, 9, 10, 11]), tmp_path / "chosen")
    lines = [line for line in (tmp_path / "p.star").read_bytes().splitlines(keepends=True) if b"tomo1/" in line]
    assert [line for line in written.read_bytes().splitlines(keepends=True) if b"tomo1/" in line] == lines[::2]


def test_a_column_that_is_there_already_is_not_written_twice(tmp_path):
    table = read_particles(small_set(tmp_path))
    with pytest.raises(DataError, match="has a column rlnDefocusU already"):
        write_chosen(table, np.arange(3), tmp_path / "x", {"rlnDefocusU": np.zeros(12)})


def test_a_file_that_has_changed_since_is_refused(tmp_path):
    star = small_set(tmp_path)
    with pytest.raises(DataError, match="not a table with one line for each of its 13 particles"):
        read_lines(star, "particles", 13)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star), z_dim=1))
    run.save_latents(np.zeros((20, 1)))
    with pytest.raises(DataError, match="has it been changed since"):
        particles_of(run)


@pytest.mark.parametrize("used", [np.arange(12), np.array([1, 4, 5, 10])], ids=["all", "a part"])
def test_found_poses_are_what_lists_and_images_have(tmp_path, used):
    star = small_set(tmp_path)
    run = Run.create(tmp_path / "run", RunConfig(particles=str(star), z_dim=1))
    rotations = random_matrices(len(used), np.random.default_rng(0))
    with run.working():
        run.save_poses(used, rotations, np.zeros((len(used), 2)))
        run.save_latents(np.zeros((len(used), 1)), rows=used)
    particles, names = particles_of(run), read_particles(star).image_names
    assert particles.frame["rlnImageName"].tolist() == [names[row] for row in used]
    angles = particles.frame[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    np.testing.assert_allclose(matrices_from_euler(angles), rotations, atol=1e-6)
    np.testing.assert_allclose(images_of(run).rotations, rotations, atol=1e-5)
