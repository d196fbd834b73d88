"""The fast recipe end to end on a small planted motion: coordinate, maps, half-maps, restarts, streaming, bad input."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from cryodrgn_plugin.engine.analysis.truth import Truth, map_quality
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.closed_form import fast_recipe, separate_states
from cryodrgn_plugin.engine.closed_form.node_count import NodeCount
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.backproject import backproject
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, fsc_area
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import tiny_set
from cryodrgn_plugin.engine.stopping import Stopped

pytestmark = pytest.mark.slow

FEWER = {"closed_form.iterations": 3, "closed_form.n_components": 2, "closed_form.nodes": 6}
FEWER |= {"closed_form.first_particles": 100}
SETTINGS = {"z_dim": 3, "closed_form.n_components": 3, "closed_form.iterations": 8, "closed_form.nodes": 20}


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("hinge"), n=600, box=32, seed=4)


def config_for(particles, **overrides) -> RunConfig:
    return recipe_config("fast", {**SETTINGS, "particles": str(particles), **overrides})


def train(path, config: RunConfig) -> Run:
    run = Run.create(path, config)
    with run.working("train"):
        fit(run, config)
    return run


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("few"), n=160, box=24, seed=2)


@pytest.fixture(scope="module")
def trained(particles, tmp_path_factory) -> Run:
    return train(tmp_path_factory.mktemp("fast") / "run", config_for(particles))


def test_the_coordinate_follows_the_planted_angle(trained, particles):
    truth = Truth.open(particles.parent)
    assert abs(spearmanr(trained.latents().coordinate, truth.coordinate).correlation) > 0.95


def test_decoded_maps_beat_the_mean_map(trained, particles):
    truth, latents, decoder = Truth.open(particles.parent), trained.latents(), load_decoder(trained)
    sample = np.arange(0, 600, 30)
    decoded = np.stack([decoder.volume(latents.z[i]) for i in sample])
    mean = np.broadcast_to(decoder.volume(latents.z.mean(0)), decoded.shape)
    found, still = map_quality(decoded, truth, sample), map_quality(mean, truth, sample)
    assert found.box > still.box + 0.01 and found.moving > still.moving + 0.02


def test_half_maps_agree_with_the_truth_as_far_as_with_each_other(trained, particles):
    """With independent noise, correlation c between halves means √(2c/(1 + c)) between their mean and the truth. One
    particle's coordinate may be nearer to another state: along the whole motion the two agree on average."""
    truth, decoder = Truth.open(particles.parent), load_decoder(trained)
    latents = trained.latents()
    differences = []
    for i in np.argsort(latents.coordinate)[100:600:100]:
        a, b = decoder.half_volumes(latents.z[i])
        shared = np.clip(fsc(a, b), 0, 1)
        actual = fsc((a + b) / 2, truth.maps[truth.state[i]])
        differences.append(fsc_area(np.sqrt(2 * shared / (1 + shared)), 14) - fsc_area(actual, 14))
    assert abs(np.mean(differences)) < 0.1


def test_the_same_seed_gives_the_same_result_also_when_streaming(trained, particles, tmp_path):
    streamed = train(tmp_path / "run", config_for(particles, **{"data.cache_mb": 0, "data.store": "off"}))
    np.testing.assert_array_equal(streamed.latents().z, trained.latents().z)
    np.testing.assert_array_equal(streamed.latents().coordinate, trained.latents().coordinate)


def test_images_in_half_precision_give_the_same_to_a_thousandth(trained, particles, tmp_path):
    stored = train(tmp_path / "run", config_for(particles, **{"data.cache_mb": 0}))
    assert "Preparing 600 images" in stored.log_file.read_text()
    z, exact = stored.latents().z, trained.latents().z
    assert np.linalg.norm(z - exact) < 1e-3 * np.linalg.norm(exact) and not np.array_equal(z, exact)
    maps, exact_maps = (load_decoder(run).volume(exact[0]) for run in (stored, trained))
    assert np.linalg.norm(maps - exact_maps) < 1e-3 * np.linalg.norm(exact_maps)
    assert not stored.image_store_dir.exists()


def outcome(run: Run) -> tuple[list, np.ndarray]:
    return [{**row, "seconds": 0} for row in run.metrics()], run.latents().z


def command_for(particles, folder) -> list[str]:
    settings = [word for name, value in {**SETTINGS, **FEWER}.items() for word in (f"--{name}", str(value))]
    return ["train", str(particles), "--out", str(folder), "--recipe", "fast", *settings]


