"""Star files that go back to RELION keep everything that came in, in its order."""

import numpy as np

from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.run import Latents
from cryodrgn_plugin.relion.particle_files import ParticleFiles
from cryodrgn_plugin.tests.hosts.relion_sandbox import GOLDEN

STAR = GOLDEN / "in2000.star"


def found(rows: np.ndarray, seed: int = 0) -> Latents:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(len(rows), 3)).astype(np.float32)
    return Latents(z, rows, coordinate=z[:, 0], uncertainty=np.abs(z[:, 1]))


def test_every_column_and_row_comes_back_in_order_with_the_latents_behind_them(tmp_path):
    latents, labels = found(np.arange(2000)), np.arange(2000) % 3
    ParticleFiles(STAR, latents, labels).write_all(tmp_path / "particles.star")
    before, after = read_star(STAR), read_star(tmp_path / "particles.star")
    names = list(before["particles"].columns)
    added = ["cdrgLatent1", "cdrgLatent2", "cdrgLatent3", "cdrgCoordinate", "cdrgUncertainty"]
    assert list(after) == list(before)
    assert list(after["particles"].columns) == [*names, *added]
    same = [name for name in names if name != "rlnClassNumber"]
    assert after["particles"][same].equals(before["particles"][same])
    assert (after["optics"] == before["optics"]).all(axis=None)
    np.testing.assert_array_equal(after["particles"].rlnClassNumber, labels + 1)
    np.testing.assert_allclose(after["particles"].cdrgLatent2, latents.z[:, 1], rtol=1e-6)


def test_clusters_divide_the_particles(tmp_path):
    labels = np.random.default_rng(1).integers(0, 3, 2000)
    files = ParticleFiles(STAR, found(np.arange(2000)), labels)
    sizes = [files.write_cluster(tmp_path / f"{cluster}.star", cluster) for cluster in range(3)]
    names = read_star(STAR)["particles"].rlnImageName.to_numpy()
    assert sizes == np.bincount(labels).tolist()
    for cluster in range(3):
        written = read_star(tmp_path / f"{cluster}.star")["particles"].rlnImageName
        assert written.tolist() == names[labels == cluster].tolist()


def test_a_run_on_part_of_the_particles_gives_back_that_part(tmp_path):
    rows = np.array([3, 17, 4, 1999])
    ParticleFiles(STAR, found(rows)).write_all(tmp_path / "particles.star")
    written, original = read_star(tmp_path / "particles.star")["particles"], read_star(STAR)["particles"]
    assert written.rlnImageName.tolist() == original.rlnImageName.iloc[rows].tolist()
    assert written.rlnClassNumber.tolist() == original.rlnClassNumber.iloc[rows].tolist()


def test_the_latents_of_an_earlier_run_are_replaced(tmp_path):
    ParticleFiles(STAR, found(np.arange(2000))).write_all(tmp_path / "first.star")
    second = Latents(np.ones((2000, 1), np.float32), np.arange(2000))
    ParticleFiles(tmp_path / "first.star", second).write_all(tmp_path / "second.star")
    table = read_star(tmp_path / "second.star")["particles"]
    assert [name for name in table.columns if name.startswith("cdrg")] == ["cdrgLatent1"]
    assert (table.cdrgLatent1 == 1).all()


def test_a_single_table_of_relion_3_0_comes_back_as_one(tmp_path):
    old = tmp_path / "old.star"
    write_star(old, {"": read_star(STAR)["particles"].drop(columns="rlnOpticsGroup")})
    ParticleFiles(old, found(np.arange(2000)), np.zeros(2000, int)).write_all(tmp_path / "new.star")
    assert list(read_star(tmp_path / "new.star")) == [""]
