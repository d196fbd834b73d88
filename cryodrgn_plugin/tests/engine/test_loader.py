"""Batches come in a reproducible order, whole, once each, from memory or from disk, and errors reach the consumer."""

import threading

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data import loader as loader_module
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.loader import BatchLoader
from cryodrgn_plugin.engine.errors import DataError

from .particle_files import rows, small_set, write_set

IN_MEMORY, STREAMING = DataConfig(sign="white"), DataConfig(sign="white", cache_mb=0)


def indices(loader, epoch, start=0):
    return [batch.index.tolist() for batch in loader.iterate(epoch, start)]


@pytest.fixture
def star(tmp_path):
    return small_set(tmp_path, count=53)


@pytest.mark.parametrize("config", [IN_MEMORY, STREAMING], ids=["memory", "disk"])
def test_an_epoch_holds_every_particle_once_in_an_order_of_its_own(star, config):
    dataset = ParticleDataset.open(star, config)
    loader = BatchLoader(dataset, 8, seed=1)
    first, second = indices(loader, 0), indices(loader, 1)
    assert sorted(sum(first, [])) == list(range(53)) and len(first) == len(loader) == 7
    assert first != second
    assert first == indices(BatchLoader(ParticleDataset.open(star, config), 8, seed=1), 0)
    assert first != indices(BatchLoader(dataset, 8, seed=2), 0)


def test_an_epoch_can_be_taken_up_where_it_stopped(star):
    loader = BatchLoader(ParticleDataset.open(star, IN_MEMORY), 8, seed=1)
    assert indices(loader, 3, start=4) == indices(loader, 3)[4:]


def test_incomplete_batches_can_be_dropped_and_the_order_kept(star):
    dataset = ParticleDataset.open(star, IN_MEMORY)
    assert [len(batch) for batch in indices(BatchLoader(dataset, 8, drop_last=True), 0)] == [8] * 6
    assert sum(indices(BatchLoader(dataset, 8, shuffle=False), 0), []) == list(range(53))


def test_batches_from_memory_and_from_disk_are_equal(star):
    memory, disk = (ParticleDataset.open(star, config) for config in (IN_MEMORY, STREAMING))
    for _ in range(2):
        for batch in BatchLoader(memory, 8).iterate(0):
            np.testing.assert_array_equal(batch.spectra, disk.batch(batch.index).spectra)
    assert memory.cache.n_held == 53 and disk.cache.n_held == 0


def test_images_are_read_once_when_they_fit_in_memory(star, monkeypatch):
    dataset = ParticleDataset.open(star, IN_MEMORY)
    loader = BatchLoader(dataset, 8)
    indices(loader, 0)
    monkeypatch.setattr(dataset.source.stacks, "read", lambda rows: pytest.fail("read again"))
    indices(loader, 1)


def test_a_cache_that_is_too_small_keeps_what_fits(star):
    size = ParticleDataset.open(star, IN_MEMORY).lattice.size
    dataset = ParticleDataset.open(star, DataConfig(sign="white", cache_mb=1))
    assert dataset.cache.holds_all
    from cryodrgn_plugin.engine.data.cache import SpectraCache

    cache = SpectraCache(53, size, 20 * 8 * size / 2**20)
    values = np.arange(53)[:, None] + np.zeros((53, size), np.complex64)
    for rows_ in (np.arange(15), np.array([3, 20, 3, 30]), np.arange(53)):
        np.testing.assert_array_equal(cache.get(rows_, lambda r, count: values[r]), values[rows_])
    assert cache.n_held == 20 and not cache.holds_all


def test_when_streaming_neighbours_on_disk_stay_together(tmp_path, monkeypatch):
    monkeypatch.setattr(loader_module, "BLOCK", 8)
    monkeypatch.setattr(loader_module, "WINDOW_MB", 0)
    dataset = ParticleDataset.open(small_set(tmp_path, count=96), STREAMING)
    order = BatchLoader(dataset, 8, seed=0).order(0)
    for start in range(0, 96, 8):
        assert np.ptp(order[start : start + 8]) == 7
    assert not np.array_equal(order, np.arange(96))


def test_an_error_while_reading_ahead_reaches_the_consumer(tmp_path):
    images = np.random.default_rng(0).normal(size=(200, 32, 32))
    dataset = ParticleDataset.open(write_set(tmp_path, images, rows(200)), IN_MEMORY)
    images[150] = np.nan
    write_set(tmp_path, images, rows(200))
    dataset.source.stacks.close()
    with pytest.raises(DataError, match="row 151"):
        indices(BatchLoader(dataset, 8, shuffle=False), 0)


def test_a_consumer_that_leaves_early_leaves_no_thread(star):
    before = threading.active_count()
    for batch in BatchLoader(ParticleDataset.open(star, IN_MEMORY), 4).iterate(0):
        assert len(batch) == 4
        break
    assert threading.active_count() == before


def test_time_spent_waiting_is_counted(star):
    loader = BatchLoader(ParticleDataset.open(star, STREAMING), 8)
    indices(loader, 0)
    assert 0 < loader.wait_seconds < 10
