"""The External job in a real RELION 3.1 project, run by RELION's pipeliner, with RELION's programs before and after.

One project serves all tests: its particles, two states of the golden map, are projected by relion_project.
"""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.mask_file import region_mask
from cryodrgn_plugin.tests.hosts.patience import finish, wait_for
from cryodrgn_plugin.tests.hosts.relion_sandbox import RelionProject, make_two_state_particles, needs_relion

pytestmark = [needs_relion, pytest.mark.slow]

PER_STATE = 200
QUICK = {"z_dim": 2, "data__box": 32, "closed_form__n_components": 3, "closed_form__iterations": 4}
FEW_MAPS = {"clusters": 2, "umap": "no", "components": 0, "steps": 2}
PARTICLES = "Import/job001/particles.star"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> RelionProject:
    project = RelionProject(tmp_path_factory.mktemp("relion") / "project")
    project.states = make_two_state_particles(project, PER_STATE, noise=1.0)
    assert project.status(project.import_particles("Sim/particles.star")) == "finished"
    return project


@pytest.fixture(scope="module")
def trained(project) -> str:
    """A training job without analysis."""
    job = project.add_external("train", PARTICLES, **QUICK, training__epochs=3, analysis="no")
    project.run(job)
    return job


@pytest.fixture(scope="module")
def analyzed(project, trained) -> str:
    """An analysis job on the particles that the training job made."""
    job = project.add_external("analyze", f"{trained}particles.star", **FEW_MAPS)
    project.run(job)
    return job


def test_training_finishes_with_particles_and_log_as_nodes(project, trained):
    assert project.text(trained, "run.err") == ""
    assert (project.status(trained), project.markers(trained)) == ("finished", {"EXIT_SUCCESS"})
    assert project.nodes(trained) == {"particles.star": 3, "logfile.pdf": 13}


def test_analysis_finishes_with_clusters_maps_and_half_maps_as_nodes(project, analyzed):
    assert project.text(analyzed, "run.err") == ""
    assert (project.status(analyzed), project.markers(analyzed)) == ("finished", {"EXIT_SUCCESS"})
    particles = dict.fromkeys(("particles.star", "particles_class001.star", "particles_class002.star"), 3)
    maps = {f"run_class{number:03d}.mrc": 6 for number in (1, 2)}
    halves = {f"run_half{half}_class{number:03d}_unfil.mrc": 10 for number in (1, 2) for half in (1, 2)}
    assert project.nodes(analyzed) == {**particles, **maps, **halves, "logfile.pdf": 13, "run_it000_model.star": 8}


def test_the_analysis_leaves_the_training_job_as_it_was(project, trained, analyzed):
    assert not (project.folder / trained / "run/analysis").exists()
    assert json.loads(project.text(analyzed, "job.json"))["run"] == f"{analyzed}run"


def test_the_clusters_are_the_two_states_and_relion_reconstructs_them(project, analyzed):
    table = read_star(project.folder / analyzed / "particles.star")["particles"]
    agreement = np.mean((table.rlnClassNumber == 1).to_numpy() == (project.states == 0))
    assert max(agreement, 1 - agreement) > 0.95
    similarity = np.zeros((2, 2))
    for number in (1, 2):
        output = f"class{number}.mrc"
        star = f"{analyzed}particles_class{number:03d}.star"
        project.relion("relion_reconstruct", "--i", star, "--o", output, "--ctf")
        reconstructed, _ = read_map(project.folder / output)
        for state in (0, 1):
            true, _ = read_map(project.folder / f"Sim/state{state}.mrc")
            similarity[number - 1, state] = fsc(reconstructed, true)[2:9].mean()
    own = similarity.argmax(axis=1)
    assert sorted(own) == [0, 1]
    assert similarity[[0, 1], own].min() > 0.8
    assert (similarity[[0, 1], own] - similarity[[0, 1], 1 - own]).min() > 0.1


def test_preflight_judges_the_particles_in_the_log_and_gives_their_map(project):
    job = project.add_external("preflight", PARTICLES, tested=300)
    project.run(job)
    assert project.text(job, "run.err") == ""
    halves = {f"run_half{half}_class001_unfil.mrc": 10 for half in (1, 2)}
    assert project.nodes(job) == {"logfile.pdf": 13, "run_class001.mrc": 6, **halves}
    checks = {check["check"]: check["level"] for check in json.loads(project.text(job, "job.json"))["checks"]}
    assert checks["poses"] == checks["images"] == checks["duplicates"] == "ok"


