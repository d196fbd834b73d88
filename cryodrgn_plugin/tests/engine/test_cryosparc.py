"""cryoSPARC both ways: what a job writes is read, and what a run knows goes back in the same form."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.cli.info_command import about_particles
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io.chosen_rows import write_chosen
from cryodrgn_plugin.engine.io.cs import read_cs, read_records
from cryodrgn_plugin.engine.io.csdat import lz4_block
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.export_options import ExportOptions
from cryodrgn_plugin.engine.selection.exported import export
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.selection_report import select
from cryodrgn_plugin.tests.engine.planted_run import planted_run

N = 12
COMPRESSED = (
    r"l|xfRK~yCH004U;Y-Mg|bZ8<vAT%r>B4l)VaAhJoAX{4^b!lWGEFdC0bvPnjEFfDVVr*|>FK}UWXd)~iB79FGT`VA5B4TWBVlQcAcp@wyB0P"
    r"08B3&#XTOwj?Z(=WVXkl<=A}k;xJasf8EFfDlU0p07TOwj?Z(=WSb7^{IUqK=)AR;_wG$LIrAX_3~Y-wk1ZDnqBb2CIQb7*O1bRsMuB0Od^A"
    r"}k<VGF@F=EFdCdZ*6dLWpi_BZ*C$wAR=sfG$Je@B4clDaB^jHb7f>-W@%+?WOE`qAX_40Y;R&OaA9<4A}k;xVr*|>FKJ|WA}k;xVr*|>FLP*"
    r"NaAhJaAR=OHZ(=WSb7^{IUqK=)AR=LGX=iS2Wo~qHGej?QXlZ72B3*qT0000000000004ji00000004jj00000004jk00000004j@0002+5d"
    r"i=I00000009610000001^NI0000001^NI0000001^NI0Pq0-0000100000000010000Y0002+5fA_X01yBG01yBG01yBG01yBG01yBG01yBG"
    r"01yBG01^NI0Pq0-0Kh*00Kh*00Kh*00Kh*W0000H0098-3xGcW002M$06;(h0DwRM0H8ns0Kh;100000K1wk!b97;2YhN%fZE|CC06t1FFLQ"
    r"KZV{2bAE^TsSa{v"
)
"""A file of four particles that cryosparc-tools 5.0.3 wrote (`Dataset.save`, format 2), in base 85."""


def save(path, **fields):
    """A .cs file of fields, a slash in whose names is written as two underscores."""
    columns = {name.replace("__", "/"): np.asarray(values) for name, values in fields.items()}
    records = np.zeros(len(columns["uid"]), [(name, v.dtype, v.shape[1:]) for name, v in columns.items()])
    for name, values in columns.items():
        records[name] = values
    with open(path, "wb") as file:
        np.save(file, records)
    return path


@pytest.fixture
def job(tmp_path):
    """A folder as cryoSPARC leaves it: poses and CTF in one file, images and places in another, in another order."""
    rng = np.random.default_rng(4)
    uid = rng.integers(2**62, 2**63, N, dtype=np.uint64)
    rotations, shifts = random_matrices(N, rng), rng.normal(size=(N, 2)).astype(np.float32)
    folder = tmp_path / "J7"
    folder.mkdir()
    save(
        folder / "J7_particles.cs",
        uid=uid,
        alignments3D__pose=Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_rotvec().astype(np.float32),
        alignments3D__shift=shifts,
        alignments3D__psize_A=np.full(N, 3.0, np.float32),
        alignments3D__split=(np.arange(N) % 2).astype(np.uint32),
    )
    other = rng.permutation(N)
    save(
        folder / "J7_passthrough_particles.cs",
        uid=uid[other],
        blob__path=np.full(N, ">J2/stack.mrcs"),
        blob__idx=np.arange(N, dtype=np.uint32)[other],
        blob__shape=np.full((N, 2), 16, np.uint32),
        blob__psize_A=np.full(N, 1.5, np.float32),
        location__micrograph_path=np.array([f">J1/m{k % 3}.mrc".encode() for k in other]),
        location__micrograph_shape=np.tile(np.array([3000, 4000], np.uint32), (N, 1)),
        location__center_x_frac=(np.arange(N) / 100)[other],
        location__center_y_frac=np.full(N, 0.5),
    )
    (folder / "J7_particles.csg").write_text(
        "created: 2024-01-01 00:00:00.000000\ngroup:\n  name: particles\n  type: particle\nresults:\n"
        "  alignments3D:\n    metafile: '>J7_particles.cs'\n    num_items: 12\n    type: particle.alignments3D\n"
        "  blob:\n    metafile: '>J7_passthrough_particles.cs'\n    num_items: 12\n    type: particle.blob\n"
    )
    return folder, uid, rotations, shifts


def test_a_compressed_file_of_cryosparcs_own_tools_is_read(tmp_path):
    (tmp_path / "p.cs").write_bytes(base64.b85decode("".join(COMPRESSED)))
    records = read_records(tmp_path / "p.cs")
    assert records["uid"].tolist() == [2**63 + k for k in range(4)]
    table = read_cs(tmp_path / "p.cs")
    assert table.image_names == ["1@J1/stack_0.mrcs", "2@J1/stack_0.mrcs", "1@J1/stack_1.mrcs", "2@J1/stack_1.mrcs"]
    assert (table.pixel_size_ang == 1.5).all() and (table.box == 16).all()


def test_lz4_blocks_repeat_what_is_before_them():
    assert lz4_block(bytes([0x3F]) + b"abc" + bytes([3, 0, 10, 0x10]) + b"!", 33) == b"abc" * 10 + b"ab!"
    assert lz4_block(bytes([0x40]) + b"abcd" + bytes([4, 0, 0x10]) + b"x", 9) == b"abcdabcdx"
    for damaged in (bytes([0x1F]) + b"a" + bytes([2, 0, 0]), bytes([0x1F]) + b"a" + bytes([1, 0, 255, 255, 0])):
        with pytest.raises(ValueError, match="damaged"):
            lz4_block(damaged, 100)


@pytest.mark.parametrize("cut", [3, 8, 300, -5])
def test_a_compressed_file_that_was_cut_is_one_sentence(tmp_path, cut):
    (tmp_path / "p.cs").write_bytes(base64.b85decode("".join(COMPRESSED))[:cut])
    with pytest.raises(DataError, match="cannot be read as a cryoSPARC particles file"):
        read_cs(tmp_path / "p.cs")


@pytest.mark.parametrize("name", ["J7_particles.csg", "J7_particles.cs"])
def test_groups_are_followed_and_passthrough_files_found_beside(job, name):
    folder, uid, rotations, shifts = job
    table = read_table(folder / name)
    row = pd.Index(table.frame["cryosparcUid"]).get_indexer(uid)
    assert (row >= 0).all()
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg)[row], rotations, atol=1e-5)
    np.testing.assert_allclose(table.origins_ang[row], shifts * 3.0, rtol=1e-5)
    frame = table.frame.iloc[row].reset_index(drop=True)
    assert frame["rlnImageName"].tolist() == [f"{k + 1}@J2/stack.mrcs" for k in range(N)]
    assert frame["rlnRandomSubset"].tolist() == [1 + k % 2 for k in range(N)]
    assert frame["rlnMicrographName"].tolist() == [f"J1/m{k % 3}.mrc" for k in range(N)]
    np.testing.assert_allclose(frame["rlnCoordinateX"], np.arange(N) * 40)
    np.testing.assert_allclose(frame["rlnCoordinateY"], 1500)


def test_aberrations_of_cryosparc_are_said(job):
    folder = job[0]
    records = read_records(folder / "J7_passthrough_particles.cs")
    fields = {name: records[name] for name in records.dtype.names}
    tilt = np.zeros((N, 2), np.float32)
    save(folder / "J7_passthrough_particles.cs", **fields, **{"ctf/tilt_A": tilt, "ctf/anisomag": np.zeros((N, 4))})
    assert read_table(folder / "J7_particles.cs").unapplied == ()
    tilt[3:8, 1] = 250.0
    save(folder / "J7_passthrough_particles.cs", **fields, **{"ctf/tilt_A": tilt, "ctf/anisomag": np.zeros((N, 4))})
    (said,) = read_table(folder / "J7_particles.cs").unapplied
    assert "ctf/tilt_A of 5 particles is not applied" in said
    assert said in dict(about_particles(folder / "J7_particles.cs")[1]).values()


def test_info_reads_a_cs_file_with_the_passthrough_file_it_is_given(job, tmp_path):
    folder = job[0]
    elsewhere = tmp_path / "other.cs"
    (folder / "J7_passthrough_particles.cs").rename(elsewhere)
    with pytest.raises(DataError, match=r"no field blob/path.*--passthrough"):
        about_particles(folder / "J7_particles.cs")
    rows = dict(about_particles(folder / "J7_particles.cs", str(elsewhere))[1])
    assert rows["particles"] == "12" and rows["poses"] == "yes"
    with pytest.raises(DataError, match="no passthrough file nowhere"):
        about_particles(folder / "J7_particles.cs", "nowhere.cs")


def test_groups_that_lead_nowhere_are_one_sentence(job):
    folder = job[0]
    (folder / "J7_passthrough_particles.cs").unlink()
    with pytest.raises(DataError, match=r"J7_passthrough_particles.cs, which it names, is not there"):
        read_table(folder / "J7_particles.csg")
    (folder / "J7_particles.csg").write_text("group:\n  name: volume\n")
    with pytest.raises(DataError, match="names no particle images"):
        read_table(folder / "J7_particles.csg")


def test_joined_exposure_groups_are_told_apart_by_their_optics(tmp_path):
    shared = dict(uid=np.arange(4, dtype=np.uint64), blob__path=np.full(4, "s.mrcs"), blob__idx=np.arange(4))
    table = read_cs(
        save(
            tmp_path / "p.cs",
            **shared,
            blob__shape=np.full((4, 2), 16),
            blob__psize_A=np.array([1.0, 1.0, 1.2, 1.0]),
            ctf__exp_group_id=np.zeros(4, np.uint32),
            ctf__accel_kv=np.array([300.0, 200, 300, 300]),
        )
    )
    assert table.n_optics_groups == 3
    assert table.numbers("rlnVoltage").tolist() == [300, 200, 300, 300]
    assert table.pixel_size_ang.tolist() == [1, 1, 1.2, 1]


@pytest.fixture
def run_of_job(job, tmp_path):
    """A finished run of the particles of `job`, whose first latent is each particle's row."""
    run = Run.create(tmp_path / "run", RunConfig(particles=str(job[0] / "J7_particles.csg"), z_dim=2))
    with run.working():
        run.save_latents(np.stack([np.arange(N), -np.arange(N)], axis=1).astype(np.float32))
    return run


