"""Beam tilt, Zernike terms and magnification of optics groups, against RELION 3.1.3 and against what was planted.

`relion_golden/aberrations.mrcs` holds what RELION's `relion_particle_subtract` takes off eight images of map.mrc, which
is its whole model of them: one of the two optics groups of aberrations.star is seen at 300 kV and the other at 200.
"""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.info_command import about_particles
from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.geometry.shifts import shift_phases
from cryodrgn_plugin.engine.imaging.aberrations import Aberrations
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.gridding import Gridding, summed_spectra
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.zernike import even_terms, odd_terms, zernike_values
from cryodrgn_plugin.engine.io.found_poses import posed_frame
from cryodrgn_plugin.engine.io.mrc import StackReader, read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.preflight.optics_checks import check_aberrations
from cryodrgn_plugin.engine.reconstruction.backproject import backproject
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.simulate.config import OpticsGroup, SimulationConfig
from cryodrgn_plugin.engine.simulate.ensemble import Ensemble
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.slicing.exact import RelionProjector

GOLDEN = Path(__file__).parents[1] / "data" / "relion_golden"
STAR = GOLDEN / "aberrations.star"
BOX, PIXEL_ANG = 48, 3.2
COLUMNS = [f"rlnMagMat{i}" for i in ("00", "01", "10", "11")]
COLUMNS += ["rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike"]
EXACT = DataConfig(window=1.0, sign="white")


def modelled_images(volume, table, lattice, with_phases=True):
    """The image model written out: each group's slices, CTF and phases at M k, for the frequencies k of images."""
    spectra = np.zeros((table.n, lattice.size), np.complex128)
    freqs, rotations, ctf = lattice.indices / (BOX * PIXEL_ANG), matrices_from_euler(table.euler_deg), table.ctf()
    for group, aberrations in enumerate(table.aberrations):
        rows = np.flatnonzero(table.optics_group == group)
        at = freqs @ aberrations.matrix.T
        maps = rotations[rows]
        if with_phases:
            maps[:, :2] = aberrations.matrix.T @ maps[:, :2]
        slices = RelionProjector(volume).slices(maps, lattice) * shift_phases(-table.origins_ang[rows], freqs)
        of_group = ctf[rows[0]]
        phases = aberrations.phase_factor(at, of_group.voltage_kv, of_group.spherical_aberration_mm)
        spectra[rows] = slices * evaluate_ctf(ctf[rows], at) * (phases if with_phases else 1)
    return lattice.images(spectra)


def correlation(a, b):
    return np.array([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)])


def agreement(dataset, volume):
    """Correlation of the spectra of each image with slices of a map at its pose times its CTF."""
    batch = dataset.batch(np.arange(dataset.n))
    expected = RelionProjector(volume).slices(batch.pose.rotations[:, 0], dataset.lattice) * batch.ctf
    expected = expected * shift_phases(batch.pose.shifts_ang[:, 0], batch.freqs_per_ang)
    observed, expected = batch.spectra[:, 1:], expected[:, 1:]
    inner = (observed * expected.conj()).sum(1).real
    return inner / np.linalg.norm(observed, axis=1) / np.linalg.norm(expected, axis=1)


def without(path, folder, columns=COLUMNS, **optics):
    """A copy of a star file without some columns of its optics table, and with others."""
    blocks = read_star(path)
    blocks["optics"] = blocks["optics"].drop(columns=columns, errors="ignore").assign(**optics)
    write_star(folder / "changed.star", blocks)
    return folder / "changed.star"


@pytest.fixture(scope="module")
def truth():
    return read_map(GOLDEN / "map.mrc")[0]


