"""Particle tables of every RELION generation give the same physical quantities."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import write_star

from .particle_files import optics, rows


def write(folder, table, groups=None):
    tables = {"particles": table} if groups is None else {"optics": pd.DataFrame(groups), "particles": table}
    write_star(folder / "p.star", tables)
    return read_particles(folder / "p.star")


def old_table(count=3):
    table = rows(count).drop(columns=["rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst"])
    return table.assign(
        rlnVoltage=200.0, rlnSphericalAberration=1.4, rlnAmplitudeContrast=0.07, rlnDetectorPixelSize=5.0,
        rlnMagnification=38168.0, rlnOriginX=[1.0, -2.0, 0.5], rlnOriginY=[0.0, 3.0, 1.0],
    )  # fmt: skip


def test_relion_30_states_pixels_by_magnification_and_origins_in_pixels(tmp_path):
    particles = write(tmp_path, old_table())
    pixel = 5.0 * 1e4 / 38168
    assert particles.version == 30 and particles.n_optics_groups == 1
    np.testing.assert_allclose(particles.pixel_size_ang, pixel)
    np.testing.assert_allclose(particles.origins_ang, np.array([[1, 0], [-2, 3], [0.5, 1]]) * pixel)
    assert particles.ctf().voltage_kv.tolist() == [200.0] * 3


@pytest.mark.parametrize("name", ["rlnPixelSize", "rlnAngPix", "rlnImagePixelSize"])
def test_a_stated_pixel_size_is_used_before_the_magnification(tmp_path, name):
    assert write(tmp_path, old_table().assign(**{name: 2.5})).pixel_size_ang.tolist() == [2.5] * 3


def test_optics_groups_hand_their_values_to_their_particles(tmp_path):
    table = rows(4).assign(rlnOpticsGroup=[7, 3, 7, 3])
    groups = [optics(3, box=48, pixel_ang=1.5, kilovolts=200.0), optics(7, box=64, pixel_ang=1.1)]
    particles = write(tmp_path, table, groups)
    assert particles.version == 31
    assert particles.optics_group.tolist() == [1, 0, 1, 0]
    assert particles.pixel_size_ang.tolist() == [1.1, 1.5, 1.1, 1.5]
    assert particles.box.tolist() == [64, 48, 64, 48]
    assert particles.ctf().voltage_kv.tolist() == [300.0, 200.0, 300.0, 200.0]


def test_particles_of_different_pixel_size_are_groups_in_old_files(tmp_path):
    particles = write(tmp_path, old_table().assign(rlnAngPix=[2.0, 1.0, 2.0]))
    assert particles.optics_group.tolist() == [1, 0, 1] and particles.n_optics_groups == 2


def test_phase_shift_b_factor_and_scale_default_to_none_at_all(tmp_path):
    ctf = write(tmp_path, rows(2), [optics()]).ctf()
    assert [ctf.phase_shift_deg.tolist(), ctf.b_factor_ang2.tolist(), ctf.scale.tolist()] == [[0, 0], [0, 0], [1, 1]]
    given = rows(2).assign(rlnPhaseShift=30.0, rlnCtfBfactor=[10.0, 20.0], rlnCtfScalefactor=0.9)
    ctf = write(tmp_path, given, [optics()]).ctf()
    assert ctf.phase_shift_deg.tolist() == [30, 30] and ctf.b_factor_ang2.tolist() == [10, 20]


def test_every_column_and_the_order_are_kept(tmp_path):
    table = rows(5).assign(custom=[5.5, 4, 3, 2, 1], rlnRandomSubset=[1, 2, 1, 2, 1])
    back = write(tmp_path, table, [optics()]).frame
    pd.testing.assert_frame_equal(back, table, rtol=1e-9)


def test_particles_without_poses_or_ctf_say_so(tmp_path):
    bare = rows(2)[["rlnImageName", "rlnOpticsGroup"]]
    particles = write(tmp_path, bare, [optics()])
    assert particles.euler_deg is None and particles.origins_ang is None and particles.ctf() is None


@pytest.mark.parametrize(
    ("change", "use", "message"),
    [
        (lambda t: t.drop(columns="rlnAngleTilt"), lambda p: p.euler_deg, "column rlnAngleTilt is missing"),
        (lambda t: t.drop(columns="rlnDefocusV"), lambda p: p.ctf(), "column rlnDefocusV is missing"),
        (lambda t: t.drop(columns="rlnOriginYAngst"), lambda p: p.origins_ang, "column rlnOriginYAngst is missing"),
        (lambda t: t.drop(columns="rlnOpticsGroup"), lambda p: p.optics_group, "column rlnOpticsGroup is missing"),
        (lambda t: t.assign(rlnOpticsGroup=[1, 9, 9]), lambda p: p.optics_group, "row 2 is in optics group 9"),
        (lambda t: t.assign(rlnDefocusU=["1", "two", "3"]), lambda p: p.ctf(), "row 2 has 'two' in the numeric"),
        (lambda t: t.assign(rlnDefocusU=[1, np.nan, 3]), lambda p: p.ctf(), "1 of 3 .* no number in rlnDefocusU"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_row_and_column(tmp_path, change, use, message):
    particles = write(tmp_path, change(rows(3)), [optics()])
    with pytest.raises(DataError, match=message) as error:
        use(particles)
    assert "p.star" in str(error.value)


@pytest.mark.parametrize("name", ["rlnVoltage", "rlnImagePixelSize"])
def test_a_column_absent_from_both_tables_is_named(tmp_path, name):
    group = optics()
    del group[name]
    particles = write(tmp_path, rows(3), [group])
    with pytest.raises(DataError, match=f"{name}.*optics table|optics table.*{name}"):
        particles.pixel_size_ang, particles.ctf()


def test_files_that_are_no_particle_sets_are_one_sentence(tmp_path):
    for tables, message in (
        ({"optics": pd.DataFrame([optics()]), "micrographs": rows(1)}, "no data_particles"),
        ({"micrographs": pd.DataFrame({"rlnMicrographName": ["a"]})}, "column rlnImageName is missing"),
        ({"optics": pd.DataFrame([optics()]), "particles": rows(0)}, "lists no particles"),
        ({"optics": pd.DataFrame([optics()])[:0], "particles": rows(1)}, "optics table is empty"),
    ):
        write_star(tmp_path / "p.star", tables)
        with pytest.raises(DataError, match=message):
            read_particles(tmp_path / "p.star")


@pytest.mark.parametrize(
    ("written", "falling"), [([13.0, 26.0, 0.0], [13.0, 26.0, 0.0]), ([-13.0, -26.0, 0.0], [13.0, 26.0, 0.0])]
)
def test_the_negative_b_factors_of_warp_and_m_damp_high_frequencies_too(tmp_path, written, falling):
    particles = write(tmp_path, rows(3).assign(rlnCtfBfactor=written), [optics()])
    assert particles.ctf().b_factor_ang2.tolist() == falling