def test_particles_of_cryosparc_go_back_with_every_field_and_their_latents(run_of_job):
    folder = export(run_of_job, ExportOptions()).parent
    records = np.load(folder / "particles.cs")
    table = run_of_job.given_particles()
    assert records["uid"].tolist() == table.frame["cryosparcUid"].tolist()
    np.testing.assert_array_equal(records["components_mode_0/value"], np.arange(N))
    np.testing.assert_array_equal(records["components_mode_1/value"], -np.arange(N))
    assert (records["components_mode_1/component"] == 1).all()
    assert {"blob/path", "alignments3D/pose", "location/center_x_frac"} <= set(records.dtype.names)
    group = (folder / "particles.csg").read_text()
    slot = "components_mode_1:\n    metafile: '>particles.cs'\n    num_items: 12\n    type: particle.components"
    assert slot in group
    again = read_table(folder / "particles.csg")
    pd.testing.assert_frame_equal(again.frame, table.frame)


def test_chosen_particles_are_read_again_with_the_passthrough_file_of_their_run(run_of_job):
    index = select(run_of_job, SelectOptions(where="z1 > 8"))
    chosen = read_table(index.parent / "selected.cs")
    assert chosen.frame["rlnImageName"].tolist() == run_of_job.given_particles().frame["rlnImageName"].tolist()[9:]


