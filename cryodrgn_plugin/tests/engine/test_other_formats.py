"""cryoSPARC and cryoDRGN files say the same as the RELION files they stand for, and no pickle can run code."""

import os
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io import cryodrgn
from cryodrgn_plugin.engine.io.cryodrgn_particles import particles_from_cryodrgn
from cryodrgn_plugin.engine.io.cs import read_cs
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import write_star


def cs_file(path, rotations, shifts, fields=()):
    n = len(rotations)
    kinds = [("uid", "u8"), ("blob/path", "S20"), ("blob/idx", "u4"), ("blob/shape", "u4", 2), ("blob/psize_A", "f4")]
    kinds += [(f"ctf/{name}", "f4") for name in ("accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad")]
    kinds += [("ctf/phase_shift_rad", "f4"), ("ctf/exp_group_id", "u4")]
    kinds += [("alignments3D/pose", "f4", 3), ("alignments3D/shift", "f4", 2), ("alignments3D/psize_A", "f4")]
    rows = np.zeros(n, [kind for kind in kinds if not fields or kind[0] in fields])
    values = {
        "uid": 2**63 + np.arange(n, dtype=np.uint64), "blob/path": b">stack.mrcs", "blob/idx": np.arange(n),
        "blob/shape": 16, "blob/psize_A": 2.0, "ctf/accel_kv": 300, "ctf/cs_mm": 2.7, "ctf/amp_contrast": 0.1,
        "ctf/df1_A": 15000, "ctf/df2_A": 14000, "ctf/df_angle_rad": np.pi / 4, "ctf/exp_group_id": np.arange(n) % 2,
        "alignments3D/pose": Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_rotvec(),
        "alignments3D/shift": shifts, "alignments3D/psize_A": 4.0,
    }  # fmt: skip
    for name in rows.dtype.names:
        rows[name] = values.get(name, 0)
    with open(path, "wb") as file:
        np.save(file, rows)
    return path


@pytest.fixture
def planted():
    rng = np.random.default_rng(0)
    return random_matrices(6, rng), rng.normal(size=(6, 2))


def test_a_cs_file_gives_relions_rotations_origins_and_angles(tmp_path, planted):
    rotations, shifts = planted
    table = read_cs(cs_file(tmp_path / "p.cs", rotations, shifts))
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg), rotations, atol=1e-5)
    np.testing.assert_allclose(table.origins_ang, shifts * 4.0, rtol=1e-5)
    np.testing.assert_allclose(table.ctf().defocus_angle_deg, 45, rtol=1e-5)
    assert table.n_optics_groups == 2 and table.image_names[1] == "2@stack.mrcs"
    assert table.frame["cryosparcUid"][0] == 2**63


def test_particles_of_a_cs_file_are_a_dataset_and_a_star_file(tmp_path, planted):
    path = cs_file(tmp_path / "p.cs", *planted)
    write_stack(tmp_path / "stack.mrcs", np.random.default_rng(0).normal(size=(6, 16, 16)), 2.0)
    dataset = ParticleDataset.open(path, DataConfig(sign="white"))
    assert dataset.n == 6 and dataset.pixel_size_ang == pytest.approx(2.0)
    write_star(tmp_path / "p.star", dataset.table.tables)
    again = ParticleDataset.open(tmp_path / "p.star", DataConfig(sign="white"))
    np.testing.assert_allclose(again.batch([0, 5]).ctf, dataset.batch([0, 5]).ctf, atol=1e-5)
    assert again.table.frame["cryosparcUid"].tolist() == dataset.table.frame["cryosparcUid"].tolist()


def test_passthrough_fields_are_joined_by_particle(tmp_path, planted):
    images = cs_file(tmp_path / "i.cs", *planted, ("uid", "blob/path", "blob/idx", "blob/shape", "blob/psize_A"))
    poses = cs_file(tmp_path / "p.cs", *planted, ("uid", "alignments3D/pose", "alignments3D/shift"))
    rows = np.load(poses)
    with open(poses, "wb") as file:
        np.save(file, rows[::-1])
    table = read_cs(images, [poses])
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg), planted[0], atol=1e-5)
    with open(poses, "wb") as file:
        np.save(file, rows[:4])
    with pytest.raises(DataError, match="2 of the 6 particles"):
        read_cs(images, [poses])


