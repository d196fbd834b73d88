"""Images that stand in a set more than once share a half-set, are counted once, and are spoken of."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from cryodrgn_plugin.engine.analysis.populations import counted, most_likely
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data import copies
from cryodrgn_plugin.engine.data.copies import places, repeated
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.half_sets import drawn_halves
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.backproject import half_maps
from cryodrgn_plugin.engine.reconstruction.homogeneous import given_halves, reconstruct
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.selection_report import select
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.engine.validation.validation_report import validate

from .particle_files import molecule, optics, project, rows, write_set

pytestmark = pytest.mark.slow

COUNT, BOX = 300, 32
ONCE = 250
"""Images of the run that stand twice."""


def twice(table: pd.DataFrame, way: str) -> pd.DataFrame:
    """Each row again, in the same order after the first ones: by `way` it says the copy is one, or nothing does."""
    again = table.copy()
    if way != "name":
        again["rlnImageName"] = [f"{i + len(table):06d}@stack.mrcs" for i in range(1, len(table) + 1)]
    if way == "place":
        xy = np.random.default_rng(9).uniform(100, 3900, (2, len(table)))
        both = [one.assign(rlnCoordinateX=xy[0] + d, rlnCoordinateY=xy[1]) for one, d in ((table, 0.0), (again, 0.7))]
        return pd.concat(both, ignore_index=True)
    return pd.concat([table, again], ignore_index=True)


def noise_set(folder, way: str, count: int = COUNT, seed: int = 0):
    """Pure noise, every image twice: under its name, under another with the same pixels, or at the same place."""
    noise = np.random.default_rng(seed).normal(size=(count, BOX, BOX)).astype(np.float32)
    stored = {"name": noise, "pixels": np.concatenate([noise, noise])}
    # Cut out again with another rounding: nearly the same image, and no pixel the same.
    stored["place"] = np.concatenate([noise, noise * np.float32(1.001)])
    return write_set(folder, stored[way], twice(rows(count, seed=seed), way))


@pytest.mark.parametrize("way", ["name", "pixels", "place"])
def test_halves_of_noise_that_stands_twice_agree_on_nothing(tmp_path, way):
    dataset = ParticleDataset.open(noise_set(tmp_path, way))
    assert dataset.copies.by == {way: COUNT} | ({"pixels": COUNT} if way == "name" else {})
    halves = drawn_halves(dataset, 0)
    np.testing.assert_array_equal(halves[:COUNT], halves[COUNT:])
    assert sorted(np.bincount(halves)) == [COUNT, COUNT]
    found = reconstruct(dataset, mask="sphere")
    assert found.resolution_ang() > 60 and abs(found.curves.unmasked[3:].mean()) < 0.06
    # Halves that part copies agree on noise to the limit of the box.
    parted = half_maps(dataset, halves=np.arange(2 * COUNT) // COUNT)
    assert parted.fsc[3:].mean() > 0.9


def test_halves_of_the_file_that_part_copies_are_mended(tmp_path):
    star = noise_set(tmp_path, "pixels")
    table = read_particles(star)
    table.frame["rlnRandomSubset"] = 1 + np.arange(table.n) // COUNT
    write_star(star, table.tables)
    with pytest.raises(DataError, match="one half is empty"):
        reconstruct(ParticleDataset.open(star))
    table.frame["rlnRandomSubset"] = 1 + np.arange(table.n) % 2
    table.frame.loc[COUNT:, "rlnRandomSubset"] = 2 - np.arange(COUNT) % 2
    write_star(star, table.tables)
    half = given_halves(ParticleDataset.open(star), "star")
    np.testing.assert_array_equal(half[:COUNT], half[COUNT:])


def test_neighbours_are_no_copies_and_placeholders_no_places(tmp_path):
    star = noise_set(tmp_path, "place")
    table = read_particles(star)
    assert repeated(places(table)).sum() == COUNT
    table.frame["rlnCoordinateX"] += 40.0 * (np.arange(table.n) >= COUNT)
    assert not repeated(places(table)).any()
    table.frame[["rlnCoordinateX", "rlnCoordinateY"]] = 0.0
    assert not repeated(places(table)).any()
    single = ParticleDataset.open(star).subset(np.arange(COUNT))
    assert not single.copies.any and single.copies.sentences() == []


def test_neighbours_are_looked_for_among_places_and_not_among_rows(tmp_path, monkeypatch):
    """Of 60 rows at one place there are 1,770 pairs, and of 500 rows 124,750."""
    table = read_particles(noise_set(tmp_path, "place", count=4))
    many = replace(table, frame=pd.concat([table.frame] * 50, ignore_index=True))
    points = []
    monkeypatch.setattr(copies, "cKDTree", lambda of: points.append(len(of)) or cKDTree(of))
    found = places(many)
    assert points == [8] and len(np.unique(found)) == 4
    assert (found.reshape(50, 2, 4) == found[:4]).all()


def test_rows_of_a_symmetry_expanded_set_share_a_half(tmp_path):
    noise = np.random.default_rng(2).normal(size=(COUNT, BOX, BOX)).astype(np.float32)
    table = rows(COUNT)
    expanded = pd.concat([table.assign(rlnAngleRot=table["rlnAngleRot"] + turn) for turn in (0, 120, 240)])
    dataset = ParticleDataset.open(write_set(tmp_path, noise, expanded.reset_index(drop=True)))
    halves = drawn_halves(dataset, 1).reshape(3, COUNT)
    assert (halves == halves[0]).all()
    assert "listed 3 times, as after symmetry expansion" in dataset.copies.sentences()[0]
    assert drawn_halves(dataset.with_poses(*dataset.physical_poses()), 1).tolist() == halves.ravel().tolist()


def test_copies_count_once_in_populations():
    rng = np.random.default_rng(3)
    state = rng.integers(0, 2, 400)
    scores = np.where(state[:, None] == np.arange(2), 0.0, -3.0) + rng.normal(0, 0.3, (400, 2))
    # Every particle of state 0 stands three times: it would be three quarters of the particles.
    index = np.concatenate([np.arange(400), *[np.flatnonzero(state == 0)] * 2])
    micrograph = index % 40
    alone, by_all = counted(state, 2), counted(state[index], 2, shown=index)
    np.testing.assert_allclose(by_all.share, alone.share)
    assert by_all.particles == 400
    np.testing.assert_allclose(by_all.high - by_all.low, alone.high - alone.low, rtol=0.2)
    in_groups = counted(state, 2, groups=np.arange(400) % 40), counted(state[index], 2, groups=micrograph, shown=index)
    np.testing.assert_allclose(in_groups[0].share, in_groups[1].share)
    likely, of_all = most_likely(scores), most_likely(scores[index], shown=index)
    np.testing.assert_allclose(of_all.share, likely.share, atol=1e-6)
    np.testing.assert_allclose(of_all.high - of_all.low, likely.high - likely.low, rtol=0.2)
    assert most_likely(scores[index]).share[0] > likely.share[0] + 0.15


@pytest.fixture(scope="module")
def one_state_twice(tmp_path_factory):
    """A run on images of a rigid molecule that stand twice in the stack under new numbers."""
    folder = tmp_path_factory.mktemp("twice")
    group, table = optics(box=24, pixel_ang=5.0), rows(ONCE, seed=4)
    images = project(molecule(), table, group)
    images = images / images.std() * 0.3 + np.random.default_rng(4).normal(size=images.shape)
    star = write_set(folder, np.concatenate([images, images]).astype(np.float32), twice(table, "pixels"), [group])
    config = recipe_config("fast", {"particles": str(star), "z_dim": "2", "closed_form.n_components": "3"})
    run = Run.create(folder / "run", config)
    with run.working():
        fit(run, config)
    return run


def test_one_state_that_stands_twice_is_not_found_heterogeneous(one_state_twice):
    latents = one_state_twice.latents()
    np.testing.assert_array_equal(latents.half[:ONCE], latents.half[ONCE:])
    assert "250 of 500 images are copies of another (250 by pixels)" in one_state_twice.log_file.read_text()
    assert one_state_twice.info["notes"]["copies"] == {"images": ONCE, "pixels": ONCE}
    index = json.loads(validate(one_state_twice, ValidateOptions(permutations=99, bootstrap=50, nodes=10)).read_text())
    assert index["heterogeneity"]["p_value"] > 0.01
    assert "No heterogeneity" in index["verdict"]["headline"]
    arrays = one_state_twice.results("validation").arrays
    np.testing.assert_array_equal(arrays["half"][:ONCE], arrays["half"][ONCE:])
    assert "250 of 500 images are copies of another: they stayed in one half" in one_state_twice.log_file.read_text()


def test_one_of_each_copy_can_be_kept(one_state_twice):
    index = json.loads(select(one_state_twice, SelectOptions(name="once", once=True)).read_text())
    assert index["selected"] == ONCE
    kept = read_particles(one_state_twice.results_dir("selection", "once") / "selected.star")
    assert kept.image_names == [f"{i:06d}@stack.mrcs" for i in range(1, ONCE + 1)]


def test_reconstruct_says_a_word_of_copies(tmp_path, capsys):
    star = noise_set(tmp_path, "name", count=60)
    assert main(["reconstruct", str(star), "--out", str(tmp_path / "rec")]) == 0
    assert "Every image is listed 2 times, as after symmetry expansion" in capsys.readouterr().out
