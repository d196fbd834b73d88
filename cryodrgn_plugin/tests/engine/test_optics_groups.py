"""Optics groups of other pixel sizes, boxes and voltages meet on one lattice at the right physical frequency."""

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import write_star

from .particle_files import molecule, optics, project, rows

GROUPS = {
    "same extent, finer pixels": optics(2, box=64, pixel_ang=2.0),
    "larger extent": optics(2, box=48, pixel_ang=4.0, kilovolts=200.0),
    "smaller extent": optics(2, box=40, pixel_ang=3.0),
}


def two_groups(folder, second, noise=0.0):
    """Eight particles of 32 × 4 Å and five of another group: sums over voxels, or electrons with noise of one dose."""
    blobs = molecule(radius_ang=18, width_ang=5)
    parts, rng = [], np.random.default_rng(0)
    for group, count, seed in ((optics(1), 8, 1), (second, 5, 2)):
        stack = f"group{group['rlnOpticsGroup']}.mrcs"
        table = rows(count, group["rlnOpticsGroup"], stack, seed)
        pixel = group["rlnImagePixelSize"]
        per_pixel = pixel**2 / 16 if noise else 1 / pixel
        images = project(blobs, table, group) * per_pixel
        images = images + noise * pixel / 4 * rng.normal(size=images.shape)
        write_stack(folder / stack, images, pixel)
        parts.append(table)
    write_star(folder / "p.star", {"optics": pd.DataFrame([optics(1), second]), "particles": pd.concat(parts)})
    return blobs, folder / "p.star"


@pytest.mark.parametrize("name", GROUPS)
def test_spectra_of_every_group_are_slices_of_one_volume_times_their_ctf(tmp_path, name):
    blobs, path = two_groups(tmp_path, GROUPS[name])
    dataset = ParticleDataset.open(path, DataConfig(sign="white", window=1.0, box=32))
    assert dataset.box == 32 and dataset.pixel_size_ang == pytest.approx(4.0)
    batch = dataset.batch(np.arange(dataset.n))
    k = dataset.lattice.indices
    slices = np.stack([blobs.slice(k @ rotation[0, :2] / (32 * 4.0)) for rotation in batch.pose.rotations])
    expected = batch.ctf * slices / 4.0**3
    found = centred(batch) * (np.abs(batch.ctf) > 0)
    error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 2e-3


@pytest.mark.parametrize("name", GROUPS)
def test_normalised_groups_of_one_dose_agree_in_amplitude(tmp_path, name):
    noise = 1.0
    blobs, path = two_groups(tmp_path, GROUPS[name], noise)
    dataset = ParticleDataset.open(path, DataConfig(sign="white", window=1.0, box=32))
    batch = dataset.batch(np.arange(dataset.n))
    k = dataset.lattice.indices
    slices = np.stack([blobs.slice(k @ rotation[0, :2] / (32 * 4.0)) for rotation in batch.pose.rotations])
    model = batch.ctf * slices
    gain = (centred(batch) * model.conj()).real.sum(1) / (np.abs(model) ** 2).sum(1)
    first, second = gain[:8].mean(), gain[8:].mean()
    assert second == pytest.approx(first, rel=0.1)


def test_coefficients_beyond_the_frequency_limit_of_the_reference_are_zero(tmp_path):
    _, path = two_groups(tmp_path, GROUPS["smaller extent"])
    dataset = ParticleDataset.open(path, DataConfig(sign="white", box=32))
    batch = dataset.batch(np.array([0, 10]))
    beyond = np.hypot(*dataset.lattice.indices.T) * (128 / 120) > dataset.lattice.radius + 1e-9
    assert beyond.any() and not batch.ctf[1, beyond].any() and not batch.spectra[1, beyond].any()
    assert batch.ctf[0].any(where=beyond) and (batch.ctf[1, ~beyond] != 0).mean() > 0.99


def test_the_group_with_most_particles_is_the_reference(tmp_path):
    _, path = two_groups(tmp_path, GROUPS["larger extent"])
    dataset = ParticleDataset.open(path, DataConfig(sign="white"))
    assert dataset.frequency_ratio.tolist() == [1.0] * 8 + [128 / 192] * 5
    np.testing.assert_allclose(np.linalg.det(dataset.rotations[8:]), (128 / 192) ** 3, rtol=1e-5)


def test_the_common_box_is_the_smallest_by_default(tmp_path):
    _, path = two_groups(tmp_path, GROUPS["same extent, finer pixels"])
    assert ParticleDataset.open(path, DataConfig(sign="white")).box == 32