def test_a_reconstruction_gives_relion_a_map_its_half_maps_and_their_mask(project):
    job = project.add_external("reconstruct", PARTICLES, data__box=32)
    project.run(job)
    assert project.text(job, "run.err") == ""
    halves = {f"run_half{half}_class001_unfil.mrc": 10 for half in (1, 2)}
    assert project.nodes(job) == {"logfile.pdf": 13, "run_class001.mrc": 6, "run_mask.mrc": 7, **halves}
    made, _ = read_map(project.folder / job / "run_class001.mrc")
    assert fsc(made, sum(true_states(project)))[1:8].min() > 0.9
    words = f"relion_postprocess --i {job}run_half1_class001_unfil.mrc --mask {job}run_mask.mrc --o {job}sharp"
    project.relion(*words.split())
    assert (project.folder / job / "sharp.mrc").exists()


def test_the_clusters_of_a_landscape_are_nodes_and_the_two_states(project, trained):
    job = project.add_external("landscape", f"{trained}particles.star", clusters=2, walks=0, states=0, bootstrap=20)
    project.run(job)
    assert project.text(job, "run.err") == ""
    particles = dict.fromkeys(("particles.star", "particles_class001.star", "particles_class002.star"), 3)
    maps = {"run_class001.mrc": 6, "run_class002.mrc": 6}
    assert project.nodes(job) == {**particles, **maps, "logfile.pdf": 13, "run_it000_model.star": 8}
    found = read_star(project.folder / job / "particles.star")["particles"].rlnClassNumber.to_numpy()
    agreement = np.mean((found == 1) == (project.states == 0))
    assert max(agreement, 1 - agreement) > 0.95


def test_a_selection_has_the_rows_and_columns_of_the_input_that_were_asked_for(project, analyzed):
    job = project.add_external("select", f"{analyzed}particles.star", clusters=1, where='"z1 gt -1000"')
    project.run(job)
    assert project.text(job, "run.err") == ""
    assert project.nodes(job) == {"particles.star": 3, "particles_rejected.star": 3, "logfile.pdf": 13}
    known = read_star(project.folder / analyzed / "particles.star")["particles"]
    given = read_star(project.folder / PARTICLES)["particles"]
    for name, wanted in (
        ("particles.star", known.rlnClassNumber == 1),
        ("particles_rejected.star", known.rlnClassNumber == 2),
    ):
        chosen = read_star(project.folder / job / name)["particles"]
        assert chosen.equals(given[wanted.to_numpy()].reset_index(drop=True))


def test_subtracted_images_lack_what_the_maps_show_outside_and_relion_reconstructs_what_stays(project, trained):
    """How much of the true map is in RELION's of the new images, as a share of what is in that of the old ones."""
    job = project.add_external("subtract", f"{trained}particles.star", mask="0,0,-24,30")
    project.run(job)
    assert project.text(job, "run.err") == ""
    assert project.nodes(job) == {"particles.star": 3, "logfile.pdf": 13}
    given = read_star(project.folder / PARTICLES)["particles"]
    left = read_star(project.folder / job / "particles.star")["particles"]
    assert left.drop(columns="rlnImageName").equals(given.drop(columns="rlnImageName"))
    assert left.rlnImageName[0] == f"000001@{job}subtracted/particles.mrcs"
    true = sum(read_map(project.folder / f"Sim/state{state}.mrc")[0] for state in (0, 1)) / 2
    mask = region_mask("0,0,-24,30", len(true), 3.2)
    held = []
    for star in (PARTICLES, f"{job}particles.star"):
        project.relion("relion_reconstruct", "--i", star, "--o", "left.mrc", "--ctf", "--maxres", "12")
        made, _ = read_map(project.folder / "left.mrc")
        held.append([(made * true)[region].sum() / (true**2)[region].sum() for region in (mask > 0.99, mask < 0.01)])
    inside, outside = np.array(held[1]) / held[0]
    assert inside == pytest.approx(1, abs=0.1) and abs(outside) < 0.2


def test_latents_of_another_program_are_imported_analysed_and_exported(project):
    """A latent that is the true state, with noise."""
    z = project.states[:, None] * 2.0 - 1 + 0.1 * np.random.default_rng(1).normal(size=(2 * PER_STATE, 1))
    np.save(project.folder / "z.npy", z.astype(np.float32))
    job = project.add_external("import", PARTICLES, latents="z.npy", bases=1)
    project.run(job)
    assert project.text(job, "run.err") == ""
    assert project.nodes(job) == {"particles.star": 3, "logfile.pdf": 13}
    given, listed = (read_star(project.folder / name)["particles"] for name in (PARTICLES, f"{job}particles.star"))
    assert listed[list(given)].equals(given)
    np.testing.assert_allclose(listed["cryodrgnLatent1"], z[:, 0], atol=1e-5)
    facts = dict(json.loads(project.text(job, "job.json"))["facts"])
    assert facts["Imported from"].startswith("latents: ") and facts["Imported from"].endswith("z.npy")
    looked = project.add_external("analyze", f"{job}particles.star", **FEW_MAPS)
    project.run(looked)
    found = read_star(project.folder / looked / "particles.star")["particles"].rlnClassNumber.to_numpy()
    assert np.mean((found == found[0]) == (project.states == project.states[0])) == 1
    for program in ("cryosparc", "cryodrgn"):
        sent = project.add_external("export", f"{looked}particles.star", program=program)
        project.run(sent)
        assert project.text(sent, "run.err") == "" and project.nodes(sent) == {"logfile.pdf": 13}
        made = json.loads(project.text(sent, "job.json"))
        assert made["exported"][program]["particles"] == 2 * PER_STATE
        assert all((project.folder / row[2]).is_file() for row in made["table"][1:])
        assert [entry["particles"] for entry in made["exported"][program]["classes"]] == np.bincount(found)[1:].tolist()