def test_the_most_probable_of_several_alignments_is_taken(tmp_path, planted):
    rotations, shifts = planted
    single = np.load(cs_file(tmp_path / "p.cs", rotations, shifts))
    kept = [(n, single.dtype[n]) for n in single.dtype.names if not n.startswith("alignments3D")]
    prefix = "alignments3D_multi"
    more = [(f"{prefix}/pose", "f4", (2, 3)), (f"{prefix}/shift", "f4", (2, 2)), (f"{prefix}/class_posterior", "f4", 2)]
    rows = np.zeros(6, kept + more)
    for name, _ in kept:
        rows[name] = single[name]
    rows[f"{prefix}/pose"][:, 1] = single["alignments3D/pose"]
    rows[f"{prefix}/shift"][:, 1] = shifts
    rows[f"{prefix}/class_posterior"] = 0.2, 0.8
    with open(tmp_path / "m.cs", "wb") as file:
        np.save(file, rows)
    table = read_cs(tmp_path / "m.cs")
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg), rotations, atol=1e-5)
    np.testing.assert_allclose(table.origins_ang, shifts * 2.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x95CSDAT....", "cannot be read as a cryoSPARC"),
        (b"hello", "cannot be read as a cryoSPARC"),
        (b"", "cannot be read as"),
    ],
)
def test_files_that_are_not_cryosparcs_are_one_sentence(tmp_path, content, message):
    (tmp_path / "p.cs").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cs(tmp_path / "p.cs")


def test_poses_and_ctfs_written_for_cryodrgn_read_back(tmp_path, planted):
    rotations, origins = planted
    cryodrgn.write_poses(tmp_path / "poses.pkl", rotations, origins, box=16)
    again, shifted = cryodrgn.read_poses(tmp_path / "poses.pkl", box=16)
    np.testing.assert_allclose(again, rotations, atol=1e-6)
    np.testing.assert_allclose(shifted, origins, atol=1e-6)
    theirs = pickle.loads((tmp_path / "poses.pkl").read_bytes())  # noqa: S301 - written just above
    np.testing.assert_allclose(theirs[1], origins / 16, atol=1e-6)


def test_translations_of_ab_initio_runs_are_pixels(tmp_path, planted):
    (tmp_path / "poses.pkl").write_bytes(pickle.dumps((planted[0], np.full((6, 2), 3.5))))
    np.testing.assert_allclose(cryodrgn.read_poses(tmp_path / "poses.pkl", box=16)[1], 3.5)


def test_a_downsampled_stack_has_larger_pixels_than_its_ctf_file_says(tmp_path, planted):
    write_stack(tmp_path / "s.mrcs", np.zeros((6, 16, 16)), 1.0)
    values = np.tile([64.0, 1.5, 15000, 14000, 30, 300, 2.7, 0.1, 0], (6, 1))
    cryodrgn.write_ctf(tmp_path / "ctf.pkl", values)
    cryodrgn.write_poses(tmp_path / "poses.pkl", *planted, box=16)
    table = particles_from_cryodrgn(tmp_path / "s.mrcs", tmp_path / "ctf.pkl", tmp_path / "poses.pkl")
    np.testing.assert_allclose(table.pixel_size_ang, 6.0)
    np.testing.assert_allclose(table.origins_ang, planted[1] * 6.0, rtol=1e-5)
    cryodrgn.write_ctf(tmp_path / "ctf.pkl", values[:5])
    with pytest.raises(DataError, match=r"5 particles, but .* has 6"):
        particles_from_cryodrgn(tmp_path / "s.mrcs", tmp_path / "ctf.pkl")


def test_latents_are_two_pickles_in_a_row_or_one(tmp_path):
    mean, variance = np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(mean) + pickle.dumps(variance))
    np.testing.assert_array_equal(cryodrgn.read_latents(tmp_path / "z.pkl")[1], variance)
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(mean))
    assert cryodrgn.read_latents(tmp_path / "z.pkl")[1] is None


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_a_pickle_that_would_run_code_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poses.pkl").write_bytes(pickle.dumps((np.eye(3)[None], Harm())))
    with pytest.raises(DataError, match="not a safe pickle"):
        cryodrgn.read_poses("poses.pkl", box=16)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps("text")])
def test_files_that_are_no_poses_are_one_sentence(tmp_path, content):
    (tmp_path / "poses.pkl").write_bytes(content)
    with pytest.raises(DataError):
        cryodrgn.read_poses(tmp_path / "poses.pkl", box=16)


@pytest.mark.shared
def test_real_cryodrgn_poses_are_those_of_their_star_file(shared):
    table = read_particles(shared / "formats" / "sta_testing_bin8.star")
    rotations, _ = cryodrgn.read_poses(shared / "formats" / "sta_pose.pkl", box=64)
    np.testing.assert_allclose(rotations, matrices_from_euler(table.euler_deg), atol=1e-4)


@pytest.mark.shared
def test_a_real_cs_file_agrees_with_the_star_file_of_the_same_particles(shared):
    ours, theirs = (
        read_cs(shared / "formats" / "empiar_10076_7.cs"),
        read_particles(shared / "formats" / "empiar_10076_7.star"),
    )
    np.testing.assert_allclose(ours.ctf().defocus_u_ang, theirs.ctf().defocus_u_ang, rtol=1e-6)
    np.testing.assert_allclose(ours.pixel_size_ang, theirs.pixel_size_ang, rtol=1e-4)
    assert read_cs(shared / "formats" / "cryosparc_P12_J24_001_particles.cs").euler_deg.shape == (2019, 3)
