"""Simulated sets: what the star file says is what the images are."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.geometry.shifts import shift_phases
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import StackReader, read_header, read_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.simulate import (
    Ensemble,
    OpticsGroup,
    SimulationConfig,
    simulate_particles,
    tiny_ensemble,
    tiny_set,
)
from cryodrgn_plugin.engine.slicing.exact import exact_slices

BOX = 32
CONFIG = SimulationConfig(
    n_particles=300,
    box=BOX,
    pixel_size_ang=3.5,
    snr=0.2,
    shift_px=2.5,
    astigmatism_ang=4000,
    b_factor_ang2=60,
    phase_shift_deg=(0, 60),
    optics=(OpticsGroup(), OpticsGroup(voltage_kv=200, spherical_aberration_mm=1.4, amplitude_contrast=0.07)),
    particles_per_micrograph=10,
    contrast_sd=0.2,
    keep_clean=True,
)


def stack(star, name="particles.mrcs") -> np.ndarray:
    path = star.parent / name
    n = read_header(path).shape[0]
    return StackReader([f"{i}@{path}" for i in range(1, n + 1)]).read(np.arange(n))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(star file, clean images, noisy images, truth) of one set of three states with everything switched on."""
    ensemble = tiny_ensemble(3)
    ensemble = replace(ensemble, populations=np.array([1.0, 2.0, 3.0]))
    star = simulate_particles(ensemble, CONFIG, tmp_path_factory.mktemp("set"), seed=3)
    return star, stack(star, "clean.mrcs"), stack(star), dict(np.load(star.parent / "truth.npz"))


def correlations(a, b) -> np.ndarray:
    return np.array([np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)])


