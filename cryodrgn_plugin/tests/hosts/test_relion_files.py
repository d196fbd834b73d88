"""What a finished run leaves in a RELION job folder: particle files, maps, half-maps, log and node list.

The runs here hold planted latents and a decoder with known maps, so that what comes out can be foretold.
"""

import itertools
import json
import subprocess

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.geometry.rotations import angular_distance_deg, matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.relion import findings
from cryodrgn_plugin.relion.job_results import ResultsRequest, publish
from cryodrgn_plugin.tests.engine.planted_run import ALONG, planted_states, run_of_states
from cryodrgn_plugin.tests.hosts.relion_sandbox import GOLDEN

STAR = GOLDEN / "in2000.star"
ROWS = 2000


class PlantedDecoder:
    """A map whose every voxel is the first latent coordinate, with noise that differs between its halves."""

    box, pixel_size_ang = 16, 3.2

    def volume(self, z):
        rng = np.random.default_rng(0)
        return rng.normal(size=(16, 16, 16)).astype(np.float32) + z.sum()

    def half_volumes(self, z):
        return self.volume(z), self.volume(z) + 1


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of all golden particles whose latents form two clusters of 1,200 and 800, and its job folder."""
    job = tmp_path_factory.mktemp("project") / "External/job002"
    run = Run.create(job / "run", recipe_config("fast", {"particles": str(STAR), "z_dim": 2}))
    with run.working():
        side = np.where(np.arange(ROWS) % 5 < 3, -3.0, 3.0)
        z = np.random.default_rng(1).normal(size=(ROWS, 2)) * 0.3 + side[:, None]
        run.save_latents(z.astype(np.float32), coordinate=z[:, 0])
        for epoch in range(1, 6):
            run.append_metrics({"epoch": epoch, "seconds": 1.0 * epoch, "loss": 1 + 1 / epoch})
    return run, job


def publish_job(run, job, **changes):
    request = {"task": "train", "job": str(job), "run": str(run.path), "relion_version": "5", "clusters": True}
    publish(ResultsRequest(**{**request, **changes}))


@pytest.fixture(scope="module")
def published(finished_run):
    run, job = finished_run
    analyze(run, AnalysisOptions(clusters=2, umap=False, steps=2, components=1), PlantedDecoder())
    (job / "particles_class007.star").write_text("of an earlier run with more clusters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "_decoder", lambda _run: PlantedDecoder())
        publish_job(run, job)
    return run, job


def test_every_column_and_row_comes_back_in_order_with_clusters_and_latents(published):
    run, job = published
    before, after = read_star(STAR), read_star(job / "particles.star")
    names = [name for name in before["particles"] if name != "rlnClassNumber"]
    assert list(after) == list(before)
    assert list(after["particles"].columns)[: before["particles"].shape[1]] == list(before["particles"].columns)
    assert after["particles"][names].equals(before["particles"][names])
    assert (after["optics"] == before["optics"]).all(axis=None)
    np.testing.assert_allclose(after["particles"].cryodrgnLatent2, run.latents().z[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(after["particles"].rlnClassNumber, np.where(np.arange(ROWS) % 5 < 3, 1, 2))


def test_each_cluster_has_its_particles_and_its_maps(published):
    _, job = published
    everything = read_star(job / "particles.star")["particles"]
    for number, size in ((1, 1200), (2, 800)):
        members = read_star(job / f"particles_class{number:03d}.star")["particles"]
        expected = everything[everything.rlnClassNumber == number]
        assert len(members) == size
        assert members.rlnImageName.tolist() == expected.rlnImageName.tolist()
        centre, pixel_size_ang = read_map(job / f"run_class{number:03d}.mrc")
        half, _ = read_map(job / f"run_half2_class{number:03d}_unfil.mrc")
        assert pixel_size_ang == pytest.approx(3.2)
        np.testing.assert_allclose(half, centre + 1, atol=1e-5)
    assert not (job / "particles_class007.star").exists()


def test_the_node_list_names_files_that_exist_particles_first(published):
    _, job = published
    nodes = read_star(job / "RELION_OUTPUT_NODES.star")["output_nodes"]
    assert all((job / name).exists() for name in nodes.rlnPipeLineNodeName)
    particles = "ParticleGroupMetadata.star.relion"
    maps = ["DensityMap.mrc"] * 2 + ["DensityMap.mrc.halfmap"] * 4
    files = ["LogFile.pdf.relion", "OptimiserData.star.relion", particles, particles, *maps]
    assert nodes.rlnPipeLineNodeTypeLabel.tolist() == [particles, *files]
    summary = json.loads((job / "job.json").read_text())
    assert [found["particles"] for found in summary["classes"]] == [1200, 800]
    assert summary["settings"]["z_dim"] == 2


def test_the_logfile_says_what_was_done_and_shows_the_figures(published):
    _, job = published
    assert "Pages:" in run_tool("pdfinfo", job / "logfile.pdf")
    text = run_tool("pdftotext", "-layout", job / "logfile.pdf", "-")
    for words in ("1,200 (60.0%)", "recipe", "particles_class002.star", "Training", "Resolution"):
        assert words.lower() in text.lower()


def run_tool(*words) -> str:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True).stdout


def test_training_alone_gives_latents_and_leaves_the_class_numbers(finished_run, tmp_path):
    run, job = finished_run[0], tmp_path
    publish_job(run, job, clusters=False, relion_version="3.1")
    before, after = read_star(STAR)["particles"], read_star(job / "particles.star")["particles"]
    assert after.rlnClassNumber.equals(before.rlnClassNumber)
    assert "cryodrgnLatent2" in after and "cryodrgnCoordinate" in after
    nodes = read_star(job / "RELION_OUTPUT_NODES.star")["output_nodes"]
    assert nodes.rlnPipeLineNodeType.astype(int).tolist() == [3, 13]


def test_a_run_on_part_of_the_particles_gives_back_that_part_in_star_order(tmp_path):
    rows = np.array([3, 17, 4, 1999])
    run = Run.create(tmp_path / "run", recipe_config("fast", {"particles": str(STAR), "z_dim": 1}))
    with run.working():
        run.save_latents(np.arange(4, dtype=np.float32)[:, None], rows=rows)
    publish_job(run, tmp_path, clusters=False)
    written = read_star(tmp_path / "particles.star")["particles"]
    assert written.rlnImageName.tolist() == read_star(STAR)["particles"].rlnImageName.iloc[np.sort(rows)].tolist()
    assert written.cryodrgnLatent1.tolist() == [0, 2, 1, 3]


def test_poses_and_species_that_were_found_become_particle_files_and_maps_in_both_hands(tmp_path):
    settings = {"particles": str(STAR), "z_dim": 0, "ab_initio.species": 0}
    run = Run.create(tmp_path / "run", recipe_config("abinitio", settings))
    rotations = random_matrices(ROWS, np.random.default_rng(2))
    species = (np.arange(ROWS) % 4 == 0).astype(int)
    with run.working():
        run.save_latents(np.zeros((ROWS, 0)))
        run.save_poses(np.arange(ROWS), rotations, np.zeros((ROWS, 2)), species=species)
    run.found_map_file(1).parent.mkdir(parents=True)
    for number, which in itertools.product((1, 2), ("", "half1", "half2", "other_hand")):
        write_map(run.found_map_file(number, which), np.full((8, 8, 8), number, np.float32), 3.2)
    publish_job(run, tmp_path, task="abinitio", clusters=False, relion_version="3.1")
    written = read_particles(tmp_path / "particles.star")
    assert angular_distance_deg(matrices_from_euler(written.euler_deg), rotations).max() < 1e-3
    sizes = [len(read_star(tmp_path / f"particles_class{number:03d}.star")["particles"]) for number in (1, 2)]
    assert sizes == [ROWS * 3 // 4, ROWS // 4]
    assert read_map(tmp_path / "run_initial002_other_hand.mrc")[0].mean() == 2
    nodes = read_star(tmp_path / "RELION_OUTPUT_NODES.star")["output_nodes"]
    assert nodes.rlnPipeLineNodeType.astype(int).tolist() == [3, 13, 8, 3, 3, *[6] * 4, *[10] * 4]
    assert nodes.rlnPipeLineNodeName.iloc[-1].endswith("run_half2_initial002_unfil.mrc")
    assert all((tmp_path / name).exists() for name in nodes.rlnPipeLineNodeName)


def test_separate_states_are_class_files_with_the_probability_of_each_particle(tmp_path, monkeypatch):
    _, posterior = planted_states(200)
    run, job = run_of_states(tmp_path, posterior), tmp_path / "External/job009"
    job.mkdir(parents=True)
    analyze(run, AnalysisOptions(umap=False, components=0, steps=2, figures=False), PlantedDecoder())
    monkeypatch.setattr(findings, "_decoder", lambda _run: PlantedDecoder())
    publish_job(run, job, task="analyze")
    order = np.argsort(ALONG)
    listed = read_star(job / "particles.star")["particles"]
    np.testing.assert_array_equal(order[listed["rlnClassNumber"] - 1], posterior.argmax(axis=1))
    np.testing.assert_allclose(listed["cryodrgnClassProbability"], posterior.max(axis=1), atol=1e-5)
    told = json.loads((job / "job.json").read_text())["classes"]
    assert [one["share"] for one in told] == pytest.approx(posterior.mean(axis=0)[order], abs=1e-4)
    for one in told:
        assert len(read_star(job / one["star"])["particles"]) == one["particles"]
        assert (job / one["map"]).is_file() and len(one["half_maps"]) == 2
