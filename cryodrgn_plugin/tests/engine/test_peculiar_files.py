"""Particle files as people have them: read for what they say or refused in a sentence, and never misread in silence."""

import os
import re

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.cli import main as cli
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.given_poses import require_poses
from cryodrgn_plugin.engine.data.half_sets import drawn_halves
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.chosen_rows import particle_of_image, write_chosen
from cryodrgn_plugin.engine.io.cs import read_cs
from cryodrgn_plugin.engine.io.found_poses import tables_with
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.io.particles import EULER, read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.vetting.at_start import vetted

from .particle_files import optics, rows, small_set, write_set


def star(folder, *lines, labels=("rlnMicrographName", "rlnGroupName", "rlnDefocusU"), head="data_particles\n\nloop_\n"):
    path = folder / "table.star"
    path.write_bytes((head + "".join(f"_{label}\n" for label in labels) + "\n".join(lines) + "\n").encode())
    return path


# --- quotes and words -------------------------------------------------------------------------------------------------


def test_each_value_has_quotes_of_its_own_kind(tmp_path):
    path = star(tmp_path, "\"a mic\" 'the group' 1.5", "'b mic' \"its group\" 2.5", "c it's 3.5", "'d \"x\" e' g 4.5")
    (table,) = read_star(path).values()
    assert table["rlnMicrographName"].tolist() == ["a mic", "b mic", "c", 'd "x" e']
    assert table["rlnGroupName"].tolist() == ["the group", "its group", "it's", "g"]
    np.testing.assert_array_equal(table["rlnDefocusU"], [1.5, 2.5, 3.5, 4.5])


def test_a_quote_within_a_quoted_value_does_not_end_it(tmp_path):
    (table,) = read_star(star(tmp_path, "'it's here' \"a\"b\" 7")).values()
    assert table.iloc[0].tolist() == ["it's here", 'a"b', 7]


def test_a_row_that_quotes_make_too_long_is_counted(tmp_path):
    with pytest.raises(DataError, match=r"row 2 of data_particles|does not have 3 values"):
        read_star(star(tmp_path, "a b 1", "'open mic b 2", "c d 3"))


@pytest.mark.parametrize("text", ["a b", 'say "a b"', "it's a b", "'quoted'", '"', "#5", "", 'a "b" c', "it's", "x#y"])
def test_text_that_is_written_is_read_again(tmp_path, text):
    frame = pd.DataFrame({"rlnImageName": ["1@s"], "rlnGroupName": [text], "rlnDefocusU": [1.5]})
    write_star(tmp_path / "t.star", {"particles": frame})
    (table,) = read_star(tmp_path / "t.star").values()
    assert table["rlnGroupName"].tolist() == [text] and table["rlnDefocusU"].tolist() == [1.5]


def test_pairs_take_apostrophes_tabs_and_quotes(tmp_path):
    path = star(tmp_path, head="data_\n\n", labels=("rlnA\tit's", "rlnB \t 'two words'", "rlnC 5 # a comment", "rlnD"))
    (table,) = read_star(path).values()
    assert table.iloc[0].tolist() == ["it's", "two words", 5, ""]


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"  ", b"\t", b"\n\n"])
def test_a_first_block_is_found_behind_marks_and_blanks(tmp_path, start):
    path = star(tmp_path, "a b 1", head="data_particles\n\nloop_\n")
    path.write_bytes(start + path.read_bytes().replace(b"_rlnGroupName\n", b"_rlnGroupName\t #2 \n"))
    assert list(read_star(path)["particles"]) == ["rlnMicrographName", "rlnGroupName", "rlnDefocusU"]


def test_names_in_latin1_are_read_and_written_with_their_bytes(tmp_path):
    path = star(tmp_path, "m\u00fccke/a b 1.5", "a b 2.5")
    path.write_bytes(path.read_bytes().decode().encode("latin-1"))
    tables = read_star(path)
    (table,) = tables.values()
    assert table["rlnMicrographName"].tolist() == ["m\u00fccke/a", "a"] and table["rlnDefocusU"].tolist() == [1.5, 2.5]
    write_star(tmp_path / "again.star", tables)
    assert b"m\xfccke/a b 1.5" in (tmp_path / "again.star").read_bytes()
    path.write_bytes(path.read_bytes().decode("latin-1").encode())
    assert read_star(path)["particles"]["rlnMicrographName"].tolist() == ["m\u00fccke/a", "a"]


