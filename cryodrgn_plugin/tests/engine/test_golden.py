"""The image model against RELION 3.1.3's own projections and reconstructions (tests/data/relion_golden).

48² × 24 images at 3.2 Å of an asymmetric map: two optics groups, astigmatism, phase shifts, origins, with and without
CTF and B-factors. The path is that of every run: star file, particle table, CTF, half-plane, images.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.geometry.shifts import shift_phases
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import StackReader, read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction.backproject import backproject
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.slicing.exact import RelionProjector, exact_slices, slice_frequencies

GOLDEN = Path(__file__).parents[1] / "data" / "relion_golden"
BOX, PIXEL_ANG = 48, 3.2
SETS = ["proj_noctf", "proj_ctf", "proj_ctf_bfac"]


@pytest.fixture(scope="module")
def truth():
    volume, pixel_size = read_map(GOLDEN / "map.mrc")
    assert pixel_size == pytest.approx(PIXEL_ANG)
    return volume


def modelled_spectra(volume, table, lattice, with_ctf):
    """Spectra that the engine expects for the particles of a star file."""
    freqs = lattice.indices / (lattice.box * PIXEL_ANG)
    spectra = RelionProjector(volume).slices(matrices_from_euler(table.euler_deg), lattice)
    spectra = spectra * shift_phases(-table.origins_ang, freqs)
    return spectra * evaluate_ctf(table.ctf(), freqs) if with_ctf else spectra


def correlation(a, b):
    return np.array([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("name", SETS)
def test_images_equal_relions(truth, name):
    table = read_particles(GOLDEN / f"{name}.star")
    relion = StackReader(table.image_names, [GOLDEN]).read(np.arange(table.n))
    lattice = HalfPlane(BOX, BOX // 2)
    images = lattice.images(modelled_spectra(truth, table, lattice, with_ctf="ctf" in name.split("_")))
    assert correlation(images, relion).min() > 1 - 1e-6
    scale = (images * relion).sum((1, 2)) / (images**2).sum((1, 2))
    np.testing.assert_allclose(scale, 1, atol=1e-5)


@pytest.mark.parametrize("name", SETS)
def test_batches_of_the_dataset_equal_the_model(truth, name):
    dataset = ParticleDataset.open(GOLDEN / f"{name}.star", DataConfig(window=1.0, sign="white"))
    batch = dataset.batch(np.arange(dataset.n))
    expected = RelionProjector(truth).slices(batch.pose.rotations[:, 0], dataset.lattice)
    expected = expected * shift_phases(batch.pose.shifts_ang[:, 0], batch.freqs_per_ang)
    if name != "proj_noctf":
        expected = expected * batch.ctf
    # The constant term is the background's, which the dataset takes off.
    observed, expected = batch.spectra[:, 1:], expected[:, 1:]
    inner = (observed * expected.conj()).sum(1).real
    assert (inner / np.linalg.norm(observed, axis=1) / np.linalg.norm(expected, axis=1)).min() > 1 - 1e-6


def test_a_feature_sits_at_minus_its_origin(truth):
    """Rows 5 and 6 differ from their projections at origin 0 by +8 Å in x and in y alone."""
    table = read_particles(GOLDEN / "proj_noctf.star")
    relion = StackReader(table.image_names, [GOLDEN]).read(np.array([4, 5]))
    lattice = HalfPlane(BOX, BOX // 2)
    centred = lattice.images(RelionProjector(truth).slices(matrices_from_euler(table.euler_deg[4:6]), lattice))
    y, x = np.indices((BOX, BOX))
    for image, still, axis in zip(relion, centred, (x, y), strict=True):
        moved = (image * axis).sum() / image.sum() - (still * axis).sum() / still.sum()
        assert moved == pytest.approx(-8 / PIXEL_ANG, abs=0.1)


def test_the_unrotated_projection_is_the_sum_along_z(truth):
    table = read_particles(GOLDEN / "proj_noctf.star")
    image = StackReader(table.image_names, [GOLDEN]).read(np.array([0]))[0]
    assert np.corrcoef(image.ravel(), truth.sum(0).ravel())[0, 1] > 0.9995


def test_interpolated_slices_are_near_the_fourier_integral(truth):
    rotations = random_matrices(4, np.random.default_rng(0))
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    exact = exact_slices(truth, rotations, lattice)
    for padding, error in ((1, 0.3), (2, 0.05), (3, 0.025)):
        slices = RelionProjector(truth, padding).slices(rotations, lattice)
        found = np.linalg.norm(slices - exact, axis=1) / np.linalg.norm(exact, axis=1)
        assert found.max() < error
        assert correlation(slices.real, exact.real).min() > 1 - error**2


def test_the_fourier_integral_is_a_sum_over_voxels():
    rng = np.random.default_rng(1)
    volume = rng.standard_normal((6, 6, 6))
    lattice = HalfPlane(6, 2)
    rotation = random_matrices(1, rng)
    z, y, x = np.indices(volume.shape) - 3
    frequencies, values = slice_frequencies(rotation, lattice)[0], exact_slices(volume, rotation, lattice)[0]
    for q, value in zip(frequencies, values, strict=True):
        slow = (volume * np.exp(-2j * np.pi * (q[0] * x + q[1] * y + q[2] * z) / 6)).sum()
        assert value == pytest.approx(slow, abs=1e-9)


def relion(*arguments, cwd):
    """Run a RELION program on the PATH."""
    result = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(shutil.which("relion_project") is None, reason="relion_project is not installed")
def test_backprojected_particles_equal_relions_reconstruction(truth, tmp_path):
    """2,000 perfect particles with CTF, made by relion_project, against what relion_reconstruct made of them."""
    for name in ("map.mrc", "in2000.star"):
        shutil.copy(GOLDEN / name, tmp_path)
    relion(*"relion_project --i map.mrc --o p2000 --ang in2000.star --ctf --angpix 3.2".split(), cwd=tmp_path)
    dataset = ParticleDataset.open(tmp_path / "p2000.star", DataConfig(window=1.0, sign="white"))
    volume = backproject(dataset, mode="relion")
    reference, _ = read_map(GOLDEN / "rec2000.mrc")
    last = int(0.8 * BOX / 2)
    assert fsc(volume, reference)[1 : last + 1].min() > 0.98
    assert fsc(volume, truth)[1 : last + 1].min() > 0.98
    assert (volume * truth).sum() / (truth**2).sum() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("name", "reference"), [("proj_noctf", "rec24_noctf.mrc"), ("proj_ctf", "rec24.mrc")])
def test_a_few_particles_come_as_near_the_truth_as_relions_reconstruction(truth, tmp_path, name, reference):
    """24 views leave gaps that every program fills in its own way; both maps must agree where there are data."""
    blocks = read_star(GOLDEN / f"{name}.star")
    if name == "proj_noctf":
        blocks["particles"] = blocks["particles"].drop(columns=["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"])
    write_star(tmp_path / "particles.star", blocks)
    config = DataConfig(window=1.0, sign="white")
    dataset = ParticleDataset.open(tmp_path / "particles.star", config, root=GOLDEN)
    volume, relion_map = backproject(dataset, mode="relion"), read_map(GOLDEN / reference)[0]
    assert fsc(volume, relion_map)[1:10].min() > 0.94
    assert fsc(volume, truth)[1:10].mean() > fsc(relion_map, truth)[1:10].mean() - 0.01
