"""Arrays that a run keeps: damage is one sentence, whatever a crash or a full disk has left."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.known_poses import read_poses
from cryodrgn_plugin.engine.analysis.latent_points import read_points
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.arrays import read_arrays
from cryodrgn_plugin.tests.engine.planted_run import planted_run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kept.npz"
    np.savez(path, rows=np.arange(1000), z=np.random.default_rng(0).normal(size=(1000, 2)))
    return path


def test_arrays_come_back_by_name(file):
    arrays = read_arrays(file, "rows", "z")
    assert sorted(arrays) == ["rows", "z"] and arrays["z"].shape == (1000, 2)


@pytest.mark.parametrize("kept", [0, 1, 4, 30, 2000, 15_000, -10])
def test_a_file_cut_anywhere_is_damaged(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"kept.npz is damaged; remove it, and run again what made it\."):
        read_arrays(file)


@pytest.mark.parametrize("content", [b"a sentence", b"\x93NUMPY", b"\x80\x04N."])
def test_a_file_of_another_kind_is_damaged(file, content):
    file.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        read_arrays(file)


def test_objects_are_never_unpickled(file):
    np.savez(file, z=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="is damaged"):
        read_arrays(file)


def test_what_is_missing_is_named(file, tmp_path):
    with pytest.raises(DataError, match=r"kept.npz has no labels"):
        read_arrays(file, "rows", "labels")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz")


def test_cut_latents_are_one_sentence(tmp_path):
    run = planted_run(tmp_path)
    run.latents_file.write_bytes(run.latents_file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"latents.npz is damaged"):
        run.latents()


@pytest.mark.parametrize("kept", [0, 30, 2000])
def test_files_that_users_name_are_one_sentence_when_cut(tmp_path, kept):
    truth, points, plain = tmp_path / "truth.npz", tmp_path / "points.npz", tmp_path / "points.npy"
    for path in (truth, points):
        np.savez(path, z=np.zeros((1000, 2)), rotations=np.zeros((1000, 3, 3)))
    np.save(plain, np.zeros((1000, 2)))
    for path in (truth, points, plain):
        path.write_bytes(path.read_bytes()[:kept])
    for read in (
        lambda: read_poses(truth),
        lambda: Truth.open(tmp_path),
        lambda: read_points(str(points), 2),
        lambda: read_points(str(plain), 2),
    ):
        with pytest.raises(DataError, match=f"{tmp_path}"):
            read()