def test_chosen_particles_are_annotated_after_the_fields_of_their_file(run_of_job):
    table = run_of_job.given_particles()
    index = select(run_of_job, SelectOptions(where="z1 > 8", annotate=True))
    chosen, before = read_records(index.parent / "selected.cs"), read_records(table.path)
    assert chosen.dtype.names[: len(before.dtype.names)] == before.dtype.names
    for name in before.dtype.names:
        np.testing.assert_array_equal(chosen[name], before[name][9:])
    np.testing.assert_array_equal(chosen["components_mode_0/value"], run_of_job.latents().z[9:, 0])
    again = read_table(index.parent / "selected.cs")
    with pytest.raises(DataError, match="has a field components_mode_0/value already"):
        write_chosen(again, np.arange(2), index.parent / "x", {"cryodrgnLatent1": np.ones(3)})


def test_particles_of_a_star_file_go_to_cryosparc_with_classes(tmp_path, monkeypatch):
    run = planted_run(tmp_path, n=60)
    tables = read_star(run.given_file)
    tables["optics"] = tables["optics"].assign(rlnSphericalAberration=2.7, rlnAmplitudeContrast=0.1)
    rng = np.random.default_rng(2)
    added = dict(rlnDefocusU=rng.uniform(9e3, 1e4, 60), rlnDefocusV=9000.0, rlnDefocusAngle=rng.uniform(0, 90, 60))
    shifts = dict(rlnOriginXAngst=rng.normal(size=60), rlnOriginYAngst=rng.normal(size=60))
    tables["particles"] = tables["particles"].assign(**added, **shifts, rlnRandomSubset=1 + np.arange(60) % 2)
    write_star(run.given_file, tables)
    write_stack(tmp_path / "stack.mrcs", rng.normal(size=(60, 24, 24)), 2.5)
    labels = np.arange(60) % 3
    monkeypatch.setattr(Run, "per_particle", lambda self, kind, rows: {"labels": labels})
    folder = export(run, ExportOptions()).parent
    before, after = run.given_particles(), read_table(folder / "particles.csg")
    np.testing.assert_allclose(matrices_from_euler(after.euler_deg), matrices_from_euler(before.euler_deg), atol=1e-5)
    np.testing.assert_allclose(after.origins_ang, before.origins_ang, atol=1e-5)
    for name in ("defocus_u_ang", "defocus_v_ang", "defocus_angle_deg", "voltage_kv", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(after.ctf(), name), getattr(before.ctf(), name), rtol=1e-5)
    assert after.frame["rlnRandomSubset"].tolist() == before.frame["rlnRandomSubset"].tolist()
    assert after.image_names == [f"{k + 1}@{tmp_path / 'stack.mrcs'}" for k in range(60)]
    everyone = np.load(folder / "particles.cs")
    assert len(set(everyone["uid"].tolist())) == 60
    np.testing.assert_array_equal(everyone["components_mode_3/value"], run.latents().z[:, 3])
    for k in range(3):
        members = np.load(folder / f"class_{k + 1:03d}.cs")
        assert members["uid"].tolist() == everyone["uid"][labels == k].tolist()
        assert read_table(folder / f"class_{k + 1:03d}.csg").n == 20
    index = json.loads((folder / "export.json").read_text())
    assert [entry["particles"] for entry in index["classes"]] == [20, 20, 20]
