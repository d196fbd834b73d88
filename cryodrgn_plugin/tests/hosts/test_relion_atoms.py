"""An atomic model in the maps of a training, as jobs of a real RELION project: what its pipeliner runs and files."""

import json

import numpy as np
import pytest

from cryodrgn_plugin.engine.atoms.atomic_model import bare_model
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.tests.hosts.relion_sandbox import (
    PIXEL_SIZE_ANG,
    RelionProject,
    make_two_state_particles,
    needs_relion,
)

pytestmark = [needs_relion, pytest.mark.slow]

QUICK = {"z_dim": 1, "data__box": 32, "closed_form__n_components": 2, "closed_form__iterations": 3, "analysis": "no"}
PARTICLES, PER_STATE, BEADS, MAPS = "Import/job001/particles.star", 100, 120, 2


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> RelionProject:
    """A project with particles of two states, and a model whose residues are spread over the density of the first."""
    project = RelionProject(tmp_path_factory.mktemp("relion") / "project")
    make_two_state_particles(project, PER_STATE, noise=0.5)
    assert project.status(project.import_particles("Sim/particles.star")) == "finished"
    volume, _ = read_map(project.folder / "Sim/state0.mrc")
    write_models(project.folder / "model.cif", model := beads_in(volume), model.coords_ang[None])
    return project


def beads_in(volume: np.ndarray):
    """Residues drawn from a map by its density, those of a chain along its longest axis."""
    weights = np.maximum(volume - 0.3 * volume.max(), 0).ravel()
    drawn = np.random.default_rng(0).choice(weights.size, BEADS, replace=False, p=weights / weights.sum())
    places = np.stack(np.unravel_index(drawn, volume.shape), axis=1)[:, ::-1] * PIXEL_SIZE_ANG
    along = places @ np.linalg.svd(places - places.mean(axis=0), full_matrices=False)[2][0]
    return bare_model(places[np.argsort(along)], np.full(BEADS, 6.0))


@pytest.fixture(scope="module")
def laid(project) -> str:
    training = project.add_external("train", PARTICLES, **QUICK)
    project.run(training)
    assert project.status(training) == "finished", project.text(training, "run.err")
    job = project.add_external("atoms", f"{training}particles.star", model="model.cif", maps=MAPS, most_parts=2)
    project.run(job)
    return job


def test_the_job_finishes_with_maps_half_maps_mask_and_particles_as_nodes(project, laid):
    assert project.text(laid, "run.err") == ""
    assert (project.status(laid), project.markers(laid)) == ("finished", {"EXIT_SUCCESS"})
    maps = {f"run_model{number:03d}.mrc": 6 for number in (1, 2)}
    halves = {f"run_half{half}_model{number:03d}_unfil.mrc": 10 for number in (1, 2) for half in (1, 2)}
    corrected = {"run_corrected.mrc": 6, "run_corrected_mask.mrc": 7}
    corrected |= {f"run_half{half}_corrected_unfil.mrc": 10 for half in (1, 2)}
    assert project.nodes(laid) == {"particles.star": 3, "logfile.pdf": 13, **maps, **halves, **corrected}


def test_there_is_a_model_for_each_map_and_newer_relion_knows_it(project, laid):
    import gemmi

    structure = gemmi.read_structure(str(project.folder / laid / "run_models.cif"))
    assert len(structure) == MAPS and len(read_model(project.folder / laid / "run_models.cif")) == BEADS
    made = json.loads(project.text(laid, "job.json"))
    assert {"path": f"{laid}run_models.cif", "kind": "model"} in made["nodes"]
    assert made["bias"]["outcome"] in ("agrees", "never as in the model", "wrong", "cannot be told")
    found = dict(tuple(fact) for fact in made["facts"])
    assert "model.cif" in found["Model"] and len(made["table"]) == 1 + len(made["parts"])


def test_particles_say_how_the_parts_lie_in_each_and_relion_reads_them(project, laid):
    table = read_star(project.folder / laid / "particles.star")["particles"]
    parts = len(json.loads(project.text(laid, "job.json"))["parts"])
    occupancy = table[[f"cryodrgnOccupancy{part}" for part in range(1, parts + 1)]].astype(float)
    assert len(table) == 2 * PER_STATE and occupancy.to_numpy().min() >= 0 and occupancy.to_numpy().max() <= 1
    assert "cryodrgnLatent1" in table and "cryodrgnTurn1" not in table
    project.relion("relion_reconstruct", "--i", f"{laid}particles.star", "--o", "again.mrc", "--ctf")
    assert read_map(project.folder / "again.mrc")[0].shape == (48,) * 3


def test_relion_sharpens_the_map_without_motion(project, laid):
    words = f"relion_postprocess --i {laid}run_half1_corrected_unfil.mrc --mask {laid}run_corrected_mask.mrc"
    project.relion(*words.split(), "--o", f"{laid}sharp")
    assert (project.folder / laid / "sharp.mrc").exists()


def test_a_validation_of_the_jobs_particles_says_what_was_found_of_the_model(project, laid):
    job = project.add_external("validate", f"{laid}particles.star", halves="no", permutations=99, tested=150)
    project.run(job)
    assert project.text(job, "run.err") == ""
    said = json.loads(project.text(job, "job.json"))["verdict"]["sentences"]
    outcome = json.loads(project.text(laid, "job.json"))["bias"]["outcome"]
    assert said[-1].startswith(f"Atomic model model.cif: {outcome}.")


def test_a_model_that_is_not_there_fails_with_one_sentence(project, laid):
    training = f"{json.loads(project.text(laid, 'job.json'))['run']}"
    job = project.add_external("atoms", PARTICLES, run=training.rpartition("/")[0], model="absent.cif")
    project.run(job)
    assert project.status(job) == "failed"
    assert "There is no model absent.cif." in project.text(job, "run.err")