def test_a_trajectory_leads_from_one_state_to_the_other_through_maps_and_half_maps(project, trained):
    labels = {"kind": "pc", "steps": 3, "half_maps": "yes", "movie": "no"}
    job = project.add_external("trajectory", f"{trained}particles.star", **labels)
    project.run(job)
    assert project.text(job, "run.err") == ""
    maps = {f"run_path{number:03d}.mrc": 6 for number in (1, 2, 3)}
    halves = {f"run_half{half}_path{number:03d}_unfil.mrc": 10 for number in (1, 2, 3) for half in (1, 2)}
    assert project.nodes(job) == {"logfile.pdf": 13, **maps, **halves}
    ends = [read_map(project.folder / job / f"run_path{number:03d}.mrc")[0] for number in (1, 3)]
    nearest = [np.argmax([fsc(end, true)[2:9].mean() for true in true_states(project)]) for end in ends]
    assert sorted(nearest) == [0, 1]


def test_states_have_maps_halves_masks_and_what_resolution_to_expect(project, trained):
    job = project.add_external("states", f"{trained}particles.star", states=2, method="decoder")
    project.run(job)
    assert project.text(job, "run.err") == ""
    maps = {f"run_state{number:03d}{ending}.mrc": 6 for number in (1, 2) for ending in ("", "_sharpened")}
    halves = {f"run_half{half}_state{number:03d}_unfil.mrc": 10 for number in (1, 2) for half in (1, 2)}
    masks = {f"run_state{number:03d}_mask.mrc": 7 for number in (1, 2)}
    local = {f"run_state{number:03d}_locres.mrc": 12 for number in (1, 2)}
    assert project.nodes(job) == {"logfile.pdf": 13, **maps, **halves, **masks, **local}
    (told,) = json.loads(project.text(job, "job.json"))["states"]
    assert [one["expected_measured"] for one in told] == [True, True]


def test_a_validation_finds_two_states_and_the_particles_go_on_with_their_confidence(project, trained):
    labels = {"permutations": 99, "nodes": 4, "states": 2, "bootstrap": 20, "tested": 300}
    job = project.add_external("validate", f"{trained}particles.star", **labels)
    project.run(job)
    assert project.text(job, "run.err") == ""
    assert project.nodes(job) == {"logfile.pdf": 13, "particles.star": 3}
    assert json.loads(project.text(job, "job.json"))["verdict"]["outcome"] in ("found", "partial")
    assert "<h1" in project.text(job, "validation.html")
    after = project.add_external("select", f"{job}particles.star", where='"confidence gt 0.5"')
    project.run(after)
    confidence = read_star(project.folder / job / "particles.star")["particles"].cryodrgnConfidence
    taken = read_star(project.folder / after / "particles.star")["particles"]
    assert 0 < len(taken) == (confidence > 0.5).sum()


def true_states(project: RelionProject) -> list[np.ndarray]:
    """The two maps that images were made of, on the voxels of the job's maps."""
    return [crop_spectrum(read_map(project.folder / f"Sim/state{state}.mrc")[0], 32) for state in (0, 1)]


def test_relion_keeps_the_latents_in_its_own_star_files(project, analyzed):
    star = f"{analyzed}particles_class001.star"
    words = f"relion_star_handler --i {star} --o kept.star --select rlnOpticsGroup --minval 0"
    project.relion(*words.split())
    kept = read_star(project.folder / "kept.star")["particles"]
    assert np.allclose(kept.cryodrgnLatent1, read_star(project.folder / star)["particles"].cryodrgnLatent1, atol=1e-5)


