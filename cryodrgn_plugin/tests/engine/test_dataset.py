"""Particles are prepared as promised: cropped, windowed, normalised, white, and at the right place in Fourier space."""

import mrcfile
import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.preprocess import background, fourier_crop, soft_window

from .particle_files import molecule, optics, project, rows, small_set, write_set

WHITE = DataConfig(sign="white")


def test_images_have_background_mean_0_and_deviation_1_inside_a_soft_circle(tmp_path):
    dataset = ParticleDataset.open(small_set(tmp_path, noise=7.0))
    index = np.arange(dataset.n)
    outside = background(32, 0.85)
    unwindowed = dataset.unwindowed(index)
    np.testing.assert_allclose(unwindowed[:, outside].mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(unwindowed[:, outside].std(1), 1, atol=1e-5)
    np.testing.assert_allclose(dataset.images(index), unwindowed * soft_window(32, 0.85), atol=1e-6)


def test_normalisation_takes_out_scale_and_offset_of_each_image(tmp_path):
    images = np.random.default_rng(0).normal(size=(6, 32, 32))
    plain = ParticleDataset.open(write_set(tmp_path, images, rows(6)), WHITE).images(np.arange(6))
    factors = np.array([1, 2, 5, 0.1, 9, 3])[:, None, None]
    (tmp_path / "b").mkdir()
    scaled = ParticleDataset.open(write_set(tmp_path / "b", images * factors + 50 * factors, rows(6)), WHITE)
    np.testing.assert_allclose(scaled.images(np.arange(6)), plain, atol=2e-4)


def test_spectra_are_the_transform_of_the_prepared_images(tmp_path):
    dataset = ParticleDataset.open(small_set(tmp_path))
    index = np.array([3, 0, 7])
    expected = dataset.lattice.spectra(dataset.images(index))
    np.testing.assert_allclose(dataset.batch(index).spectra, expected, atol=1e-4 * np.abs(expected).max())


def test_noise_free_projections_keep_their_grey_values(tmp_path):
    group, table = optics(), rows(5)
    images = project(molecule(radius_ang=20, width_ang=5), table, group)
    dataset = ParticleDataset.open(write_set(tmp_path, images, table), DataConfig(sign="white", window=1.0))
    assert not dataset.has_noise
    np.testing.assert_allclose(dataset.images(np.arange(5)), images, rtol=1e-6)


def test_ctf_and_poses_are_those_of_the_star_file(tmp_path):
    path = small_set(tmp_path)
    dataset = ParticleDataset.open(path)
    index = np.array([4, 2])
    batch = dataset.batch(index)
    expected = evaluate_ctf(dataset.ctf_params[index], dataset.lattice.indices / (32 * 4.0))
    np.testing.assert_allclose(batch.ctf, expected, atol=1e-6)
    origins = dataset.table.frame[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()[index]
    np.testing.assert_allclose(batch.pose.shifts_ang[:, 0], -origins, rtol=1e-6)
    assert batch.pose.rotations.shape == (2, 1, 3, 3)


def test_images_with_flipped_phases_have_the_modulus_of_their_ctf(tmp_path):
    group, table = optics(), rows(6)
    images = np.random.default_rng(0).normal(size=(6, 32, 32))
    plain = ParticleDataset.open(write_set(tmp_path, images, table, [group]), WHITE).batch(np.arange(6)).ctf
    flipped = {**group, "rlnCtfDataArePhaseFlipped": 1}
    ctf = ParticleDataset.open(write_set(tmp_path, images, table, [flipped]), WHITE).batch(np.arange(6)).ctf
    assert (plain < 0).any()
    np.testing.assert_array_equal(ctf, np.abs(plain))


def test_images_multiplied_by_their_ctf_are_pointed_out(tmp_path):
    images = np.random.default_rng(0).normal(size=(6, 32, 32))
    path = write_set(tmp_path, images, rows(6), [{**optics(), "rlnCtfDataAreCtfPremultiplied": 1}])
    assert "multiplied by their CTF" in ParticleDataset.open(path, WHITE).notes[0]


def test_centred_spectra_are_those_of_the_particle_at_its_origin(tmp_path):
    group, table = optics(), rows(5)
    blobs = molecule(radius_ang=20, width_ang=6)
    shifted = ParticleDataset.open(
        write_set(tmp_path, project(blobs, table, group), table), DataConfig(sign="white", window=1.0)
    )
    (tmp_path / "b").mkdir()
    straight = table.assign(rlnOriginXAngst=0.0, rlnOriginYAngst=0.0)
    there = ParticleDataset.open(
        write_set(tmp_path / "b", project(blobs, straight, group), straight), DataConfig(sign="white", window=1.0)
    )
    expected = there.batch(np.arange(5)).spectra
    found = centred(shifted.batch(np.arange(5)))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("box", [32, 33])
def test_downsampling_cuts_the_spectrum_and_keeps_grey_values_and_centre(box):
    group = optics(box=64, pixel_ang=3.0)
    small = optics(box=box - box % 2, pixel_ang=3.0 * 64 / (box - box % 2))
    table, blobs = rows(4), molecule(radius_ang=20, width_ang=12)
    large_images = project(blobs, table, group, with_ctf=False)
    expected = project(blobs, table, small, with_ctf=False)
    np.testing.assert_allclose(fourier_crop(large_images, 32), expected, atol=1e-5 * expected.max())


def test_an_odd_box_is_cropped_to_an_even_one_about_the_same_centre():
    y, x = np.mgrid[:45, :45] - 45 // 2
    odd = np.exp(-0.5 * ((x - 2.25) ** 2 + (y + 1.125) ** 2) / 3.0**2)[None]
    cropped = fourier_crop(odd, 40)[0]
    y, x = (np.mgrid[:40, :40] - 20) * 45 / 40
    expected = np.exp(-0.5 * ((x - 2.25) ** 2 + (y + 1.125) ** 2) / 3.0**2)
    np.testing.assert_allclose(cropped, expected, atol=1e-4)


def test_the_box_is_kept_up_to_128_by_default(tmp_path):
    images = np.random.default_rng(0).normal(size=(2, 160, 160))
    dataset = ParticleDataset.open(write_set(tmp_path, images, rows(2), [optics(box=160, pixel_ang=1.0)]), WHITE)
    assert dataset.box == 128 and dataset.pixel_size_ang == pytest.approx(160 / 128)
    assert dataset.lattice.radius == 63


@pytest.mark.parametrize("stored", ["white", "black"])
def test_the_sign_is_measured_and_images_come_out_white(tmp_path, stored):
    group, table = optics(), rows(150)
    signal = project(molecule(), table, group)
    noise = np.random.default_rng(1).normal(size=signal.shape)
    images = (signal / signal.std() * 0.3) * (1 if stored == "white" else -1) + noise
    path = write_set(tmp_path, images, table)
    dataset = ParticleDataset.open(path)
    assert dataset.sign == (1 if stored == "white" else -1)
    correlation = (dataset.images(np.arange(150)) * signal).sum()
    assert correlation > 0
    assert bool(dataset.notes) == (stored == "black")


def test_a_sign_that_does_not_fit_the_images_is_named(tmp_path):
    group, table = optics(), rows(150)
    signal = project(molecule(), table, group)
    images = signal / signal.std() * 0.3 + np.random.default_rng(1).normal(size=signal.shape)
    path = write_set(tmp_path, images, table)
    assert ParticleDataset.open(path, WHITE).notes == ()
    wrong = ParticleDataset.open(path, DataConfig(sign="black"))
    assert wrong.sign == -1
    assert "data.sign is black, but protein looks white" in wrong.notes[0]


def test_pure_noise_has_no_sign_and_the_note_says_so(tmp_path):
    images = np.random.default_rng(5).normal(size=(100, 32, 32))
    dataset = ParticleDataset.open(write_set(tmp_path, images, rows(100)))
    assert dataset.sign == 1 and "could not be measured" in dataset.notes[0]


def test_a_subset_reads_the_same_particles(tmp_path):
    dataset = ParticleDataset.open(small_set(tmp_path))
    half = dataset.subset(np.array([9, 1, 5]))
    assert half.n == 3 and half.rows.tolist() == [9, 1, 5]
    np.testing.assert_array_equal(half.batch(np.arange(3)).spectra, dataset.batch(np.array([9, 1, 5])).spectra)
    np.testing.assert_array_equal(half.rotations, dataset.rotations[[9, 1, 5]])
    mask = np.zeros(12, bool)
    mask[[2, 4]] = True
    assert dataset.subset(mask).rows.tolist() == [2, 4]


def test_a_random_part_depends_on_the_seed_alone(tmp_path):
    path = small_set(tmp_path)
    config = DataConfig(max_particles=5)
    first, again = (ParticleDataset.open(path, config, seed=3) for _ in range(2))
    assert first.n == 5 and first.rows.tolist() == again.rows.tolist() == sorted(first.rows)
    assert ParticleDataset.open(path, config, seed=4).rows.tolist() != first.rows.tolist()


def test_half_precision_and_integer_stacks_give_nearly_the_same_images(tmp_path):
    path = small_set(tmp_path)
    dataset = ParticleDataset.open(path)
    reference = dataset.images(np.arange(12))
    raw = dataset.source.raw(np.arange(12))
    whole = np.round(raw * 1000)
    for values in (raw.astype(np.float16), whole.astype(np.int16), (whole + 30_000).astype(np.uint16)):
        with mrcfile.new(tmp_path / "stack.mrcs", values, overwrite=True) as mrc:
            mrc.set_image_stack()
        np.testing.assert_allclose(ParticleDataset.open(path).images(np.arange(12)), reference, atol=0.02)


def test_image_paths_start_at_the_root_or_near_the_star_file(tmp_path, monkeypatch):
    project_folder = tmp_path / "project"
    (project_folder / "Refine3D" / "job012").mkdir(parents=True)
    star = small_set(project_folder)
    moved = project_folder / "Refine3D" / "job012" / "run_data.star"
    moved.write_text(star.read_text())
    assert ParticleDataset.open(moved).n == 12  # a parent of the star's folder
    elsewhere = tmp_path / "elsewhere.star"
    elsewhere.write_text(star.read_text())
    assert ParticleDataset.open(elsewhere, root=project_folder).n == 12
    monkeypatch.chdir(project_folder)
    assert ParticleDataset.open(elsewhere).n == 12


def test_a_batch_becomes_tensors_of_the_same_values(tmp_path):
    batch = ParticleDataset.open(small_set(tmp_path)).batch(np.array([1, 2]))
    tensors = batch.torch("cpu")
    np.testing.assert_array_equal(tensors.spectra.numpy(), batch.spectra)
    np.testing.assert_array_equal(tensors.pose.rotations.numpy(), batch.pose.rotations)
    assert tensors.group.tolist() == [0, 0] and len(batch) == 2
