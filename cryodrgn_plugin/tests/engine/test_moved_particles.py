"""Particles that were moved after training: said at once, found again where the user says, and not needed for maps."""

import json
import shutil
import time

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

from .particle_files import molecule, optics, project, rows, write_set

pytestmark = pytest.mark.slow

COUNT, BOX = 240, 24
QUICK = {
    "analyze": ["--clusters", "2", "--umap", "no", "--components", "1", "--steps", "3"],
    "landscape": ["--clusters", "2", "--states", "0", "--bootstrap", "20"],
    "states": ["--states", "2"],
    "select": ["--random", "50"],
    "validate": ["--halves", "no", "--states", "2", "--bootstrap", "20", "--permutations", "99"],
}
NEEDS_STAR = ["analyze", "landscape", "select", "validate"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a project of particles, a stack in a folder below, and a finished run beside it."""
    folder = tmp_path_factory.mktemp("moved")
    data = folder / "project" / "data"
    data.mkdir(parents=True)
    group, table = optics(box=BOX, pixel_ang=5.0), rows(COUNT, seed=2)
    images = project(molecule(), table, group)
    other = project(molecule(seed=4), table, group)
    images[::2] = other[::2]  # two states, for a latent space to look at
    images = images / images.std() + np.random.default_rng(2).normal(size=images.shape)
    star = write_set(data, images.astype(np.float32), table, [group])
    config = recipe_config("fast", {"particles": str(star), "z_dim": "2", "closed_form.n_components": "2"})
    run = Run.create(folder / "run", config)
    with run.working():
        fit(run, config)
    return folder


@pytest.fixture
def moved(trained, tmp_path):
    """A copy of all, with the particles moved to another place: where the run is, and where they are."""
    shutil.copytree(trained, tmp_path / "all")
    config = (tmp_path / "all" / "run" / "config.json").read_text()
    (tmp_path / "all" / "run" / "config.json").write_text(config.replace(str(trained), str(tmp_path / "all")))
    (tmp_path / "all" / "project").rename(tmp_path / "elsewhere")
    return tmp_path / "all" / "run", tmp_path / "elsewhere"


def refused(capsys, *words) -> str:
    """What a command says that ends with a user's mistake, within seconds and in one line."""
    capsys.readouterr()
    began = time.perf_counter()
    assert main([str(word) for word in words]) == 2
    assert time.perf_counter() - began < 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("command", QUICK)
def test_a_star_file_that_is_gone_is_missed_at_once(moved, capsys, command):
    run, _ = moved
    said = refused(capsys, command, run, *QUICK[command])
    assert "particles.star, which" in said and "is not there" in said and "--particles-at" in said
    assert not (run / "analysis").exists() and not (run / "landscape").exists()


@pytest.mark.parametrize("place", ["", "data", "data/particles.star"])
def test_the_run_finds_them_where_it_is_told_and_remembers(moved, place):
    run, elsewhere = moved
    assert main(["select", str(run), *QUICK["select"], "--particles-at", str(elsewhere / place)]) == 0
    assert images_of(Run.open(run)).n == COUNT
    # Who borrows the run knows it too.
    Run.borrow(run, run.parent / "looking", "landscape")
    assert images_of(Run.open(run.parent / "looking")).n == COUNT


def test_stacks_that_were_moved_alone_are_found(moved, capsys):
    run, elsewhere = moved
    (run.parent / "project" / "data").mkdir(parents=True)
    shutil.move(elsewhere / "data" / "particles.star", run.parent / "project" / "data")
    said = refused(capsys, "validate", run, *QUICK["validate"])
    assert "1 of 1 image stacks are absent" in said and "--particles-at" in said
    assert "Without images, give --method decoder --bias no." in refused(capsys, "states", run, *QUICK["states"])
    assert main(["states", str(run), *QUICK["states"], "--method", "decoder", "--bias", "no"]) == 0
    assert main(["validate", str(run), *QUICK["validate"], "--particles-at", str(elsewhere)]) == 0


def test_an_analysis_without_images_says_so_first_and_goes_on(moved, capsys):
    run, elsewhere = moved
    shutil.copytree(elsewhere, run.parent / "project")
    (run.parent / "project" / "data" / "stack.mrcs").unlink()
    assert main(["analyze", str(run), *QUICK["analyze"]]) == 0
    said = capsys.readouterr().out
    assert said.index("The FSC to the truth is left out") < said.index("classes hold")
    index = json.loads((run / "analysis" / "analysis.json").read_text())
    assert len(index["clusters"]) == 2 and index["series"]


def test_maps_need_no_particles(moved):
    run, elsewhere = moved
    shutil.rmtree(elsewhere)
    assert main(["volumes", str(run), "--particles", "0,5", "--out", str(run.parent / "maps")]) == 0
    assert main(["trajectory", str(run), "--steps", "3", "--movie", "no"]) == 0
    assert len(list((run.parent / "maps").glob("vol_*.mrc"))) == 2


def test_a_wrong_place_is_refused(moved, capsys, tmp_path):
    run, _ = moved
    assert "There is no file or folder" in refused(capsys, "analyze", run, "--particles-at", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no particles.star" in refused(capsys, "analyze", run, "--particles-at", tmp_path / "empty")
    assert "particles_at" not in Run.open(run).info.get("notes", {})


def test_a_note_of_a_place_that_is_gone_too_is_forgotten(moved):
    run, elsewhere = moved
    Run.open(run, particles_at=elsewhere)
    shutil.move(elsewhere, run.parent / "project")
    assert images_of(Run.open(run)).n == COUNT
