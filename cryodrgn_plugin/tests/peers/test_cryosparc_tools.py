"""What is exported for cryoSPARC as cryosparc-tools, its own package, opens it."""

import numpy as np
import pytest

pytest.importorskip("cryosparc", reason="cryosparc-tools is not installed")

import yaml
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.io.tables import read_table

from .exported_run import BOX, LABELS, PIXEL_ANG, N, exported, star_of_blobs

EULER = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
KINDS = {
    "uid": "<u8", "blob/idx": "<u4", "blob/shape": "<u4", "blob/psize_A": "<f4", "blob/sign": "<f4",
    "ctf/accel_kv": "<f4", "ctf/df1_A": "<f4", "ctf/df_angle_rad": "<f4", "ctf/exp_group_id": "<u4",
    "alignments3D/pose": "<f4", "alignments3D/shift": "<f4", "alignments3D/split": "<u4",
    "components_mode_0/component": "<u4", "components_mode_0/value": "<f4",
}  # fmt: skip
"""What cryoSPARC itself writes for a particle set with components."""


@pytest.fixture
def files(tmp_path, monkeypatch):
    star, table = star_of_blobs(tmp_path)
    run, folder = exported(tmp_path, "cryosparc", monkeypatch, star, np.arange(N))
    return run, folder, table, star


def test_its_dataset_has_every_particle_with_latents_and_pose(files):
    run, folder, table, star = files
    loaded = Dataset.load(folder / "particles.cs")
    assert len(loaded) == N and len(set(loaded["uid"].tolist())) == N
    kinds = {field[0]: field[1] for field in loaded.descr()}
    assert {name: kinds.get(name) for name in KINDS} == KINDS
    for k in range(3):
        np.testing.assert_array_equal(loaded[f"components_mode_{k}/value"], run.latents().z[:, k])
        assert set(loaded[f"components_mode_{k}/component"].tolist()) == {k}
    rotations = np.swapaxes(Rotation.from_rotvec(np.asarray(loaded["alignments3D/pose"])).as_matrix(), 1, 2)
    np.testing.assert_allclose(rotations, matrices_from_euler(table[EULER].to_numpy()), atol=1e-5)
    shifts_ang = np.asarray(loaded["alignments3D/shift"]) * np.asarray(loaded["alignments3D/psize_A"])[:, None]
    np.testing.assert_allclose(shifts_ang, table[["rlnOriginXAngst", "rlnOriginYAngst"]], atol=1e-5)
    assert set(loaded["blob/path"].tolist()) == {str(star.parent / "stack.mrcs")}
    assert loaded["blob/idx"].tolist() == list(range(N)) and set(loaded["blob/psize_A"].tolist()) == {PIXEL_ANG}
    assert (np.asarray(loaded["blob/shape"]) == BOX).all()


def test_what_it_saves_again_is_read_as_what_was_exported(files, tmp_path):
    """In both of its formats."""
    _, folder, _, _ = files
    before = read_table(folder / "particles.cs")
    loaded = Dataset.load(folder / "particles.cs")
    for version, name in enumerate(("numpy", "compressed"), start=1):
        loaded.save(tmp_path / f"{name}.cs", format=version)
        again = read_table(tmp_path / f"{name}.cs")
        assert again.frame.equals(before.frame) and again.optics.equals(before.optics)


def test_the_result_group_names_what_the_file_holds(files):
    """As Import Result Group reads it: YAML with a metafile, a number of items and a type for each slot."""
    _, folder, _, _ = files
    groups = {"particles": np.arange(N), **{f"class_{k + 1:03d}": np.flatnonzero(k == LABELS) for k in range(3)}}
    everyone = Dataset.load(folder / "particles.cs")
    for name, members in groups.items():
        group = yaml.safe_load((folder / f"{name}.csg").read_text())
        assert group["group"]["type"] == "particle" and {"created", "version"} <= set(group)
        assert {"blob", "ctf", "alignments3D", *(f"components_mode_{k}" for k in range(3))} == set(group["results"])
        for slot, result in group["results"].items():
            loaded = Dataset.load(folder / result["metafile"].removeprefix(">"))
            assert result["metafile"].startswith(">") and result["num_items"] == len(loaded) == len(members)
            kind = "components" if slot.startswith("components") else slot
            assert result["type"] == f"particle.{kind}" and slot in loaded.prefixes()
        assert loaded["uid"].tolist() == np.asarray(everyone["uid"])[members].tolist()