def test_the_model_equals_relions(truth):
    table = read_particles(STAR)
    relion = StackReader(table.image_names, [GOLDEN]).read(np.arange(table.n))
    images = modelled_images(truth, table, HalfPlane(BOX, BOX // 2))
    # They were subtracted from noise of standard deviation 1, and rounded with it.
    assert correlation(images, relion).min() > 1 - 2e-5
    np.testing.assert_allclose((images * relion).sum((1, 2)) / (images**2).sum((1, 2)), 1, atol=3e-5)


@pytest.mark.skipif(shutil.which("relion_project") is None, reason="relion_project is not installed")
def test_the_ctf_with_symmetric_terms_at_magnified_frequencies_equals_relions(truth, tmp_path):
    """relion_project knows of symmetric terms, and of magnification in the CTF alone."""
    shutil.copy(GOLDEN / "map.mrc", tmp_path)
    shutil.copy(STAR, tmp_path / "in.star")
    command = "relion_project --i map.mrc --o out --ang in.star --ctf --angpix 3.2".split()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    table = read_particles(tmp_path / "out.star")
    relion = StackReader(table.image_names, [tmp_path]).read(np.arange(table.n))
    images = modelled_images(truth, table, HalfPlane(BOX, BOX // 2), with_phases=False)
    assert correlation(images, relion).min() > 1 - 1e-7


def test_images_are_freed_of_aberrations_as_they_are_read(truth, tmp_path):
    told = agreement(ParticleDataset.open(STAR, EXACT), truth)
    untold = agreement(ParticleDataset.open(without(STAR, tmp_path), EXACT, root=GOLDEN), truth)
    # What is left: RELION's images go on at the other edge of the box, and stretched ones meet that edge elsewhere.
    assert told.min() > 0.9985
    assert untold.min() < 0.9 and untold.max() < 0.99


def test_what_is_read_can_be_put_back(truth):
    dataset = ParticleDataset.open(STAR, EXACT)
    rows = np.arange(dataset.n)
    stored = dataset.lattice.spectra(dataset.source.raw(rows))
    shown = dataset.source.as_stored(rows, dataset.source.spectra(rows))
    inside = slice(1, dataset.lattice.count(0.85 * BOX / 2))
    assert correlation(shown[:, inside].real, stored[:, inside].real).min() > 0.998


def test_an_image_is_the_same_in_any_batch():
    dataset = ParticleDataset.open(STAR, EXACT)
    together = dataset.source.spectra(np.arange(dataset.n))
    alone = np.concatenate([dataset.source.spectra(np.array([row])) for row in range(dataset.n)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("box", [16, 48, 90])
def test_interpolated_spectra_equal_the_sum_over_pixels(box):
    rng = np.random.default_rng(0)
    images, places = rng.standard_normal((3, box, box)), rng.uniform(-box / 2, box / 2, (200, 2))
    exact = summed_spectra(images, places)
    found = Gridding(box, places).spectra(images.astype(np.float32))
    assert np.abs(found - exact).max() < 2e-4 * exact.std()


def test_at_integers_the_sum_over_pixels_is_the_spectrum():
    images, lattice = np.random.default_rng(1).standard_normal((2, 16, 16)), HalfPlane(16, 7)
    np.testing.assert_allclose(summed_spectra(images, lattice.indices), lattice.spectra(images), atol=1e-4)


def test_zernike_terms_are_relions():
    x, y = np.random.default_rng(2).uniform(-1, 1, (2, 50))
    r2, at = x**2 + y**2, np.stack([x, y], axis=1)
    assert odd_terms(6) == [(-1, 1), (1, 1), (-3, 3), (-1, 3), (1, 3), (3, 3)]
    assert even_terms(9) == [(0, 0), (-2, 2), (0, 2), (2, 2), (-4, 4), (-2, 4), (0, 4), (2, 4), (4, 4)]
    odd = [y, x, 3 * x**2 * y - y**3, (3 * r2 - 2) * y, (3 * r2 - 2) * x, x**3 - 3 * x * y**2]
    np.testing.assert_allclose(zernike_values(odd_terms(6), at), odd, atol=1e-12)
    even = zernike_values(even_terms(9), at)
    np.testing.assert_allclose(even[6], 6 * r2**2 - 6 * r2 + 1, atol=1e-12)
    np.testing.assert_allclose(even[8], x**4 - 6 * x**2 * y**2 + y**4, atol=1e-12)


def test_beam_tilt_is_two_pairs_of_zernike_terms():
    freqs, tilt = np.random.default_rng(3).uniform(-0.2, 0.2, (40, 2)), np.array([1.5, -2.0])
    wavelength = 12.2643247 / np.sqrt(3e5 * (1 + 3e5 * 0.978466e-6))
    x, y = -2.7 * 20000 * wavelength**2 * np.pi * tilt / 3
    tilted = Aberrations(beam_tilt_mrad=tuple(tilt)).phase_factor(freqs, 300.0, 2.7)
    listed = Aberrations(odd_zernike=(2 * y, 2 * x, 0, y, x, 0)).phase_factor(freqs, 300.0, 2.7)
    np.testing.assert_allclose(tilted, listed, atol=1e-9)


def simulated(folder, optics):
    """300 noise-free images of a few blobs at 3 Å in 32²."""
    rng = np.random.default_rng(4)
    z, y, x = np.indices((32, 32, 32)) - 16
    centres = rng.uniform(-5, 5, (12, 3))
    blobs = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / 2.5) for cx, cy, cz in centres]
    ensemble = Ensemble(states=[np.sum(blobs, 0).astype(np.float32)], coordinates=[0.0], populations=[1.0])
    # A defocus whose rings stay in the box, where they would else come in again on the other side.
    config = SimulationConfig(n_particles=300, box=32, pixel_size_ang=3.0, snr=float("inf"), defocus_ang=(4e3, 8e3))
    return simulate_particles(ensemble, replace(config, optics=optics), folder, 0)


def test_simulated_aberrations_are_told_and_taken_off(tmp_path):
    groups = (
        OpticsGroup(beam_tilt_mrad=(6.0, -4.0), magnification=(1.05, 0.02, -0.02, 0.95)),
        OpticsGroup(odd_zernike=(0, 0, 150, 0, 0, 100), even_zernike=(0, 0, 0, 0, 600, 0, 0, 0, -400)),
    )
    star = simulated(tmp_path / "set", groups)
    assert [a.beam_tilt_mrad for a in read_particles(star).aberrations] == [(6.0, -4.0), (0.0, 0.0)]
    volume = read_map(tmp_path / "set" / "maps" / "state_000.mrc")[0]
    told = fsc(backproject(ParticleDataset.open(star, EXACT)), volume)
    changed = without(star, tmp_path)
    untold = fsc(backproject(ParticleDataset.open(changed, EXACT, root=tmp_path / "set")), volume)
    assert told[1:15].min() > 0.995
    assert untold[12:15].max() < 0.985


def test_poses_that_were_found_go_back_to_the_stored_image():
    table = read_particles(STAR)
    rows, rotations = np.arange(table.n), matrices_from_euler(table.euler_deg)
    assert np.abs(table.shifts_ang + table.origins_ang).max() > 0.1
    frame = posed_frame(table, rows, rotations, table.shifts_ang)
    written = frame[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
    np.testing.assert_allclose(written, table.origins_ang, atol=1e-9)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"rlnEvenZernike": ["[0,a]", "[0]"]}, "optics group 1 has '\\[0,a\\]' in rlnEvenZernike"),
        ({"rlnOddZernike": ["[0]", f"[{','.join(['0'] * 200)}]"]}, "optics group 2 has .* at most 81 numbers"),
        ({"rlnBeamTiltX": ["none", "0"]}, "optics group 1 has 'none' in rlnBeamTiltX"),
        ({"rlnMagMat00": [0.0, 1.0]}, "optics group 1 has the magnification matrix 0, 0, 0, 1, which stretches"),
    ],
)
def test_terms_that_cannot_be_read_are_named(tmp_path, columns, words):
    with pytest.raises(DataError, match=words):
        ParticleDataset.open(without(STAR, tmp_path, **columns), EXACT, root=GOLDEN)


def test_what_is_not_applied_is_said(tmp_path):
    blocks = read_star(without(STAR, tmp_path, COLUMNS[:4]))
    particles = blocks["particles"].drop(columns=["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"])
    write_star(tmp_path / "p.star", {**blocks, "particles": particles.assign(rlnBeamTiltX=1.0)})
    notes = ParticleDataset.open(tmp_path / "p.star", EXACT, root=GOLDEN).notes
    assert any("rlnBeamTiltX of the particle table is not applied" in note for note in notes)
    assert any("optics group 1, 2 are not applied, because images are" in note for note in notes)


def test_a_detectors_curve_is_said_and_no_warning(tmp_path):
    blocks = read_star(without(STAR, tmp_path))
    write_star(tmp_path / "p.star", {**blocks, "optics": blocks["optics"].assign(rlnMtfFileName="mtf_k3.star")})
    dataset = ParticleDataset.open(tmp_path / "p.star", EXACT, root=GOLDEN)
    assert any("(rlnMtfFileName: mtf_k3.star) is not divided out" in note for note in dataset.notes)
    assert check_aberrations(dataset) is None
    write_star(tmp_path / "q.star", {**blocks, "optics": blocks["optics"].assign(rlnMtfFileName="None")})
    assert not any("Mtf" in note for note in ParticleDataset.open(tmp_path / "q.star", EXACT, root=GOLDEN).notes)


def test_beam_tilt_of_old_files_makes_groups(tmp_path):
    blocks = read_star(STAR)
    tilts = np.repeat([0.5, -1.0], 4)
    frame = blocks["particles"].drop(columns="rlnOpticsGroup").assign(
        rlnBeamTiltX=tilts, rlnVoltage=300.0, rlnSphericalAberration=2.7, rlnAmplitudeContrast=0.1, rlnPixelSize=3.2
    )  # fmt: skip
    write_star(tmp_path / "old.star", {"": frame})
    table = read_particles(tmp_path / "old.star")
    found = np.array([a.beam_tilt_mrad[0] for a in table.aberrations])[table.optics_group]
    np.testing.assert_array_equal(found, tilts)


def test_info_and_preflight_say_what_is_applied(tmp_path):
    rows = dict(about_particles(STAR)[1])
    assert rows["aberrations"].startswith("group 1: beam tilt, antisymmetric terms, symmetric terms, magnification")
    verdict = check_aberrations(ParticleDataset.open(STAR, EXACT))
    assert verdict.level == "ok" and "Optics group 1 has beam tilt" in verdict.sentence
    assert check_aberrations(ParticleDataset.open(without(STAR, tmp_path), EXACT, root=GOLDEN)) is None


def test_symmetric_terms_travel_with_the_record_of_the_ctf():
    ctf = read_particles(STAR).ctf()
    assert ctf[3].even_zernike.shape == (1, 9) and ctf[np.array([0, 7])].even_zernike.shape == (2, 9)
    plain = evaluate_ctf(replace(ctf, even_zernike=None), np.array([[0.1, 0.05]]))
    assert np.abs(evaluate_ctf(ctf, np.array([[0.1, 0.05]])) - plain).max() > 0.1