def test_poses_shifts_and_ctf_of_the_star_file_turn_the_true_maps_into_the_images(made):
    star, clean, _, truth = made
    table = read_particles(star)
    lattice = HalfPlane(BOX, BOX // 2 - 1)
    freqs = lattice.indices / (BOX * 3.5)
    rows = np.arange(0, 300, 12)
    rotations = matrices_from_euler(table.euler_deg[rows])
    maps = [read_map(star.parent / "maps" / f"state_{s:03d}.mrc")[0] for s in range(3)]
    spectra = np.stack(
        [exact_slices(maps[s], r[None], lattice)[0] for s, r in zip(truth["state"][rows], rotations, strict=True)]
    )
    spectra = spectra * shift_phases(-table.origins_ang[rows], freqs) * evaluate_ctf(table.ctf()[rows], freqs)
    modelled = lattice.images(spectra * truth["contrast"][rows, None])
    observed = lattice.images(lattice.spectra(clean[rows]))
    assert correlations(modelled, observed).min() > 0.9995
    assert (modelled * observed).sum() / (modelled**2).sum() == pytest.approx(1, abs=2e-3)


def test_the_snr_is_the_stated_one_and_the_noise_has_unit_variance(made):
    _, clean, noisy, _ = made
    noise = noisy - clean
    assert noise.std() == pytest.approx(1, rel=0.005)
    assert clean.var(axis=(1, 2)).mean() / noise.var() == pytest.approx(0.2, rel=0.02)
    spectrum = np.abs(np.fft.fft2(noise)) ** 2
    assert spectrum[:, 1:4, 1:4].mean() == pytest.approx(spectrum[:, 12:16, 12:16].mean(), rel=0.15)


def test_the_states_have_their_populations_in_random_order(made):
    _, _, _, truth = made
    assert np.bincount(truth["state"]).tolist() == [50, 100, 150]
    assert np.bincount(truth["state"][:150], minlength=3)[2] < 110
    np.testing.assert_allclose(truth["coordinate"], truth["state_coordinates"][truth["state"]])


def test_the_truth_agrees_with_the_star_file(made):
    star, _, _, truth = made
    table = read_particles(star)
    np.testing.assert_allclose(matrices_from_euler(table.euler_deg), truth["rotations"], atol=1e-6)
    np.testing.assert_allclose(-table.origins_ang, truth["shifts_ang"], atol=1e-6)
    assert np.abs(truth["shifts_ang"]).max() <= 2.5 * 3.5


def test_optics_groups_take_whole_micrographs_and_set_the_ctf(made):
    star, _, _, _ = made
    table = read_particles(star)
    assert (pd.Series(table.optics_group).groupby(table.frame["rlnMicrographName"]).nunique() == 1).all()
    assert set(table.ctf().voltage_kv[table.optics_group == 1]) == {200}
    assert set(table.frame["rlnRandomSubset"]) == {1, 2}


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    first, again, other = (tiny_set(tmp_path / name, n=40, seed=s) for name, s in (("a", 1), ("b", 1), ("c", 2)))
    np.testing.assert_array_equal(stack(first), stack(again))
    assert first.read_bytes() == again.read_bytes()
    assert abs(np.corrcoef(stack(first).ravel(), stack(other).ravel())[0, 1]) < 0.1


def test_maps_as_states_give_the_images_of_the_models_they_came_from(tmp_path):
    config = SimulationConfig(n_particles=60, box=BOX, pixel_size_ang=3.5, snr=np.inf, ctf=False)
    from_atoms = simulate_particles(tiny_ensemble(2), config, tmp_path / "atoms", seed=5)
    maps = [read_map(tmp_path / "atoms" / "maps" / f"state_{s:03d}.mrc")[0] for s in range(2)]
    from_maps = simulate_particles(maps, config, tmp_path / "maps", seed=5)
    assert correlations(stack(from_atoms), stack(from_maps)).min() > 0.999
    assert "rlnDefocusU" not in read_star(from_maps)["particles"]
    assert stack(from_maps).var(axis=(1, 2)).mean() == pytest.approx(1, rel=1e-3)


def test_half_precision_holds_the_same_images_to_a_thousandth(tmp_path):
    config = SimulationConfig(snr=0.5, shift_px=2, pixel_size_ang=3.5)
    whole = tiny_set(tmp_path / "f32", n=20, config=config)
    half = tiny_set(tmp_path / "f16", n=20, config=replace(config, float16=True))
    assert read_header(half.parent / "particles.mrcs").dtype.itemsize == 2
    np.testing.assert_allclose(stack(half), stack(whole), rtol=1e-3, atol=1e-3)


def test_ctf_rows_are_drawn_from_the_table(tmp_path):
    rows = np.array(
        [[64, 1, 11000 + i, 10500 + i, 10 + i, 300 if i % 2 else 200, 2.0, 0.1, i] for i in range(6)], float
    )
    np.save(tmp_path / "rows.npy", rows)
    config = SimulationConfig(ctf_rows=str(tmp_path / "rows.npy"), pixel_size_ang=3.5)
    ctf = read_particles(tiny_set(tmp_path / "set", n=50, config=config)).ctf()
    number = (ctf.defocus_u_ang - 11000).round().astype(int)
    np.testing.assert_allclose(ctf.defocus_v_ang, rows[number, 3])
    np.testing.assert_allclose(ctf.defocus_angle_deg, rows[number, 4])
    np.testing.assert_allclose(ctf.voltage_kv, rows[number, 5])
    np.testing.assert_allclose(ctf.phase_shift_deg, rows[number, 8])
    assert len(set(number)) == 6


def test_a_noisier_optics_group_has_its_noise(tmp_path):
    config = SimulationConfig(
        optics=(OpticsGroup(), OpticsGroup(noise_scale=2)),
        particles_per_micrograph=20,
        keep_clean=True,
        pixel_size_ang=3.5,
    )
    star = tiny_set(tmp_path, n=80, config=config)
    group = read_particles(star).optics_group
    noise = stack(star) - stack(star, "clean.mrcs")
    assert noise[group == 1].std() / noise[group == 0].std() == pytest.approx(2, rel=0.02)


def test_progress_counts_both_passes_to_the_end(tmp_path):
    seen = []
    config = SimulationConfig(n_particles=30, box=BOX, pixel_size_ang=3.5)
    simulate_particles(tiny_ensemble(2), config, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)
    assert seen == sorted(seen)


def test_maps_of_an_earlier_set_do_not_stay_behind(tmp_path):
    tiny_set(tmp_path, n=10, states=4)
    tiny_set(tmp_path, n=10, states=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "particles.mrcs", "particles.star", "truth.npz"]
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_a_simulation_that_is_stopped_leaves_no_star_file_and_no_scratch(tmp_path):
    tiny_set(tmp_path, n=10)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_particles(tiny_ensemble(2), CONFIG, tmp_path, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "particles.mrcs", "truth.npz"]


def test_a_molecule_too_large_for_the_box_is_refused_with_a_pixel_size_that_fits(tmp_path):
    with pytest.raises(ConfigError, match=r"77 Å across and the box 64 Å.*a pixel of 3\.00 Å"):
        tiny_set(tmp_path, config=SimulationConfig(pixel_size_ang=2.0))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"snr": 0.0}, "snr is 0.0; it must be positive"),
        ({"box": 33}, "box is 33; it must be even and at least 16"),
        ({"n_particles": 0}, "n_particles is 0; it must be at least 1"),
        ({"defocus_ang": (2e4, 1e4)}, "give the smaller number first"),
        ({"shift_px": 40.0}, "shift_px is 40.0; it must be less than half the box of 64"),
    ],
)
def test_settings_out_of_range_are_explained(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SimulationConfig(**changes)


def test_a_ctf_table_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((5, 7)))
    with pytest.raises(DataError, match="nine finite columns"):
        tiny_set(tmp_path / "set", config=SimulationConfig(ctf_rows=str(tmp_path / "rows.npy"), pixel_size_ang=3.5))


def test_maps_of_another_box_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="box of the images is 32"):
        simulate_particles([np.ones((16,) * 3, np.float32)], SimulationConfig(box=32), tmp_path)


def test_an_ensemble_with_too_few_populations_is_refused():
    with pytest.raises(ConfigError, match="There are 2 states"):
        Ensemble(tiny_ensemble(2).states, np.arange(2.0), np.ones(3))


@pytest.mark.skipif(shutil.which("relion_project") is None, reason="RELION is not installed")
def test_relion_projects_our_maps_to_our_images(made, tmp_path):
    star, clean, _, truth = made
    tables = read_star(star)
    for state in range(3):
        rows = np.flatnonzero(truth["state"] == state)[:20]
        chosen = {"optics": tables["optics"], "particles": tables["particles"].iloc[rows]}
        write_star(tmp_path / "chosen.star", chosen)
        volume = star.parent / "maps" / f"state_{state:03d}.mrc"
        command = ["relion_project", "--i", str(volume), "--ang", "chosen.star", "--o", "projected", "--ctf"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        projected = stack(tmp_path / "projected.star", "projected.mrcs")
        images = clean[rows] / truth["contrast"][rows, None, None]
        assert correlations(projected, images).min() > 0.999
        assert (projected * images).sum() / (projected**2).sum() == pytest.approx(1, abs=0.01)
