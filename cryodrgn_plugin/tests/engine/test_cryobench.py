"""The sets and the scores of benchmarks/cryobench.py: small cases written out by hand, and cropping as it is done."""

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, bare_model
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.simulate.ensemble import Ensemble
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector, images_from_spectra

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

import cryobench_models as models
import cryobench_peers as peers
import cryobench_scores as scores
import cryobench_sets as sets

CTF_ROW = np.array([[256, 1.5, 15000, 14000, 30, 300, 2.7, 0.1, 0]], float)


def wave(box: int, shell: float, phase: float = 0.0) -> np.ndarray:
    """A map with one frequency, `shell` cycles per box along x."""
    x = np.arange(box) / box
    return np.broadcast_to(np.cos(2 * np.pi * shell * x + phase), (box, box, box)).copy()


def maps_of_three_waves(box: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Two maps that agree in frequency 1, disagree by 60° in frequency 2 and have opposite signs in frequency 3."""
    first = 5 + wave(box, 1) + wave(box, 2) + wave(box, 3)
    second = 2 * wave(box, 1) + 3 * wave(box, 2, np.pi / 3) - wave(box, 3)
    return first, second


def test_curve_of_three_waves_is_what_they_are_by_hand():
    first, second = maps_of_three_waves()
    # Shell i holds i − 1 ≤ |k| < i: the mean is alone in shell 1, and frequency 3 lies beyond the last shell, 3.
    second += 7
    assert scores.fsc_curve(first, second) == pytest.approx([1, 1, 1, 0.5], abs=1e-9)


def test_area_is_the_trapezoids_of_the_absolute_curve_over_an_axis_in_cycles_per_pixel():
    first, second = maps_of_three_waves()
    assert scores.fsc_area(first, second + 7) == pytest.approx((1 + 1 + 0.75) / 8, abs=1e-9)
    assert scores.fsc_area(first, -second - 7) == pytest.approx((1 + 1 + 0.75) / 8, abs=1e-9)


def test_equal_maps_have_the_largest_area_there_is():
    volume = np.random.default_rng(0).standard_normal((16, 16, 16))
    assert scores.fsc_area(volume, volume) == pytest.approx(7 / 16)
    assert scores.fsc_area(volume, np.random.default_rng(1).standard_normal((16, 16, 16))) < 0.15


def test_curve_is_that_of_a_loop_over_shells():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((12, 12, 12))
    b = a + rng.standard_normal((12, 12, 12))
    k = np.arange(-6, 6)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(k, k, k)))
    first, second = (np.fft.fftshift(np.fft.fftn(volume)) for volume in (a, b))
    expected = [1.0]
    for i in range(1, 6):
        shell = (radius >= i - 1) & (radius < i)
        u, v = first[shell], second[shell]
        expected.append((np.vdot(u, v) / np.sqrt(np.vdot(u, u) * np.vdot(v, v))).real)
    assert scores.fsc_curve(a, b) == pytest.approx(expected, abs=1e-9)


def test_images_are_sampled_evenly_in_order_of_their_states():
    state = np.array([2, 0, 1, 0, 2, 1])
    assert scores.sampled_images(state, 3).tolist() == [1, 2, 0]


def test_a_conformation_is_shown_at_the_image_nearest_to_the_mean_of_its_state():
    z = np.array([[0.0], [10], [1], [11], [5], [18]])
    state = np.array([0, 1, 0, 1, 0, 1])
    # Means 2 and 13.
    assert scores.images_at_means(z, state).tolist() == [2, 3]


def test_scores_are_those_of_the_maps_asked_for():
    rng = np.random.default_rng(3)
    truth = truth_of(rng.standard_normal((2, 8, 8, 8)), np.repeat([0, 1], 50))
    z = truth.state[:, None] + 0.01 * rng.standard_normal((100, 1))
    perfect = scores.both_scores(z, lambda rows: truth.maps[truth.state[rows]], truth)
    assert perfect["per_image"] == {"mean": 0.375, "sd": 0.0, "maps": 100}
    assert perfect["per_conformation"] == {"mean": 0.375, "sd": 0.0, "maps": 2}
    swapped = scores.both_scores(z, lambda rows: truth.maps[1 - truth.state[rows]], truth)
    assert swapped["per_image"]["mean"] < 0.3


def test_neighbours_tell_the_state_in_a_space_that_knows_it_and_not_in_one_that_does_not():
    rng = np.random.default_rng(4)
    truth = truth_of(rng.standard_normal((4, 8, 8, 8)), rng.permutation(np.repeat(np.arange(4), 100)))
    knows = truth.state[:, None] + 0.01 * rng.standard_normal((400, 2))
    assert scores.told_by_neighbours(knows, truth) == 1.0
    # A mean of ten strangers errs by the variance and a tenth of it.
    assert scores.told_by_neighbours(rng.standard_normal((400, 2)), truth) == pytest.approx(-0.1, abs=0.08)
    assert scores.told_by_neighbours(np.zeros((400, 2)), truth) < 0.3


def test_the_right_state_tells_all_and_the_populations_nothing():
    maps = np.random.default_rng(7).standard_normal((3, 8, 8, 8))
    truth = truth_of(maps, np.repeat([0, 1, 2], [10, 20, 70]))
    right = np.eye(3)[truth.state]
    populations = np.tile([0.1, 0.2, 0.7], (100, 1))
    assert scores.share_told(right, truth) == 1.0
    assert scores.share_told(populations, truth) == pytest.approx(0.0, abs=1e-4)
    # Half of the way to the mean leaves a quarter of the variance.
    assert scores.share_told((right + populations) / 2, truth) == pytest.approx(0.75, abs=1e-4)


def truth_of(maps: np.ndarray, state: np.ndarray) -> Truth:
    return Truth(state, state.astype(float), maps)


def test_level_is_that_of_noisy_images_which_are_cropped(monkeypatch):
    """The recipe in full, at a box of 64 cropped to 16: noise is added to the large images, then both are cropped."""
    monkeypatch.setattr(sets, "FULL_BOX", 64)
    monkeypatch.setattr(sets, "FULL_PIXEL_ANG", 3.0)
    rng = np.random.default_rng(5)
    ensemble = Ensemble([bare_model(rng.normal(0, 15, (60, 3)))], np.zeros(1), np.ones(1))
    level = sets.cropped_level(ensemble, CTF_ROW, 16, rng)

    projector = AtomProjector(ensemble.states[0], 64, 3.0, 3.0, sets.frame_centre_ang(ensemble.states))
    ctf = sets.evaluate_ctf(sets.ctf_params(CTF_ROW), sets._freqs_per_ang()).reshape(64, 33)
    clean = images_from_spectra(projector.spectra(random_matrices(300, rng)) * ctf)
    noise = rng.normal(0, clean.std() / np.sqrt(sets.SNR), clean.shape)
    signal, cropped_noise = within_circle(cropped(clean, 16)), cropped(noise, 16)
    assert level.snr == pytest.approx(signal.var(axis=(1, 2)).mean() / cropped_noise.var(), rel=0.1)
    assert sets.SNR < level.snr < 16 * sets.SNR


def cropped(images: np.ndarray, size: int) -> np.ndarray:
    """Images of `size`² pixels that keep the central Fourier coefficients."""
    full = images.shape[-1]
    low, high = (full - size) // 2, (full + size) // 2
    spectra = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(1, 2))), axes=(1, 2))
    inner = np.fft.ifftshift(spectra[:, low:high, low:high], axes=(1, 2))
    return np.fft.fftshift(np.fft.ifft2(inner), axes=(1, 2)).real


def within_circle(images: np.ndarray) -> np.ndarray:
    """The images without the corners of their transforms, which simulated images do not have."""
    k = np.fft.fftfreq(images.shape[-1], 1 / images.shape[-1])
    inside = k[:, None] ** 2 + k**2 < (images.shape[-1] // 2) ** 2
    return np.fft.ifft2(np.fft.fft2(images) * inside).real


def peptide(count: int = 6) -> AtomicModel:
    """A backbone of `count` residues with random bonds, numbered as the linker is, and one atom of a light chain."""
    coords = np.cumsum(np.random.default_rng(6).normal(0, 1, (3 * count + 1, 3)), axis=0)
    first = models.LINKER[0]
    return AtomicModel(
        coords,
        np.ones(len(coords), np.float32),
        np.array([models.HEAVY_CHAIN] * 3 * count + [models.LIGHT_CHAIN]),
        np.array([first + i // 3 for i in range(3 * count)] + [1]),
        np.array(["N", "CA", "C"] * count + ["CA"]),
    )


@pytest.mark.parametrize("kind", ["phi", "psi"])
def test_a_dihedral_that_is_set_is_the_one_measured_and_bonds_keep_their_lengths(kind):
    model, residue = peptide(), models.LINKER[0] + 2
    turned = models.with_dihedral(model, residue, kind, 1.2)
    assert models.dihedral_rad(turned, residue, kind) == pytest.approx(1.2)
    other = "psi" if kind == "phi" else "phi"
    assert models.dihedral_rad(turned, residue, other) == pytest.approx(models.dihedral_rad(model, residue, other))

    def steps(each: AtomicModel) -> np.ndarray:
        return np.linalg.norm(np.diff(each.coords_ang[:-1], axis=0), axis=1)

    assert steps(turned) == pytest.approx(steps(model))
    stays = model.residues > residue
    assert turned.coords_ang[stays] == pytest.approx(model.coords_ang[stays])
    assert np.linalg.norm(turned.coords_ang[-1] - model.coords_ang[-1]) > 0.1


def test_assembly_has_sixteen_states_from_half_the_mass_to_all_of_it_no_two_alike():
    ensemble = models.assembly()
    share = np.array([state.weights.sum() for state in ensemble.states])
    share = share / share.max()
    assert len(set(models.ASSEMBLED)) == len(models.IMAGES_OF_STATES) == 16
    assert share.min() == pytest.approx(models.CORE_SHARE, abs=0.01)
    assert len(np.unique(share)) == 16
    assert sum(models.IMAGES_OF_STATES) == 335_240


def test_a_peer_is_stopped_at_its_limit_and_its_failure_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(peers.os, "nice", lambda increment: None)
    run = peers.Runner(Path("/bin/sh"), tmp_path / "log.txt")
    assert run("-c", "exit 0")
    assert not run("-c", "while :; do :; done", cpu_minutes=1 / 60)
    assert run.cpu > 0.5  # as the kernel tells it afterwards, which is less than it stopped the program for
    with pytest.raises(RuntimeError, match="sh -c ended with 3: no such model"):
        run("-c", "echo no such model; exit 3")


def test_slices_of_a_peer_lie_where_they_belong_in_a_volume_twice_as_fine(monkeypatch):
    def turned_plane(values, rotations, image_shape, volume_shape, order=1):
        return values @ rotations

    core = ModuleType("recovar.core")
    core.relion_interp = SimpleNamespace(project=turned_plane, backproject=turned_plane)
    monkeypatch.setitem(sys.modules, "recovar", ModuleType("recovar"))
    monkeypatch.setitem(sys.modules, "recovar.core", core)
    importlib.import_module("recovar_on_cpu").put_right()
    turn, frequency = random_matrices(1, np.random.default_rng(0)), np.array([3.0, 1.0, 0.0])
    for operation in (core.relion_interp.project, core.relion_interp.backproject):
        same = operation(frequency, turn, (16, 16), (16, 16, 16), order=1)
        np.testing.assert_allclose(same, frequency @ turn)
        np.testing.assert_allclose(operation(frequency, turn, (16, 16), (32, 32, 32), order=1), 2 * same)


def test_mask_of_a_set_holds_what_any_state_has_and_little_more(tmp_path):
    (tmp_path / "maps").mkdir()
    for state, x in enumerate((12, 20)):
        volume = np.zeros((32, 32, 32), np.float32)
        volume[14:18, 14:18, x : x + 4] = 1
        write_map(tmp_path / "maps" / f"state_{state:03d}.mrc", volume, 3.0)
    peers.write_mask(tmp_path, tmp_path / "mask.mrc")
    mask, pixel_ang = read_map(tmp_path / "mask.mrc")
    assert pixel_ang == 3.0
    assert set(np.unique(mask)) == {0, 1}
    assert mask[14:18, 14:18, 12:24].all()
    assert not mask[:, :, :6].any()
    assert mask.mean() < 0.15
