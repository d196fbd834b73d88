"""What several processes do before a training begins: each looks at its images, and writes its part of one store."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.config import DataConfig, RunConfig
from cryodrgn_plugin.engine.data import looking, store_writing
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.first_look import FirstLook
from cryodrgn_plugin.engine.data.image_store import find_store
from cryodrgn_plugin.engine.data.store_writing import StoreWriter, write_store
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.ranks import LOST, Ranks, joined
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.vetting.at_start import vetted
from cryodrgn_plugin.engine.vetting.kept_images import keep_images

from .particle_files import molecule, optics, project, rows, write_set
from .processes import started

N, BOX, LOT = 60, 32, 8
TOGETHER = ["-c", f"import sys; from {__name__} import DEEDS; DEEDS[sys.argv[1]](*sys.argv[2:])"]
NAMES = ("rows", "far_out", "lost", "fingerprint")


def damaged_set(folder: Path, scale: float = 1.0) -> Path:
    """A hot pixel in image 5, nothing in image 41, one image in places 3, 17 and 52, and image 44 times `scale`."""
    group, table = optics(box=BOX), rows(N)
    images = project(molecule(), table, group)
    images = (images / images.std() * 0.4 + np.random.default_rng(0).normal(size=images.shape)).astype(np.float32)
    images[5, 3, 4], images[41] = 1e6, 2.0
    images[[17, 52]] = images[3]
    images[44] *= scale
    return write_set(folder, images, table, [group])


def look(star: str, out: str) -> None:
    """See a set for the first time; leaves what was seen, or what was wrong."""
    looking.PIXELS_AT_ONCE = LOT * BOX**2
    places, take = [], FirstLook.take
    FirstLook.take = lambda self, listed_in, some, seen: places.extend(some) or take(self, listed_in, some, seen)
    with joined() as ranks:
        file = Path(out) / f"look_{ranks.own}_of_{ranks.count}"
        try:
            found = vetted(RunConfig(particles=star))
        except DataError as error:
            file.with_suffix(".txt").write_text(str(error))
            return
    seen, copies = found.dataset.first_look, found.dataset.copies
    said = json.dumps([found.sentences, found.notes, copies.by])
    arrays = {name: getattr(seen, name) for name in NAMES}
    np.savez(file.with_suffix(".npz"), **arrays, shown=copies.shown, said=said, places=places)


def store(star: str, out: str, killed_after: str = "") -> None:
    """Keep prepared images; leaves which lots this process has written and what it then reads. The second of them is
    killed when it has written so many images."""
    store_writing.MOST_AT_ONCE, store_writing.NOTED_EVERY_S = LOT, 0.0
    starts, write = [], StoreWriter.write
    StoreWriter.write = lambda self, files, start: starts.append(start) or write(self, files, start)
    with joined() as ranks:
        config = RunConfig(particles=star, data=DataConfig(sign="white", cache_mb=0))
        run, dataset = Run.create(Path(out) / f"run{ranks.own}", config, overwrite=False, resume=True), None
        dataset = ParticleDataset.open(star, config.data)
        if killed_after and ranks.own == 1:
            run.progress = lambda what, done, total: done < int(killed_after) or os.kill(os.getpid(), signal.SIGKILL)
        keep_images(run, dataset, often=True)
    assert dataset.source.store is not None, run.log_file.read_text()
    kept = {"path": str(dataset.source.store.path), "spectra": dataset.source.kept(dataset.rows)}
    np.savez(Path(out) / f"store_{ranks.own}_of_{ranks.count}.npz", starts=sorted(starts), **kept)


DEEDS = {"look": look, "store": store}


def together(*arguments: str | Path, count: int = 2) -> list[str]:
    """What several processes say that do the same; all must succeed."""
    processes = started(list(map(str, arguments)), count, TOGETHER)
    said = [each.communicate(timeout=150)[1] for each in processes]
    assert [each.returncode for each in processes] == [0] * count, said
    return said


@pytest.mark.slow
def test_two_processes_that_look_at_half_of_the_images_each_see_what_one_sees(tmp_path):
    star = damaged_set(tmp_path)
    together("look", star, tmp_path)
    look(str(star), str(tmp_path))
    alone = np.load(tmp_path / "look_0_of_1.npz")
    assert alone["far_out"].sum() == 1 and len(alone["shown"]) == N - 1 and alone["shown"].max() == N - 4
    assert "2 by pixels" in str(alone["said"]) and "row 42" in str(alone["said"])
    each = [np.load(tmp_path / f"look_{own}_of_2.npz") for own in range(2)]
    for two in each:
        for name in (*NAMES, "shown", "said"):
            np.testing.assert_array_equal(two[name], alone[name], err_msg=name)
    # Twice: a sample of them, which is all of so few, is asked what was done about the CTF.
    assert sorted([*each[0]["places"], *each[1]["places"]]) == sorted(alone["places"]) == sorted([*range(N)] * 2)
    assert min(len(two["places"]) for two in each) >= N - 2 * LOT


@pytest.mark.slow
def test_what_one_process_finds_wrong_with_an_image_all_say(tmp_path):
    star = damaged_set(tmp_path, scale=1e16)
    together("look", star, tmp_path)
    look(str(star), str(tmp_path))
    alone = (tmp_path / "look_0_of_1.txt").read_text()
    assert "row 45" in alone
    assert [(tmp_path / f"look_{own}_of_2.txt").read_text() for own in range(2)] == [alone, alone]


def written_by_one(star: Path, folder: Path, monkeypatch) -> tuple[Path, ParticleDataset]:
    monkeypatch.setattr(store_writing, "MOST_AT_ONCE", LOT)
    dataset = ParticleDataset.open(star, DataConfig(sign="white", cache_mb=0))
    write_store(folder, dataset.source, dataset.rows, lambda done, total: None)
    (store,) = folder.iterdir()
    return store, dataset


def assert_same_files(one: Path, other: Path) -> None:
    assert {file.name for file in one.iterdir()} == {file.name for file in other.iterdir()}
    for file in one.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes() or file.suffix == ".npz", file.name


@pytest.mark.slow
def test_two_processes_write_a_part_of_one_store_each_and_read_all_of_it(tmp_path, monkeypatch):
    star = damaged_set(tmp_path)
    together("store", star, tmp_path)
    one, dataset = written_by_one(star, tmp_path / "alone", monkeypatch)
    each = [np.load(tmp_path / f"store_{own}_of_2.npz") for own in range(2)]
    (there,) = (tmp_path / "run0" / "image_store").iterdir()
    assert [str(two["path"]) for two in each] == [str(there)] * 2 and not (tmp_path / "run1" / "image_store").exists()
    assert_same_files(one, there)
    lots = list(range(0, N, LOT))
    assert [*each[0]["starts"], *each[1]["starts"]] == lots and len(each[0]["starts"]) == len(lots) // 2
    kept = find_store(tmp_path / "alone", dataset.source, dataset.rows).spectra(dataset.rows)
    for two in each:
        np.testing.assert_array_equal(two["spectra"], kept)


@pytest.mark.slow
def test_a_store_whose_writer_was_killed_is_read_by_nobody_and_taken_up(tmp_path, monkeypatch):
    star = damaged_set(tmp_path)
    processes = started(["store", str(star), str(tmp_path), str(2 * LOT)], 2, TOGETHER)
    said = [each.communicate(timeout=150)[1] for each in processes]
    assert processes[1].returncode == -signal.SIGKILL and processes[0].returncode == 1 and LOST in said[0]
    (there,) = (tmp_path / "run0" / "image_store").iterdir()
    one, dataset = written_by_one(star, tmp_path / "alone", monkeypatch)
    assert find_store(there.parent, dataset.source, dataset.rows) is None
    missing = LOT * np.flatnonzero(np.fromfile(there / "written", np.uint8) == 0)
    # The first has finished its part; the second was killed before it noted its second lot.
    assert missing.tolist() == [40, 48, 56]
    together("store", star, tmp_path, count=3)
    each = [np.load(tmp_path / f"store_{own}_of_3.npz")["starts"].tolist() for own in range(3)]
    assert sum(each, []) == missing.tolist() and all(each)
    assert_same_files(one, there)


def test_alone_what_is_wrong_is_raised_as_it_is():
    error = DataError("The image of row 3 is no image.")
    with pytest.raises(DataError) as raised, Ranks().alike():
        raise error
    assert raised.value is error and Ranks().first_said("why") == "why"