def test_a_killed_run_resumes_bit_for_bit(few, tmp_path):
    free = ["--closed_form.free_poses", "true"]
    whole, killed = ([*command_for(few, tmp_path / name), *free] for name in ("whole", "killed"))
    in_a_process = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", *killed]
    process = subprocess.Popen(in_a_process, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoints" / "epoch_003.pt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert main([*killed, "--resume"]) == main(whole) == 0
    (metrics, z), (metrics_again, z_again) = (outcome(Run.open(tmp_path / name)) for name in ("whole", "killed"))
    assert metrics_again == metrics
    np.testing.assert_array_equal(z_again, z)
    poses, poses_again = ((tmp_path / name / "poses.star").read_text() for name in ("whole", "killed"))
    assert poses_again.splitlines()[1:] == poses.splitlines()[1:]


class AlwaysStopping:
    """In place of the watch for signals: every step is the last."""

    def __init__(self, file):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def raise_if_requested(self, **_) -> None:
        raise Stopped("now")


def test_a_run_stopped_after_every_step_equals_an_uninterrupted_one(few, tmp_path, monkeypatch):
    config = config_for(few, **FEWER)
    whole, stopped = train(tmp_path / "whole", config), Run.create(tmp_path / "stopped", config)
    monkeypatch.setattr(fast_recipe, "graceful_stop", AlwaysStopping)
    stops = 0
    while True:
        try:
            fit(stopped, config, resume=stops > 0)
            break
        except Stopped:
            stops += 1
    assert stops == len(whole.metrics()) - 1 > 6
    assert outcome(stopped)[0] == outcome(whole)[0]
    for name in ("z", "coordinate", "uncertainty", "states", "contrast", "pose_correction", "defocus_correction"):
        np.testing.assert_array_equal(getattr(stopped.latents(), name), getattr(whole.latents(), name), name)
    notes, notes_again = (dict(run.info["notes"], loader_wait_seconds=0, image_passes=0) for run in (whole, stopped))
    assert notes_again == notes


def test_a_finished_run_says_what_it_learned_of_images_and_how_it_chose(trained):
    notes, latents = json.loads(trained.info_file.read_text())["notes"], trained.latents()
    assert notes["directions"] == 3 and len(notes["information"]) == 3
    assert min(notes["information"]) > notes["information_of_noise"] > 0
    assert {"1", "2", "12", "20"} <= set(notes["gain_by_nodes"]) and notes["gain_by_nodes"]["1"] == 0
    assert notes["contrast_sd"] > 0 and notes["turn_sd_deg"] > 0
    assert notes["shift_sd_ang"] == pytest.approx(3.5 * notes["shift_sd_px"], abs=0.01)
    assert latents.contrast.shape == (600,) and latents.pose_correction.shape == (600, 5)
    if notes["states"] is None or notes["states"] < 2:
        assert latents.states is None
    else:
        assert latents.states.shape == (600, notes["states"])
        np.testing.assert_allclose(latents.states.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(("count", "kept"), [(1, None), (2, 2)])
def test_posteriors_of_states_are_kept_where_there_are_two_or_more(count, kept, few, tmp_path, monkeypatch):
    monkeypatch.setattr(separate_states, "count_nodes", lambda *_: NodeCount(count, True, {1: 0.0}))
    states = train(tmp_path / "run", config_for(few, **FEWER)).latents().states
    assert (None if states is None else states.shape[1]) == kept


def test_poses_that_are_told_to_be_right_stay(few, tmp_path):
    run = train(tmp_path / "run", config_for(few, **FEWER, **{"closed_form.pose_errors": False}))
    assert run.latents().pose_correction is None and run.latents().contrast is not None
    assert "turn_sd_deg" not in run.info["notes"] and run.info["notes"]["contrast_sd"] > 0


def test_a_finished_run_says_how_visible_each_harmonic_is(trained):
    info = json.loads(trained.info_file.read_text())
    visibility = info["notes"]["visibility"]
    assert len(visibility) == 3 and 0.5 < visibility[0] <= 1


def test_a_finished_run_says_which_part_it_would_have_seen_to_come_and_go(trained):
    notes = trained.info["notes"]
    assert notes["directions"] > 0 and notes["information"][0] > 1.1 * notes["information_of_noise"]
    often, rarely = notes["smallest_part"]["0.5"], notes["smallest_part"]["0.1"]
    assert 0.005 <= often < 0.3 and (rarely is None or rarely > often)
    assert f"a part of {often:.1%} of the molecule" in trained.log_file.read_text()


def test_the_half_sets_kept_are_those_that_the_half_maps_come_from(trained, particles):
    latents, decoder = trained.latents(), load_decoder(trained)
    halves = decoder.half_volumes(latents.z.mean(0))
    dataset = ParticleDataset.open(str(particles), trained.config.data)
    shared_noise = np.empty((2, 2))
    for number in (0, 1):
        own = backproject(dataset, np.flatnonzero(latents.half == number), mode="relion")
        shared_noise[number] = [fsc_area(fsc(own, half)) for half in halves]
    assert shared_noise[0, 0] > shared_noise[0, 1] + 0.05 and shared_noise[1, 1] > shared_noise[1, 0] + 0.05


def test_too_few_particles_are_named(tmp_path):
    few = tiny_set(tmp_path / "few", n=6, box=32, seed=1)
    with pytest.raises(DataError, match="6 particles are too few for 3 directions"):
        fit(Run.create(tmp_path / "run", config_for(few)), config_for(few))
