"""Separate states that a training found are the classes of an analysis, of a landscape and of maps of states alike."""

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.analysis.found_states import at_states, found_states
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions
from cryodrgn_plugin.engine.landscape.landscape_report import landscape
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.columns import ParticleColumns
from cryodrgn_plugin.engine.states.state_options import StatesOptions
from cryodrgn_plugin.engine.states.states_report import make_states

from .planted_run import ALONG, PLACES, planted_run, planted_states, run_of_states
from .test_landscape import trained

ORDER = np.argsort(ALONG)
"""Classes 1 to 4 are states 1, 3, 0 and 2."""
QUICK = {"figures": False, "volumes": False}
OF_ANALYSIS = {**QUICK, "umap": False}
OF_STATES = {"bias": False, "method": "decoder", "figures": False, "local_resolution": False, "sharpen": False}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A run with planted states, analysed, with a landscape and with maps of states: the run and the true states."""
    state, posterior = planted_states(1500)
    run = run_of_states(tmp_path_factory.mktemp("found"), posterior)
    analyze(run, AnalysisOptions(**{**OF_ANALYSIS, "volumes": True, "components": 0, "expected": False}), trained())
    landscape(run, LandscapeOptions(figures=False, walks=0, bootstrap=50), trained())
    make_states(run, StatesOptions(**OF_STATES), trained())
    return run, state


def index_of(run: Run, kind: str) -> dict:
    return json.loads((run.results_dir(kind) / f"{kind}.json").read_text())


def arrays_of(run: Run, kind: str) -> dict[str, np.ndarray]:
    return run.results(kind).arrays


def test_all_classes_are_the_most_probable_states_numbered_along_the_curve(found):
    run, state = found
    best = run.latents().states.argmax(axis=1)
    for kind in ("analysis", "landscape"):
        labels = arrays_of(run, kind)["labels"]
        np.testing.assert_array_equal(ORDER[labels], best)
        assert adjusted_rand_score(state, labels) >= adjusted_rand_score(state, best)
        assert index_of(run, kind)["grouped_by"] == "states"
    assert len(index_of(run, "states")["series"][0]["maps"]) == 4


def test_k_means_would_have_cut_them_worse(found, tmp_path):
    run, state = found
    other = run_of_states(tmp_path, run.latents().states)
    analyze(other, AnalysisOptions(**OF_ANALYSIS, group_by="clusters", clusters=4))
    clusters, states = (adjusted_rand_score(state, arrays_of(one, "analysis")["labels"]) for one in (other, run))
    assert clusters < states - 0.01
    assert "class_posterior" not in arrays_of(other, "analysis")


def test_maps_are_those_of_the_states_themselves_though_no_particle_lies_there(found):
    run, _ = found
    true = [trained().volume(place.astype(np.float32)) for place in PLACES[ORDER]]
    spread = np.ptp(true, axis=0).max()
    for kind in ("analysis", "landscape", "states"):
        results = run.results(kind)
        series = results.all_series[0]["maps"]
        np.testing.assert_allclose([entry["z"] for entry in series], PLACES[ORDER], atol=1e-3)
        for entry, volume in zip(series, true, strict=True):
            assert np.abs(read_map(results.folder / entry["file"])[0] - volume).max() < 2e-3 * spread
    members = arrays_of(run, "analysis")["labels"] == 3
    assert np.linalg.norm(run.latents().z[members].mean(axis=0) - PLACES[ORDER[3]]) > 0.5


def test_populations_are_mean_posteriors_which_are_nearer_to_the_truth_than_labels(found):
    run, state = found
    true = np.bincount(state)[ORDER] / len(state)
    mean = run.latents().states.mean(axis=0)[ORDER]
    labelled = np.bincount(arrays_of(run, "analysis")["labels"]) / len(state)
    for kind in ("analysis", "landscape"):
        classes = index_of(run, kind)["clusters"]
        shares = np.array([one["share"] for one in classes])
        np.testing.assert_allclose(shares, mean, atol=1e-4)
        assert np.abs(shares - true).max() < 0.5 * np.abs(labelled - true).max()
        assert [one["particles"] for one in classes] == np.bincount(arrays_of(run, kind)["labels"]).tolist()
    for one in index_of(run, "landscape")["clusters"]:
        low, high = one["interval"]
        assert low < one["share"] < high < low + 0.15


def test_intervals_are_as_wide_as_overlap_makes_them(tmp_path):
    """Posteriors are pulled to their mean where states overlap, and so vary less than populations are unsure."""
    shares = []
    for seed in range(12):
        posterior = planted_states(400, seed)[1]
        shares.append(posterior.mean(axis=0))
    run = run_of_states(tmp_path, planted_states(400)[1])
    landscape(run, LandscapeOptions(**QUICK, bootstrap=200), trained())
    widths = [np.ptp(one["interval"]) for one in index_of(run, "landscape")["clusters"]]
    assert (np.array(widths) > 3.92 * np.std(shares, axis=0)[ORDER]).all()


def test_every_particle_keeps_its_posterior_in_its_list_and_for_selections(found):
    run, _ = found
    posterior = run.latents().states[:, ORDER]
    for kind in ("analysis", "landscape"):
        stored = arrays_of(run, kind)
        np.testing.assert_allclose(stored["class_posterior"], posterior, atol=1e-6)
        np.testing.assert_allclose(stored["class_probability"], posterior.max(axis=1), atol=1e-6)
        listed = read_star(run.results_dir(kind) / "particles.star")["particles"]
        np.testing.assert_array_equal(listed["rlnClassNumber"], posterior.argmax(axis=1) + 1)
        np.testing.assert_allclose(listed["cryodrgnClassProbability"], posterior.max(axis=1), atol=1e-5)
        assert "cryodrgnState" not in listed
    columns = ParticleColumns(run, run.particles().frame, lambda: None)
    np.testing.assert_allclose(columns["cluster_probability"], posterior.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("group_by", ["states", "clusters"])
def test_copies_count_once_and_the_sum_is_that_of_different_images(group_by, tmp_path):
    _, posterior = planted_states(600)
    again = posterior.argmax(axis=1) == 0
    with_copies = np.concatenate([posterior[again], posterior[~again], posterior[again]])
    run = run_of_states(tmp_path, with_copies, copies=int(again.sum()))
    analyze(run, AnalysisOptions(**OF_ANALYSIS, clusters=4, group_by=group_by))
    landscape(run, LandscapeOptions(**QUICK, clusters=4, group_by=group_by, bootstrap=50), trained())
    for kind in ("analysis", "landscape"):
        index, labels = index_of(run, kind), arrays_of(run, kind)["labels"]
        assert index["counted"] == 600
        assert sum(one["count"] for one in index["clusters"]) == pytest.approx(600, abs=0.3)
        assert sum(one["particles"] for one in index["clusters"]) == len(with_copies)
        once = np.bincount(labels[:600], minlength=4) if group_by == "clusters" else posterior[:, ORDER].sum(axis=0)
        assert [one["count"] for one in index["clusters"]] == pytest.approx(once, abs=0.2)


@pytest.mark.parametrize(
    ("options", "classes", "said"),
    [
        ({}, 4, "4 classes are the separate states that training found"),
        ({"clusters": 4}, 4, "4 classes are the separate states"),
        ({"clusters": 6}, 6, "as was asked for; training found 4 separate states"),
        ({"group_by": "clusters"}, 10, "as was asked for; training found 4 separate states"),
    ],
)
def test_the_log_says_which_classes_were_taken_and_why(options, classes, said, tmp_path):
    run = run_of_states(tmp_path, planted_states(300)[1])
    analyze(run, AnalysisOptions(**OF_ANALYSIS, **options))
    assert len(index_of(run, "analysis")["clusters"]) == classes
    assert said in run.log_file.read_text()


def test_where_training_found_no_states_classes_are_clusters_as_ever(tmp_path):
    run = planted_run(tmp_path, n=150)
    assert found_states(run.latents()) is None
    analyze(run, AnalysisOptions(**OF_ANALYSIS))
    landscape(run, LandscapeOptions(**QUICK, bootstrap=20), trained())
    for kind in ("analysis", "landscape"):
        index = index_of(run, kind)
        assert len(index["clusters"]) == 10 and index["grouped_by"] == "clusters"
        assert "training found no separate states" in index["grouped_because"]
        assert "class_probability" not in arrays_of(run, kind)
    assert index["states"], "a mixture is fitted there"


def test_a_state_that_is_nowhere_most_probable_is_no_class_and_that_is_said(tmp_path):
    _, posterior = planted_states(300)
    faint = np.column_stack([posterior * 0.98, np.full(300, 0.02)])
    run = planted_run(tmp_path, n=300)
    run.save_latents(posterior @ PLACES, coordinate=posterior @ ALONG, states=faint)
    analyze(run, AnalysisOptions(**OF_ANALYSIS))
    index = index_of(run, "analysis")
    assert len(index["clusters"]) == 4 and "1 more is the most probable of no particle" in index["grouped_because"]
    np.testing.assert_allclose(arrays_of(run, "analysis")["class_posterior"].sum(axis=1), 1, atol=1e-6)


def test_states_that_no_particle_tells_apart_share_what_they_show():
    posterior = np.column_stack([np.linspace(0, 1, 50), *[(1 - np.linspace(0, 1, 50)) / 2] * 2])
    solved = at_states(posterior, posterior @ np.array([[1.0], [2], [4]]))
    np.testing.assert_allclose(solved, [[1], [3], [3]], atol=1e-6)


def test_a_second_landscape_gives_states_the_numbers_of_the_first(found, tmp_path):
    run, _ = found
    other = planted_run(tmp_path, n=1500)
    latents = run.latents()
    other.save_latents(latents.z, coordinate=-latents.coordinate, states=latents.states)
    landscape(other, LandscapeOptions(**QUICK, bootstrap=20, match=str(run.path)), trained())
    for name in ("labels", "class_posterior"):
        np.testing.assert_array_equal(arrays_of(other, "landscape")[name], arrays_of(run, "landscape")[name])
