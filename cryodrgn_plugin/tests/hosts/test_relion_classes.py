"""RELION's own Subset selection on the classes of a job: its window shows their maps, and what is clicked is saved."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.io.mrc import write_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.relion.class_model import UNRESOLVED_ANG, place_class_model
from cryodrgn_plugin.relion.findings import ClassFiles
from cryodrgn_plugin.relion.job_results import ResultsRequest, publish
from cryodrgn_plugin.tests.hosts import patience
from cryodrgn_plugin.tests.hosts.relion_sandbox import GOLDEN, RelionProject, needs_relion

JOB = "External/job007"
MODEL = f"{JOB}/run_it000_model.star"
ROWS, BOX = 2000, 48
SPECIES = np.array([1, 1, 1, 2, 2, 4, 4])[np.arange(ROWS) % 7]
"""Of each particle; the third has a map and no particles."""
FRAME_PX = 2
"""Around each picture in RELION's window."""
needs_hands = pytest.mark.skipif(
    not (shutil.which("relion_display") and shutil.which("xdotool") and shutil.which("import")),
    reason="relion-gui, xdotool or imagemagick is not installed",
)


def shapes() -> list[np.ndarray]:
    """Four maps of 0 and 1 whose middle slices are told apart, in every direction."""
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    ball = x**2 + y**2 + z**2 < 100
    plate = (abs(x) < 12) & (abs(y) < 4) & (abs(z) < 12)
    pair = ball | ((x - 6) ** 2 + (y - 12) ** 2 + z**2 < 30)
    corner = (x > -8) & (x < 15) & (y > 0) & (y < 6) & (abs(z) < 9)
    return [shape.astype(np.float32) for shape in (ball, plate, pair, corner)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a job that has told species apart; the working directory, as a job's is."""
    project = RelionProject(tmp_path_factory.mktemp("relion") / "project")
    with contextlib.chdir(project.folder):
        settings = {"particles": str(GOLDEN / "in2000.star"), "z_dim": 0, "ab_initio.species": 0}
        run = Run.create(Path(JOB, "run"), recipe_config("abinitio", settings))
        rotations = random_matrices(ROWS, np.random.default_rng(2))
        with run.working():
            run.save_latents(np.zeros((ROWS, 0)))
            run.save_poses(np.arange(ROWS), rotations, np.zeros((ROWS, 2)), species=SPECIES - 1)
        run.found_map_file(1).parent.mkdir(parents=True)
        for (number, shape), which in itertools.product(enumerate(shapes(), 1), ("", "half1", "half2", "other_hand")):
            write_map(run.found_map_file(number, which), shape, 3.2)
        publish(ResultsRequest("abinitio", JOB, str(run.path), "3.1", clusters=False))
        yield project


def test_the_model_has_a_row_for_each_species_also_for_one_without_particles(project):
    classes = read_star(MODEL)["model_classes"]
    assert classes.rlnReferenceImage.tolist() == [f"{JOB}/run_initial{number:03d}.mrc" for number in (1, 2, 3, 4)]
    shares = [np.mean(number == SPECIES) for number in (1, 2, 3, 4)]
    assert classes.rlnClassDistribution.tolist() == pytest.approx(shares)
    named = read_star(f"{JOB}/run_it000_optimiser.star")["optimiser_general"].iloc[0]
    assert named.rlnModelStarFile == MODEL
    data = read_star(named.rlnExperimentalDataStarFile)["particles"]
    assert data.equals(read_star(f"{JOB}/particles.star")["particles"])
    np.testing.assert_array_equal(data.rlnClassNumber, SPECIES)


def test_the_resolution_is_the_expected_one_or_that_of_half_maps_or_none(tmp_path):
    (tmp_path / "particles.star").touch()
    known = [{"resolution_ang": {"0.143": 8.0}, "expected_resolution_ang": 9.5}, {"resolution_ang": {"0.143": 7.5}}, {}]
    classes = [
        ClassFiles(number, 10, 0.25, f"particles_class{number:03d}.star", f"run_class{number:03d}.mrc", **one)
        for number, one in enumerate(known, 1)
    ]
    nodes = place_class_model(tmp_path, classes)
    assert [node.kind for node in nodes] == ["class model", "class optimiser"]
    written = read_star(tmp_path / "run_it000_model.star")["model_classes"]
    assert written.rlnEstimatedResolution.tolist() == [9.5, 7.5, UNRESOLVED_ANG]
    assert written.rlnClassDistribution.tolist() == [0.25] * 3


def test_particles_without_classes_or_classes_without_maps_have_no_model(tmp_path):
    for files in (ClassFiles(1, 10, map="run_class001.mrc"), ClassFiles(1, 10, star="particles_class001.star")):
        assert place_class_model(tmp_path, [files]) == []
    assert list(tmp_path.iterdir()) == []


@needs_relion
@needs_hands
def test_subset_selection_shows_each_map_and_saves_the_particles_of_the_classes_that_are_clicked(project, screen):
    select = project.add_select(MODEL)
    with started(project, select) as job:
        click(window("Relion display GUI"), 436, 319)
        classes, slices = window(MODEL), [shape[BOX // 2] for shape in shapes()]
        patience.wait_for(lambda: np.array_equal(pictures(project, classes), slices), 20)
        step = BOX + 2 * FRAME_PX
        for number in (2, 4):
            click(classes, step * (number - 1) + step // 2, step // 2)
        save_selected(classes, step // 2, step // 2)
        patience.finish(job, 20)
    assert (project.status(select), project.markers(select)) == ("finished", {"EXIT_SUCCESS"})
    saved, given = (read_star(project.folder / name) for name in (f"{select}particles.star", f"{JOB}/particles.star"))
    members = np.concatenate([np.flatnonzero(number == SPECIES) for number in (2, 4)])
    wanted = given["particles"].iloc[members].reset_index(drop=True)
    assert list(saved["particles"]) == list(wanted)
    assert saved["particles"].rlnImageName.tolist() == wanted.rlnImageName.tolist()
    for column in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnDefocusU"):
        np.testing.assert_allclose(saved["particles"][column], wanted[column], atol=1e-4)
    assert saved["optics"].rlnImagePixelSize.tolist() == given["optics"].rlnImagePixelSize.tolist()


@contextlib.contextmanager
def started(project: RelionProject, job: str):
    """The job while it runs; all its processes, which hold its windows, are ended in the end."""
    process = project.start(job, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def xdotool(*words: object) -> list[str]:
    return subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True, check=False).stdout.split()


def window(name: str) -> str:
    """The window of a name, once it is on the screen."""
    found: list[str] = []

    def look() -> bool:
        found[:] = xdotool("search", "--onlyvisible", "--name", name)
        return bool(found)

    patience.wait_for(look, 20)
    return found[0]


def click(where: str, x: int, y: int, button: int = 1) -> None:
    xdotool("mousemove", "--sync", "--window", where, x, y, "click", button)


def pictures(project: RelionProject, classes: str) -> np.ndarray:
    """(4, D, D) what the window shows of the four classes, as 0 and 1."""
    shot = project.folder / "classes.png"
    subprocess.run(["import", "-window", classes, shot], check=True, capture_output=True)
    seen = matplotlib.image.imread(shot)
    grey = seen if seen.ndim == 2 else seen[..., 0]
    step = BOX + 2 * FRAME_PX
    rows = slice(FRAME_PX, FRAME_PX + BOX)
    return np.stack([grey[rows, step * n + FRAME_PX : step * n + FRAME_PX + BOX] > 0.5 for n in range(4)])


def save_selected(classes: str, x: int, y: int) -> None:
    """Open the menu and take its last entry but one, Save selected classes."""
    before = xdotool("search", "--onlyvisible", "--name", "")
    click(classes, x, y, button=3)
    patience.wait_for(lambda: len(xdotool("search", "--onlyvisible", "--name", "")) > len(before), 20)
    xdotool("key", "Up", "Up", "Return")