@pytest.mark.parametrize("on_disk", [b"M\xfcller", "M\u00fcller".encode()])
def test_stacks_are_found_by_the_bytes_of_their_names_and_rows_chosen_byte_for_byte(tmp_path, on_disk):
    """Whether a folder has the bytes of the star file or has been renamed to UTF-8."""
    folder = tmp_path / os.fsdecode(on_disk)
    folder.mkdir()
    written = write_set(folder, np.random.default_rng(0).normal(size=(4, 32, 32)), rows(4))
    content = written.read_bytes().replace(b"@stack", b"@M\xfcller/stack")
    path = tmp_path / "particles.star"
    path.write_bytes(content)
    dataset = ParticleDataset.open(path)
    assert dataset.n == 4
    chosen = write_chosen(dataset.table, np.array([1, 3]), tmp_path / "chosen").read_bytes()
    lines = content.splitlines()
    kept = [line for line in lines if b"@" not in line or line.startswith((b"000002", b"000004"))]
    assert chosen.splitlines() == kept
    frame = dataset.table.frame.assign(rlnAngleRot=1.0)
    write_star(tmp_path / "posed.star", tables_with(dataset.table, frame))
    assert (tmp_path / "posed.star").read_bytes().count(b"@M\xfcller/stack.mrcs") == 4


# --- what is no image -------------------------------------------------------------------------------------------------


def test_subtomograms_are_no_images(tmp_path):
    for number in range(2):
        write_map(tmp_path / f"sub{number}.mrc", np.zeros((32, 32, 32)), 4.0)
    table = rows(2).assign(rlnImageName=["sub0.mrc", "sub1.mrc"])
    path = tmp_path / "p.star"
    write_star(path, {"optics": pd.DataFrame([optics() | {"rlnImageDimensionality": 3}]), "particles": table})
    with pytest.raises(DataError, match="rlnImageDimensionality is 3: these are subtomograms"):
        read_particles(path)
    write_star(path, {"optics": pd.DataFrame([optics()]), "particles": table})
    with pytest.raises(
        DataError, match=r"row 1 names .*sub0.mrc without a number, but it holds 32 sections \(2 such rows"
    ):
        ParticleDataset.open(path)


def test_a_single_image_needs_no_number(tmp_path):
    image = np.random.default_rng(0).normal(size=(1, 32, 32))
    path = write_set(tmp_path, image, rows(1).assign(rlnImageName="stack.mrcs"))
    assert ParticleDataset.open(path).n == 1
    path = write_set(tmp_path, np.repeat(image, 3, 0), rows(3).assign(rlnImageName="stack.mrcs"))
    with pytest.raises(DataError, match=r"holds 3 sections \(3 such rows\)"):
        ParticleDataset.open(path)


@pytest.mark.parametrize("number", ["²", "٣", "0", "-1", "9" * 30, ""])
def test_a_number_that_is_none_is_named(tmp_path, number):
    table = rows(2).assign(rlnImageName=["1@stack.mrcs", f"{number}@stack.mrcs"])
    with pytest.raises(DataError, match="row 2 has rlnImageName"):
        ParticleDataset.open(write_set(tmp_path, np.zeros((2, 32, 32)), table))


# --- optics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"rlnAngleRot": 0.0, "rlnAngleTilt": 0.0},
            "rot and tilt are the same in all particles, as after alignment in",
        ),
        ({"rlnOriginXAngst": 300.0}, "12 of 12 particles are shifted by more than half their box, 64 Å"),
        ({"rlnDefocusU": 1.8, "rlnDefocusV": 1.7}, "no defocus is larger than 1.8 Å, as if they were in micrometres"),
        ({"rlnDefocusU": -9000.0}, "rlnDefocusU of 12 of 12 particles is negative, which means overfocus"),
    ],
)
def test_numbers_that_are_hardly_meant_are_told(tmp_path, changed, said):
    images = np.random.default_rng(0).normal(size=(12, 32, 32))
    path = write_set(tmp_path, images, rows(12).assign(**changed))
    assert any(said in sentence for sentence in vetted(RunConfig(particles=str(path))).sentences)


