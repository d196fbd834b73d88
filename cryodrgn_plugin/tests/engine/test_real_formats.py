"""Real particle files of three generations are read as what they are (reference data beside the checkout)."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.io.cs import read_cs
from cryodrgn_plugin.engine.io.star import read_star, write_star

pytestmark = pytest.mark.shared


@pytest.mark.parametrize(
    ("name", "version", "count", "box", "pixel_ang"),
    [("relion31", 31, 5, 256, 2.806), ("empiar_10076_7", 30, 7, 320, 1.31), ("sta_testing_bin8", 30, 219, 64, 1.96)],
)
def test_boxes_pixels_and_counts_are_those_of_the_files(shared, name, version, count, box, pixel_ang):
    path = shared / "formats" / f"{name}.star"
    dataset = ParticleDataset.open(path, DataConfig(box=64))
    assert (dataset.table.version, dataset.n) == (version, count)
    assert (dataset.source.stacks.box == box).all()
    assert dataset.pixel_size_ang == pytest.approx(pixel_ang * box / 64, rel=1e-3)
    batch = dataset.batch(np.arange(count))
    assert np.isfinite(batch.spectra).all() and np.abs(batch.ctf).max() <= 1


@pytest.mark.parametrize("name", ["relion31", "empiar_10076_7", "sta_testing_bin8"])
def test_every_column_and_value_survives_a_round_trip(shared, tmp_path, name):
    tables = read_star(shared / "formats" / f"{name}.star")
    write_star(tmp_path / "again.star", tables)
    again = read_star(tmp_path / "again.star")
    assert list(again) == list(tables)
    for block, table in tables.items():
        assert list(again[block]) == list(table)
        for column in table:
            if table[column].dtype.kind == "f":
                np.testing.assert_allclose(again[block][column], table[column], rtol=1e-9)
            else:
                assert again[block][column].tolist() == table[column].tolist()


def test_the_measured_sign_is_the_one_cryosparc_notes(shared):
    folder = shared / "formats"
    dataset = ParticleDataset.open(folder / "empiar_10076_7.star")
    noted = np.load(folder / "empiar_10076_7.cs")["blob/sign"]
    assert (noted == dataset.sign).all() and dataset.sign == -1
    assert read_cs(folder / "empiar_10076_7.cs").n == dataset.n
