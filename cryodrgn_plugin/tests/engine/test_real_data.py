"""Real files from public repositories are read and backprojected (reference data beside the checkout)."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import euler_from_matrices, random_matrices
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction.backproject import backproject, half_maps

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    ("name", "count", "pixel_size_ang"),
    [("relion31.star", 5, 2.806), ("sta_testing_bin8.star", 219, 1.96)],
    ids=["RELION 3.1", "RELION 3.0 tilt images"],
)
def test_relion_files_with_poses_are_backprojected(shared, name, count, pixel_size_ang):
    dataset = ParticleDataset.open(shared / "formats" / name, DataConfig(box=64))
    assert dataset.n == count
    on_disk = dataset.table.pixel_size_ang[0]
    assert on_disk == pytest.approx(pixel_size_ang)
    maps = half_maps(dataset, seed=0)
    for volume in (maps.combined, maps.half1, maps.half2):
        assert volume.shape == (64, 64, 64) and np.isfinite(volume).all() and volume.std() > 0


def test_empiar_particles_without_poses_are_read_and_their_want_is_named(shared):
    dataset = ParticleDataset.open(shared / "formats" / "empiar_10076_7.star", DataConfig(box=64))
    assert dataset.n == 7
    assert dataset.table.pixel_size_ang[0] == pytest.approx(5e4 / 38168)
    assert np.isfinite(dataset.batch(np.arange(7)).spectra).all()
    with pytest.raises(DataError, match="no poses"):
        backproject(dataset)


def test_empiar_particles_with_angles_are_backprojected(shared, tmp_path):
    folder = shared / "formats"
    blocks = read_star(folder / "empiar_10076_7.star")
    name, table = next((n, t) for n, t in blocks.items() if "rlnImageName" in t)
    angles = euler_from_matrices(random_matrices(len(table), np.random.default_rng(0)))
    for column, values in zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True):
        table[column] = values
    write_star(tmp_path / "with_angles.star", {name: table})
    dataset = ParticleDataset.open(tmp_path / "with_angles.star", DataConfig(box=64), root=folder)
    volume = backproject(dataset)
    assert np.isfinite(volume).all() and volume.std() > 0