def test_a_defocus_beyond_any_microscope_is_named(tmp_path):
    table = rows(2).assign(rlnDefocusV=[1e4, 1e12])
    with pytest.raises(DataError, match=r"rlnDefocusV of row 2 is 1e\+12 \(1 such rows\); it must be in Å"):
        ParticleDataset.open(write_set(tmp_path, np.zeros((2, 32, 32)), table))


@pytest.mark.parametrize("factor", [1e37, 1e-38])
def test_grey_values_whose_squares_are_lost_are_named(tmp_path, factor):
    images = np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32)
    images[:2] *= np.float32(factor)
    with pytest.raises(DataError, match=r"the grey values of row 1 reach .* squares \(2 of 4 images"):
        ParticleDataset.open(write_set(tmp_path, images, rows(4))).usable()


def test_infinite_origins_are_no_poses_and_no_warnings(tmp_path, recwarn):
    table = rows(12).assign(rlnOriginXAngst=[np.inf, *[1.0] * 11])
    path = write_set(tmp_path, np.random.default_rng(0).normal(size=(12, 32, 32)), table)
    with pytest.raises(DataError, match="1 of 12 particles have no pose; the first is row 1"):
        ParticleDataset.open(path).require_poses()
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_a_star_file_of_cistem_is_named(tmp_path):
    labels, head = ("cisTEMPositionInStack", "cisTEMStackFilename"), "# Written by cisTEM\n\ndata_\n\nloop_\n"
    with pytest.raises(DataError, match=r"rlnImageName is missing\. Export the particles from cisTEM for RELION"):
        read_particles(star(tmp_path, "1 'stack.mrcs'", labels=labels, head=head))


def test_particles_that_were_never_aligned_are_refused(tmp_path):
    path = write_set(tmp_path, np.zeros((12, 32, 32)), rows(12).assign(**dict.fromkeys(EULER, 0.0)))
    table = read_particles(path)
    with pytest.raises(
        DataError, match=r"all 12 particles have one orientation \(rot 0, tilt 0, psi 0\), so they have"
    ):
        require_poses(table, np.arange(12))
    require_poses(table, np.arange(3))


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\x1f\x8b", "compressed by gzip"),
        (b"\xfd7zXZ", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"PK\x03\x04", "a zip archive"),
        (b"II*\0", "a TIFF file"),
        (b"\x89HDF", "an HDF5 file"),
    ],
)
def test_what_is_no_stack_is_named(tmp_path, start, what):
    path = small_set(tmp_path)
    (tmp_path / "stack.mrcs").write_bytes(start + bytes(2000))
    with pytest.raises(DataError, match=f"is not an MRC file .it is {what}"):
        ParticleDataset.open(path)


def test_a_pose_of_cryosparc_that_is_no_number_is_a_particle_without_one(tmp_path):
    kinds = [("uid", "u8"), ("blob/path", "U9"), ("blob/idx", "u4"), ("blob/shape", "u4", 2), ("blob/psize_A", "f4")]
    records = np.zeros(3, [*kinds, ("alignments3D/pose", "f4", 3), ("alignments3D/shift", "f4", 2)])
    records["blob/psize_A"], records["blob/shape"], records["alignments3D/pose"][1] = 1, 16, np.nan
    with open(tmp_path / "p.cs", "wb") as file:
        np.save(file, records)
    with pytest.raises(DataError, match="1 of 3 particles have no pose; the first is row 2"):
        require_poses(read_cs(tmp_path / "p.cs"), np.arange(3))


def test_a_group_listed_twice_is_refused(tmp_path):
    path = write_set(tmp_path, np.zeros((2, 32, 32)), rows(2), [optics(), optics(kilovolts=200)])
    with pytest.raises(DataError, match="optics group 1 is listed 2 times"):
        _ = read_particles(path).optics_group


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("rlnAmplitudeContrast", 10.0, "a share from 0 to 1"),
        ("rlnVoltage", 0.0, "a voltage"),
        ("rlnImageSize", -4, "no box"),
        ("rlnSphericalAberration", 2700.0, "in mm"),
        ("rlnCtfScalefactor", 0.0, "other than 0 in some of them"),
        ("rlnCtfScalefactor", 1e30, "at most 1,000,000"),
        ("rlnCtfBfactor", -1e9, "in Å² and at most 100,000"),
        ("rlnPhaseShift", 1e12, "in degrees"),
    ],
)
def test_optics_that_cannot_be_are_refused(tmp_path, column, value, message):
    path = write_set(tmp_path, np.zeros((2, 32, 32)), rows(2), [optics() | {column: value}])
    with pytest.raises(DataError, match=f"{column} of row 1 is {re.escape(f'{value:g}')}.*{message}"):
        ParticleDataset.open(path)


