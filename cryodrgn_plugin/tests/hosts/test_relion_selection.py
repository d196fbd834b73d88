"""The way back: a star file that RELION wrote, trained on, selected from, and reconstructed by RELION again."""

import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.hosts.relion_sandbox import RelionProject, make_two_state_particles, needs_relion

pytestmark = [needs_relion, pytest.mark.slow]

PER_STATE = 200
QUICK = {"z_dim": 2, "closed_form.n_components": 3, "closed_form.iterations": 4, "data.box": 32}


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A project, the lines of its star file as RELION wrote them, and the folder of a selection of one side of z1."""
    project = RelionProject(tmp_path_factory.mktemp("relion") / "project")
    project.states = make_two_state_particles(project, PER_STATE, noise=1.0)
    project.relion(
        *"relion_star_handler --i Sim/particles.star --o all.star --select rlnOpticsGroup --minval 0".split()
    )
    star = project.folder / "all.star"
    run = Run.create(
        project.folder / "run", recipe_config("fast", {"particles": str(star), "root": str(project.folder), **QUICK})
    )
    with run.working():
        fit(run, run.config)
    assert main(["select", str(run.path), "--where", "coordinate > 0.5", "--name", "side"]) == 0
    return project, star, run


def data_lines(star) -> list[bytes]:
    return [line for line in star.read_bytes().splitlines(keepends=True) if b"@" in line]


def test_every_line_that_comes_back_is_relions_own_in_its_order(selected):
    _, star, run = selected
    folder = run.results_dir("selection", "side")
    taken = np.load(folder / "selection.npz")["selected"]
    lines = data_lines(star)
    assert data_lines(folder / "selected.star") == [line for line, own in zip(lines, taken, strict=True) if own]
    assert data_lines(folder / "rejected.star") == [line for line, own in zip(lines, taken, strict=True) if not own]
    head = star.read_bytes().split(lines[0])[0]
    assert (folder / "selected.star").read_bytes().startswith(head)
    counts = json.loads((folder / "selection.json").read_text())
    assert counts["selected"] + counts["rejected"] == 2 * PER_STATE


def test_relion_reconstructs_each_side_and_finds_its_state(selected):
    project, _, _run = selected
    similarity = np.zeros((2, 2))
    for row, name in enumerate(("selected", "rejected")):
        list_of_side = f"run/selections/side/{name}.star"
        project.relion("relion_reconstruct", "--i", list_of_side, "--o", f"{name}.mrc", "--ctf")
        reconstructed, _ = read_map(project.folder / f"{name}.mrc")
        for state in (0, 1):
            true, _ = read_map(project.folder / f"Sim/state{state}.mrc")
            similarity[row, state] = fsc(reconstructed, true)[2:9].mean()
    assert sorted(similarity.argmax(axis=1)) == [0, 1]
    assert similarity.max(axis=1).min() > 0.8