def test_particles_without_poses_fail_with_one_sentence_in_log_and_note(project):
    tables = read_star(project.folder / "Sim/particles.star")
    tables["particles"] = tables["particles"].drop(columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    write_star(project.folder / "Sim/noposes.star", tables)
    job = project.add_external("train", project.import_particles("Sim/noposes.star") + "noposes.star", **QUICK)
    project.run(job)
    assert (project.status(job), project.markers(job)) == ("failed", {"EXIT_FAILURE"})
    lines = project.text(job, "run.err").splitlines()
    assert len(lines) == 1 and "rlnAngleRot" in lines[0]
    assert lines[0].removeprefix("cryodrgn-plugin: ") in project.text(job, "note.txt")
    assert project.nodes(job) == {}


def test_an_aborted_job_is_continued_from_its_checkpoint(project):
    long = {**QUICK, "recipe": "paper", "decoder__n_bases": 2, "training__epochs": 100, "analysis": "no"}
    job = project.add_external("train", PARTICLES, **long)
    pipeliner = project.start(job)
    checkpoints = project.folder / job / "run/checkpoints"
    wait_for(lambda: list(checkpoints.glob("epoch_00*.pt")), 60, check=lambda: assert_runs(project, job))
    (project.folder / job / "RELION_JOB_ABORT_NOW").touch()
    finish(pipeliner, 60)
    assert (project.status(job), project.markers(job)) == ("aborted", {"EXIT_ABORTED"})
    before = project.text(job, "run/metrics.csv").splitlines()
    project.run(job)
    assert (project.status(job), project.markers(job)) == ("finished", {"EXIT_SUCCESS"})
    after = project.text(job, "run/metrics.csv").splitlines()
    assert 1 < len(before) < len(after) == 101
    assert after[: len(before)] == before, "epochs were trained again instead of taken from the checkpoint"


def test_a_killed_engine_fails_the_job(project):
    job = project.add_external("train", PARTICLES, **QUICK, recipe="paper", training__epochs=200, analysis="no")
    pipeliner = project.start(job)
    wait_for((project.folder / job / "run/run.json").exists, 60, check=lambda: assert_runs(project, job))
    for pid in engine_processes(project, job):
        os.kill(pid, signal.SIGKILL)
    finish(pipeliner, 60)
    assert (project.status(job), project.markers(job)) == ("failed", {"EXIT_FAILURE"})
    assert "SIGKILL" in project.text(job, "run.err") and "SIGKILL" in project.text(job, "note.txt")


def engine_processes(project: RelionProject, job: str) -> list[int]:
    """The engine's processes that work in this project on this job."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
            is_here = (folder / "cwd").resolve() == project.folder.resolve()
        except OSError:
            continue
        if is_here and "cryodrgn_plugin.engine.cli" in command and job in command:
            found.append(int(folder.name))
    return found


def assert_runs(project: RelionProject, job: str) -> None:
    """Nothing has ended the job yet."""
    assert not project.markers(job), project.text(job, "run.err")


@pytest.fixture(scope="module")
def searched(project) -> str:
    """A search for the poses of the particles, given without any."""
    tables = read_star(project.folder / "Sim/particles.star")
    columns = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    write_star(project.folder / "Sim/bare.star", {**tables, "particles": tables["particles"].drop(columns=columns)})
    given = project.import_particles("Sim/bare.star") + "bare.star"
    labels = {"homogeneous": "yes", "data__box": 32, "ab_initio__rounds": 10, "ab_initio__most_climbs": 1, "seed": 1}
    job = project.add_external("abinitio", given, **labels)
    project.run(job)
    return job


def test_a_search_for_poses_finishes_with_particles_and_maps_as_nodes(project, searched):
    assert project.text(searched, "run.err") == ""
    assert (project.status(searched), project.markers(searched)) == ("finished", {"EXIT_SUCCESS"})
    maps = {"run_initial001.mrc": 6, "run_initial001_other_hand.mrc": 6}
    halves = {f"run_half{half}_initial001_unfil.mrc": 10 for half in (1, 2)}
    assert project.nodes(searched) == {"particles.star": 3, "logfile.pdf": 13, **maps, **halves}


def test_relion_reconstructs_the_map_from_the_poses_that_were_found(project, searched):
    project.relion("relion_reconstruct", "--i", f"{searched}particles.star", "--o", "found.mrc", "--ctf")
    reconstructed, _ = read_map(project.folder / "found.mrc")
    found, pixel_size_ang = read_map(project.folder / searched / "run_initial001.mrc")
    assert pixel_size_ang == pytest.approx(3.2 * 48 / 32)
    # The job's box is smaller than RELION's: compare what both have.
    small = crop_spectrum(reconstructed, 32)
    assert fsc(small, found)[1:8].min() > 0.9


def crop_spectrum(volume: np.ndarray, box: int) -> np.ndarray:
    """A map on fewer and larger voxels."""
    centred = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    margin = (len(volume) - box) // 2
    inner = centred[margin:-margin, margin:-margin, margin:-margin]
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(inner)).real).astype(np.float32)
