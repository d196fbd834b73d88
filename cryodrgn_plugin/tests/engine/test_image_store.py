"""Prepared images on disk: the same as from their stacks, made once, never those of other images, and not needed."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig, RunConfig
from cryodrgn_plugin.engine.data import store_writing
from cryodrgn_plugin.engine.data.cache import SpectraCache
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.half_precision import from_halves, to_halves
from cryodrgn_plugin.engine.data.image_store import find_store
from cryodrgn_plugin.engine.data.store_files import band_edges
from cryodrgn_plugin.engine.data.store_key import StoredImages
from cryodrgn_plugin.engine.data.store_writing import write_store
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.run_lock import Busy
from cryodrgn_plugin.engine.vetting import kept_images
from cryodrgn_plugin.engine.vetting.kept_images import keep_images

from .particle_files import molecule, optics, project, rows, small_set, write_set

STREAMED = DataConfig(sign="white", cache_mb=0)
N = 40


def stored(folder, dataset: ParticleDataset) -> None:
    write_store(folder, dataset.source, dataset.rows, lambda done, total: None)


def found(folder, star, config=STREAMED):
    """The store of a set, among those in `folder`."""
    dataset = ParticleDataset.open(star, config)
    return find_store(folder, dataset.source, dataset.rows)


@pytest.fixture
def star(tmp_path):
    return small_set(tmp_path, count=N)


@pytest.fixture
def dataset(star, tmp_path) -> ParticleDataset:
    """A set whose images are in a store."""
    whole = ParticleDataset.open(star, STREAMED)
    stored(tmp_path / "store", whole)
    whole.source.store = find_store(tmp_path / "store", whole.source, whole.rows)
    return whole


def test_halves_are_those_of_ieee():
    rng = np.random.default_rng(0)
    parts = (rng.standard_normal((20, 64)) * 10 ** rng.uniform(-9, 9, (20, 1))).astype(np.float32)
    parts[3], parts[4, 5] = 0, 0
    halves, scale, back = np.empty(parts.shape, np.uint16), np.empty(20, np.float32), np.empty_like(parts)
    to_halves(parts.view(np.uint32), np.arange(20), np.array([0, 64]), halves.reshape(-1), scale)
    np.testing.assert_array_equal(halves, (parts / scale[:, None]).astype(np.float16).view(np.uint16))
    from_halves(halves, scale, back, 0)
    np.testing.assert_array_equal(back, halves.view(np.float16).astype(np.float32) * scale[:, None])
    assert np.abs(back - parts).max() <= 2.0**-11 * np.abs(parts).max()


def test_spectra_come_back_in_any_order_and_up_to_any_limit(dataset):
    index = np.array([7, 3, 4, 5, 3, 39, 0])
    exact = dataset.source.spectra(dataset.rows[index])
    whole = dataset.batch(index).spectra
    error = np.linalg.norm(whole - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 0 < error.max() < 5e-4
    for count in (1, 100, *band_edges(dataset.lattice)[1:]):
        some = dataset.batch(index, count)
        np.testing.assert_array_equal(some.spectra, whole[:, :count])
        np.testing.assert_array_equal(some.ctf, dataset.batch(index).ctf[:, :count])
    for number, one in enumerate(index):
        np.testing.assert_array_equal(dataset.batch([one]).spectra[0], whole[number])


def test_a_memory_that_does_not_hold_all_is_not_filled_beside_a_store(dataset, monkeypatch):
    dataset.cache = SpectraCache(N, dataset.lattice.size, 20 * 8 * dataset.lattice.size / 2**20)
    monkeypatch.setattr(dataset.source.stacks, "read", lambda rows: pytest.fail("read from its stack"))
    asked = []
    read = dataset.source.store._read
    monkeypatch.setattr(
        dataset.source.store, "_read", lambda slots, factors, count: asked.append(count) or read(slots, factors, count)
    )
    assert dataset.batch(np.arange(N), 50).spectra.shape == (N, 50)
    assert asked == [50] and dataset.cache.n_held == 0


@pytest.mark.parametrize("multiplied", [0, 1], ids=["as taken", "multiplied by the CTF"])
def test_optics_groups_are_prepared_each_in_its_way(multiplied, tmp_path):
    groups = [optics(1), {**optics(2, pixel_ang=4.5), "rlnBeamTiltX": 1.0, "rlnBeamTiltY": -0.4}]
    groups = [{"rlnBeamTiltX": 0.0, "rlnBeamTiltY": 0.0, **each} for each in groups]
    groups = [{**each, "rlnCtfDataAreCtfPremultiplied": multiplied} for each in groups]
    table = rows(N).assign(rlnOpticsGroup=1 + np.arange(N) % 2)
    images = project(molecule(), table, groups[0]) + np.random.default_rng(0).normal(size=(N, 32, 32)) * 1e3
    particles = ParticleDataset.open(write_set(tmp_path, images.astype(np.float32), table, groups), STREAMED)
    exact = particles.batch(np.arange(N)).spectra
    stored(tmp_path / "store", particles)
    particles.source.store = find_store(tmp_path / "store", particles.source, particles.rows)
    error = np.linalg.norm(particles.batch(np.arange(N)).spectra - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 0 < error.max() < 5e-4
    assert len(StoredImages.of(particles.source, particles.rows)[0].preparations) == 2


def test_a_first_look_is_kept_with_the_images(dataset, star, monkeypatch):
    before = ParticleDataset.open(star, STREAMED).first_look
    monkeypatch.setattr(dataset.source.stacks, "read", lambda rows: pytest.fail("read again"))
    for name in ("rows", "far_out", "lost", "fingerprint"):
        np.testing.assert_array_equal(getattr(dataset.first_look, name), getattr(before, name))


def test_damaged_images_are_mended_among_others(tmp_path):
    images = np.random.default_rng(0).normal(size=(N, 32, 32)).astype(np.float32)
    images[7, 3, 4], images[20] = 1e6, 5
    star = write_set(tmp_path, images, rows(N))
    particles, before = ParticleDataset.open(star, STREAMED), ParticleDataset.open(star, STREAMED).first_look
    exact = particles.source.spectra(particles.rows)
    stored(tmp_path / "store", particles)
    store = find_store(tmp_path / "store", particles.source, particles.rows)
    assert store.look(particles.rows).far_out[7] == 1 and np.flatnonzero(store.look(particles.rows).lost) == [20]
    for name in ("far_out", "lost", "fingerprint"):
        np.testing.assert_array_equal(getattr(store.look(particles.rows), name), getattr(before, name))
    away = np.linalg.norm(store.spectra(particles.rows) - exact, axis=1)
    assert (away <= 5e-4 * np.linalg.norm(exact, axis=1)).all()


def test_some_of_the_images_and_repeated_ones_and_a_set_that_was_moved_find_their_store(dataset, tmp_path):
    store, table = tmp_path / "store", rows(N)
    some = table.iloc[[30, 2, 2, 17]].assign(rlnAngleRot=1.0)
    images = dataset.source.raw(np.arange(N))
    stack = tmp_path / "stack.mrcs"
    about = stack.stat()
    again = write_set(tmp_path, images, some, name="some.star")
    os.utime(stack, ns=(about.st_atime_ns, about.st_mtime_ns))
    part = ParticleDataset.open(again, replace(STREAMED, store=str(store)))
    assert part.source.store is not None and part.source.store.path == dataset.source.store.path
    np.testing.assert_array_equal(part.batch(np.arange(4)).spectra, dataset.batch(np.array([30, 2, 2, 17])).spectra)
    (tmp_path / "elsewhere").mkdir()
    moved = [shutil.move(tmp_path / name, tmp_path / "elsewhere" / name) for name in ("stack.mrcs", "particles.star")]
    assert found(store, moved[1]) is not None


@pytest.mark.parametrize("change", ["window", "box", "sign", "extracted anew", "behind our back", "one more image"])
def test_a_store_of_other_images_or_other_preparation_is_not_taken(change, star, dataset, tmp_path):
    store, config = tmp_path / "store", STREAMED
    assert found(store, star) is not None
    images, stack = dataset.source.raw(np.arange(N)), tmp_path / "stack.mrcs"
    about = stack.stat()
    if change in ("window", "box", "sign"):
        config = replace(STREAMED, **{change: {"window": 0.8, "box": 24, "sign": "black"}[change]})
    elif change == "one more image":
        write_stack(stack, np.concatenate([images, images[:1]]), 4.0)
    else:
        write_stack(stack, images[::-1], 4.0)
        if change == "behind our back":
            os.utime(stack, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert found(store, star, config) is None


def test_a_writer_that_was_killed_is_taken_up_where_it_was(star, tmp_path, monkeypatch):
    monkeypatch.setattr(store_writing, "MOST_AT_ONCE", 8)
    monkeypatch.setattr(store_writing, "NOTED_EVERY_S", 0.0)
    particles = ParticleDataset.open(star, STREAMED)
    stored(tmp_path / "whole", particles)

    def killed(done: int, total: int) -> None:
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "store", particles.source, particles.rows, killed)
    assert find_store(tmp_path / "store", particles.source, particles.rows) is None
    told = []
    write_store(tmp_path / "store", particles.source, particles.rows, lambda done, total: told.append(done))
    assert told == [24, 32, 40]
    (one,), (other,) = ([*(tmp_path / name).iterdir()] for name in ("whole", "store"))
    for file in one.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes() or file.suffix == ".npz"
    assert find_store(tmp_path / "store", particles.source, particles.rows) is not None


def test_a_store_that_is_cut_off_or_no_store_is_written_anew(star, dataset, tmp_path):
    path = dataset.source.store.path
    for damage in ("band_00", "store.json", "images.npz"):
        (path / damage).write_bytes((path / damage).read_bytes()[:-5])
        assert found(tmp_path / "store", star) is None
        stored(tmp_path / "store", dataset)
        assert found(tmp_path / "store", star) is not None
    (tmp_path / "store" / "notes.txt").write_text("not a store")
    assert found(tmp_path / "store", star) is not None


def kept(tmp_path, star, often=True, **settings) -> tuple[ParticleDataset, str]:
    """A set after it was seen whether its images are to be kept, and what was said of it."""
    config = RunConfig(particles=str(star), data=replace(STREAMED, **settings))
    run = Run.create(tmp_path / "run", config, overwrite=True)
    particles = ParticleDataset.open(star, config.data)
    keep_images(run, particles, often)
    return particles, run.log_file.read_text() if run.log_file.exists() else ""


def test_images_are_kept_where_that_is_asked_for_or_pays(star, tmp_path):
    in_run, shared = tmp_path / "run" / "image_store", str(tmp_path / "shared")
    for settings, place in (
        ({"store": "auto"}, in_run),
        ({"store": "auto", "often": False}, None),
        ({"store": "auto", "cache_mb": 100}, None),
        ({"store": "off"}, None),
        ({"store": shared}, tmp_path / "shared"),
    ):
        store = kept(tmp_path, star, **settings)[0].source.store
        assert (None if store is None else store.path.parent) == place, settings
    particles, said = kept(tmp_path, star, store=shared)
    assert particles.source.store is not None and "Preparing" not in said


@pytest.mark.parametrize("obstacle", ["full", "nearly full", "busy"])
def test_without_room_for_them_images_are_read_from_their_stacks(obstacle, star, tmp_path, monkeypatch):
    if obstacle == "full":

        def full(descriptor, values, offset):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(store_writing, "write_at", full)
    elif obstacle == "busy":

        def busy(folder, step):
            raise Busy(f"{folder} is being written by another process; wait for it.")

        monkeypatch.setattr(kept_images, "lock", busy)
    else:
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1e5))
    particles, said = kept(tmp_path, star)
    assert particles.source.store is None and "read from their stacks in every pass" in said
    assert {"full": "No space left", "nearly full": "0.0 GB free", "busy": "being written"}[obstacle] in said
    assert obstacle == "busy" or not [*(tmp_path / "run" / "image_store").rglob("band*")]
    assert len(particles.batch(np.arange(N))) == N


def test_an_image_that_is_not_finite_is_named(tmp_path):
    images = np.random.default_rng(0).normal(size=(N, 32, 32)).astype(np.float32)
    star = write_set(tmp_path, images, rows(N))
    particles = ParticleDataset.open(star, STREAMED)
    images[20, 1, 2] = np.nan
    write_set(tmp_path, images, rows(N))
    particles.source.stacks.close()
    with pytest.raises(DataError, match="row 21"):
        stored(tmp_path / "store", particles)