def test_an_exposure_group_of_several_optics_is_several_groups(tmp_path):
    kinds = [("uid", "u8"), ("blob/path", "U20"), ("blob/idx", "u4"), ("blob/shape", "u4", 2), ("blob/psize_A", "f4")]
    kinds += [(f"ctf/{name}", "f4") for name in ("accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad")]
    records = np.ones(6, [*kinds, ("ctf/exp_group_id", "u4")])
    records["blob/path"], records["blob/shape"], records["ctf/amp_contrast"] = ">s.mrcs", 16, 0.1
    records["ctf/accel_kv"] = [300, 200, 300, 200, 300, 300]
    records["blob/psize_A"] = [2, 2, 2, 2, 3, 2]
    with open(tmp_path / "p.cs", "wb") as file:
        np.save(file, records)
    table = read_cs(tmp_path / "p.cs")
    np.testing.assert_array_equal(table.ctf().voltage_kv, records["ctf/accel_kv"])
    np.testing.assert_allclose(table.pixel_size_ang, records["blob/psize_A"])
    assert table.n_optics_groups == 3 and table.optics["rlnOpticsGroupName"].is_unique
    assert table.image_names[0] == "2@s.mrcs"


# --- ties and half-sets -----------------------------------------------------------------------------------------------


def m_style(folder, particles=6, tilts=4, same_micrograph=False, same_dose=False):
    """Tilt images as M writes them: one table of single images, tied by rlnGroupName."""
    count = particles * tilts
    tilt = np.arange(count) % tilts
    table = rows(count).assign(
        rlnGroupName=[f"ts_{k // tilts:07d}" for k in range(count)],
        rlnMicrographName=["ts.mrc" if same_micrograph else f"ts_{k}.mrc" for k in tilt],
        rlnCtfBfactor=-13.0 * (1 if same_dose else 1 + tilt),
        rlnRandomSubset=0,
    )
    return write_set(folder, np.random.default_rng(0).normal(size=(count, 32, 32)), table)


def test_tilts_that_share_a_group_name_are_one_particle(tmp_path):
    dataset = ParticleDataset.open(m_style(tmp_path))
    particle = particle_of_image(dataset.table)
    np.testing.assert_array_equal(particle, np.arange(24) // 4)
    half = drawn_halves(dataset, 0)
    assert all(len(set(half[particle == k])) == 1 for k in range(6)) and set(half) == {0, 1}


@pytest.mark.parametrize("groups", [{"same_micrograph": True}, {"same_dose": True}])
def test_groups_of_a_micrograph_are_not_particles(tmp_path, groups):
    table = read_particles(m_style(tmp_path, **groups))
    np.testing.assert_array_equal(particle_of_image(table), np.arange(24))


def test_ties_and_half_sets_without_a_name_are_said(tmp_path, capsys):
    path = m_style(tmp_path)
    assert cli.main(["reconstruct", str(path), "--out", str(tmp_path / "map")]) == 0
    said = capsys.readouterr().out
    assert "6 particles with 24 images" in said
    assert "rlnRandomSubset of 24 of 24 particles is neither 1 nor 2" in said


def test_info_reads_what_training_reads(tmp_path, capsys):
    path = small_set(tmp_path)
    table = read_particles(path)
    frame = table.frame.astype({"rlnDefocusU": object})
    frame.loc[3, "rlnDefocusU"] = "12000A"
    write_star(path, {"optics": table.optics, "particles": frame})
    assert cli.main(["info", str(path)]) == cli.USER_ERROR
    assert "row 4 has '12000A' in the numeric column rlnDefocusU" in capsys.readouterr().err
