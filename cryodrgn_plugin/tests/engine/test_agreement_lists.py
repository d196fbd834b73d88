"""One list of the particles of several files: columns, optics groups, and what cannot stand among the others."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryodrgn_plugin.engine.agreement.all_listed import all_listed
from cryodrgn_plugin.engine.io.found_poses import tables_with
from cryodrgn_plugin.engine.io.particles import ParticleTable, read_particles
from cryodrgn_plugin.engine.io.star import write_star


def table(path: Path, names: list[str], voltages: list[float], **columns) -> ParticleTable:
    """Particles, each in one of the optics groups 1, 2, … with these voltages, in turn."""
    groups = [1 + row % len(voltages) for row in range(len(names))]
    optics = pd.DataFrame({"rlnOpticsGroup": range(1, len(voltages) + 1), "rlnVoltage": voltages})
    frame = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": groups, **columns})
    write_star(path, {"optics": optics, "particles": frame})
    return read_particles(path)


def test_particles_of_several_files_are_listed_once_with_the_optics_groups_of_all(tmp_path):
    first = table(tmp_path / "a.star", ["1@a.mrcs", "2@a.mrcs"], [300.0])
    second = table(tmp_path / "b.star", ["2@a.mrcs", "3@b.mrcs", "4@b.mrcs"], [200.0, 300.0], extra=[1.0, 2.0, 3.0])
    rows = [np.array([0, 1, -1, -1]), np.array([-1, 0, 1, 2])]
    base, frame, listed = all_listed([(first, rows[0]), (second, rows[1])])
    np.testing.assert_array_equal(listed, [0, 1, 2, 3])
    write_star(tmp_path / "all.star", tables_with(base, frame))
    read = read_particles(tmp_path / "all.star")
    assert read.image_names == ["1@a.mrcs", "2@a.mrcs", "3@b.mrcs", "4@b.mrcs"]
    # 3@b was of the second group of its file, which is the first of the other; 4@b of its first, which is a new one.
    assert read.column("rlnVoltage").tolist() == [300.0, 300.0, 300.0, 200.0]
    assert read.optics["rlnOpticsGroup"].tolist() == [1, 2] and "extra" not in read.frame


def test_particles_of_a_file_that_lacks_columns_are_left_out(tmp_path):
    first = table(tmp_path / "a.star", ["1@a.mrcs"], [300.0], rlnDefocusU=[1e4])
    second = table(tmp_path / "b.star", ["1@a.mrcs", "2@b.mrcs"], [300.0])
    rows = [np.array([0, -1]), np.array([0, 1])]
    _, frame, listed = all_listed([(first, rows[0]), (second, rows[1])])
    assert listed.tolist() == [0] and frame["rlnImageName"].tolist() == ["1@a.mrcs"]
    _, frame, listed = all_listed([(second, rows[1]), (first, rows[0])])
    assert listed.tolist() == [0, 1] and len(frame) == 2
