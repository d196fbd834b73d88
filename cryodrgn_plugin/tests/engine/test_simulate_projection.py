"""Projections of atoms and maps against sums written out term by term."""

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import ConfigError
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.simulate import bare_model
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector, MapProjector, images_from_spectra
from cryodrgn_plugin.engine.slicing.exact import RelionProjector, exact_slices
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform

BOX, PIXEL_ANG, RESOLUTION_ANG = 24, 3.0, 7.0
LATTICE = HalfPlane(BOX, BOX // 2 - 1)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    return bare_model(rng.normal(0, 8, (60, 3)), rng.uniform(1, 9, 60))


@pytest.fixture(scope="module")
def atoms(model):
    return AtomProjector(model, BOX, PIXEL_ANG, RESOLUTION_ANG, np.array([1.0, -2.0, 0.5]))


@pytest.fixture(scope="module")
def rotations():
    return random_matrices(4, np.random.default_rng(2))


def on_lattice(spectra: np.ndarray) -> np.ndarray:
    k = LATTICE.indices
    return spectra[:, k[:, 1] % BOX, k[:, 0]]


def relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(values - reference) / np.linalg.norm(reference))


def written_out_sum(model, rotations: np.ndarray) -> np.ndarray:
    """Σ_j w_j exp(−|k|²d²) exp(−2πi k·(A r_j)), term by term in double precision."""
    k = LATTICE.indices / (BOX * PIXEL_ANG)
    centred = model.coords_ang - np.array([1.0, -2.0, 0.5])
    seen = np.einsum("bij,nj->bni", rotations, centred)[..., :2]
    waves = np.exp(-2j * np.pi * np.einsum("fi,bni->bfn", k, seen))
    return (waves @ model.weights) * np.exp(-(k**2).sum(1) * RESOLUTION_ANG**2)


def test_views_of_atoms_are_the_exact_fourier_sum(atoms, model, rotations):
    assert relative_error(on_lattice(atoms.spectra(rotations)), written_out_sum(model, rotations)) < 1e-6


def test_the_projection_at_identity_is_the_sum_over_z_of_the_map(atoms):
    image = images_from_spectra(atoms.spectra(np.eye(3)[None]))[0]
    np.testing.assert_allclose(image, atoms.volume().sum(0), atol=1e-5 * np.abs(image).max())


def test_slices_of_the_map_are_the_views_of_its_atoms(atoms, rotations):
    slices = exact_slices(atoms.volume(), rotations, LATTICE)
    assert relative_error(on_lattice(atoms.spectra(rotations)), slices) < 0.02


def test_an_atom_falls_to_one_over_e_at_the_resolution():
    edge = 64
    spectrum = AtomProjector(bare_model(np.zeros((1, 3))), edge, 1.0, 8.0, np.zeros(3)).spectra(np.eye(3)[None])[0]
    assert spectrum[0, 0] == pytest.approx(1.0)
    assert spectrum[0, edge // 8] == pytest.approx(np.exp(-1), rel=1e-5)


def test_slices_of_a_map_that_fills_its_box_are_exact_to_1e_4(rotations):
    volume = np.random.default_rng(3).normal(size=(BOX,) * 3).astype(np.float32)
    projector = MapProjector(volume)
    exact = exact_slices(projector.volume(), rotations, LATTICE)
    error = relative_error(on_lattice(projector.spectra(rotations)), exact)
    trilinear = relative_error(RelionProjector(projector.volume()).slices(rotations, LATTICE), exact)
    assert error < 1e-4
    assert error < 0.01 * trilinear


def test_the_projection_of_a_map_at_identity_is_its_sum_over_z():
    volume = np.random.default_rng(4).normal(size=(BOX,) * 3).astype(np.float32)
    projector = MapProjector(volume)
    image = images_from_spectra(projector.spectra(np.eye(3)[None]))[0]
    expected = projector.volume().sum(0)
    np.testing.assert_allclose(image, expected, atol=1e-3 * expected.std())


def test_a_turned_map_is_the_map_of_the_turned_model(model):
    turn, centre = random_matrices(1, np.random.default_rng(7))[0], np.zeros(3)
    before = AtomProjector(model, BOX, PIXEL_ANG, 11.0, centre).volume()
    moved = model.moved(model.coords_ang @ turn.T + [3.0, -1.5, 4.0])
    after = AtomProjector(moved, BOX, PIXEL_ANG, 11.0, centre).volume()
    turned = moved_volume(padded_transform(before), turn, np.array([1.0, -0.5, 4 / 3]), BOX)
    assert relative_error(turned, after) < 0.02


def test_a_map_with_an_odd_edge_is_refused():
    with pytest.raises(ConfigError, match="even edge"):
        MapProjector(np.zeros((15, 15, 15), np.float32))
