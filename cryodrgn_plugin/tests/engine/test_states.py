"""`states` end to end: honest about the truth on a planted motion, complete in its index, plain about what it lacks."""

import json
import shutil

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.expectation import expected_from_halves
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.masks import mask_from_map
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import tiny_set
from cryodrgn_plugin.engine.states.state_options import StatesOptions
from cryodrgn_plugin.engine.states.states_report import make_states

from .planted_run import BlobDecoder, planted_run, serve_decoder

pytestmark = pytest.mark.slow

SETTINGS = {"z_dim": 3, "closed_form.n_components": 3, "closed_form.iterations": 8, "closed_form.nodes": 20}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """A run on 1,200 images of ten states of a hinge, with maps of four states by both methods."""
    folder = tmp_path_factory.mktemp("states")
    star = tiny_set(folder / "set", n=1200, box=32, seed=7)
    config = recipe_config("fast", {**SETTINGS, "particles": str(star)})
    run = Run.create(folder / "run", config)
    with run.working():
        fit(run, config)
    make_states(run, StatesOptions(states=4, method="both"))
    return run


def index_of(run: Run) -> dict:
    return json.loads((run.results_dir("states") / "states.json").read_text())


def errors_of(run: Run, name: str) -> tuple[float, float]:
    """Mean error of the expected FSC with the truth, and of what half-maps alone say, over states and shells."""
    known = Truth.open(run.given_file.parent)
    entries = next(series for series in index_of(run)["series"] if series["name"] == name)["maps"]
    measured, trusting = [], []
    for entry in entries:
        volume, mask = (read_map(run.results_dir("states") / entry[key])[0] for key in ("file", "mask"))
        halves = [read_map(run.results_dir("states") / half)[0] for half in entry["half_maps"]]
        true = fsc(volume, known.maps[known.state[entry["particle"]]], mask)[1:-1]
        share = np.clip(fsc(*halves, mask)[1:-1], 0, 1)
        measured.append(np.mean(np.array(entry["expected_fsc"])[1:-1] - true))
        trusting.append(np.mean(np.sqrt(2 * share / (1 + share)) - true))
    return float(np.mean(measured)), float(np.mean(trusting))


def test_the_expected_fsc_is_nearer_to_the_truth_than_what_half_maps_say(trained):
    measured, trusting = errors_of(trained, "states")
    assert abs(measured) <= 0.05
    assert abs(measured) < 0.8 * trusting
    measured, trusting = errors_of(trained, "regression")
    assert measured < trusting


@pytest.fixture(scope="module")
def analysed(trained) -> list[dict]:
    """The entries of maps at class centres and along the curve, of an analysis of the same run."""
    analyze(trained, AnalysisOptions(clusters=4, components=0, steps=3, umap=False, half_maps=True))
    series = json.loads((trained.results_dir("analysis") / "analysis.json").read_text())["series"]
    assert [one["name"] for one in series] == ["kmeans", "curve"]
    return [entry for one in series for entry in one["maps"]]


def test_an_analysis_expects_the_fsc_that_its_maps_have_with_the_truth(trained, analysed):
    known = Truth.open(trained.given_file.parent)
    moving = read_map(trained.results_dir("analysis") / "volumes/moving_mask.mrc")[0]
    wrong = {"whole": [], "moving": [], "halves where it moves": []}
    for entry in analysed:
        file = trained.results_dir("analysis") / entry["file"]
        halves = [read_map(file.with_name(f"{file.stem}_half{number}.mrc"))[0] for number in (1, 2)]
        (volume, pixel_size_ang), true = read_map(file), known.maps[known.state[entry["particle"]]]
        mask = mask_from_map((halves[0] + halves[1]) / 2, pixel_size_ang)
        for name, curve, where in (
            ("whole", entry["expected_fsc"], mask),
            ("moving", entry["moving_expected_fsc"], moving),
            ("halves where it moves", expected_from_halves(fsc(*halves, moving)), moving),
        ):
            wrong[name].append(np.mean((np.array(curve) - fsc(volume, true, where))[1:-1]))
    error = {name: float(np.mean(values)) for name, values in wrong.items()}
    assert abs(error["whole"]) < 0.06
    assert abs(error["moving"]) < 0.8 * error["halves where it moves"]


def test_an_analysis_names_half_map_and_expected_figures_apart(trained, analysed):
    for entry in analysed:
        assert entry["expected_resolution_ang"] >= entry["resolution_ang"]["0.143"] - 1e-3
        assert entry["moving_expected_resolution_ang"] >= entry["moving_resolution_ang"]["0.143"] - 1e-3
    figures = json.loads((trained.results_dir("analysis") / "analysis.json").read_text())["figures"]
    assert {"fsc", "expected_fsc"} <= set(figures)
    log = trained.log_file.read_text()
    assert "FSC 0.5 to the truth expected at" in log and "at half-map FSC 0.143" in log


def test_an_analysis_without_images_or_without_being_asked_expects_nothing_and_says_so(trained, tmp_path):
    quick = {"clusters": 2, "components": 0, "steps": 2, "umap": False, "figures": False}
    before = trained.results_dir("analysis").rename(tmp_path / "kept")
    stack = trained.given_file.parent / "particles.mrcs"
    stack.rename(tmp_path / stack.name)
    try:
        for options in (AnalysisOptions(**quick, expected=False), AnalysisOptions(**quick)):
            entries = json.loads(analyze(trained, options).read_text())["series"][0]["maps"]
            assert all(entry["resolution_ang"] for entry in entries)
            assert not any(entry[f"{part}expected_fsc"] for entry in entries for part in ("", "moving_"))
            said = "The FSC to the truth is left out, for the images cannot be read" in trained.log_file.read_text()
            assert said is options.expected
    finally:
        (tmp_path / stack.name).rename(stack)
        shutil.rmtree(trained.results_dir("analysis"))
        before.rename(trained.results_dir("analysis"))


def test_the_index_names_files_that_are_there_and_figures_of_every_state(trained):
    index = index_of(trained)
    assert [series["name"] for series in index["series"]] == ["states", "regression"]
    named = [*index["figures"].values(), *index["files"].values()]
    for series in index["series"]:
        assert len(series["maps"]) == 4
        for entry in series["maps"]:
            named += [entry["file"], entry["mask"], entry["sharpened"], entry["local_resolution"], *entry["half_maps"]]
            assert len(entry["expected_fsc"]) == len(entry["moving_expected_fsc"]) == len(entry["fsc"]) == 17
            assert entry["effective_particles"] > 20 and entry["expected_measured"]
            assert entry["resolution_ang"]["0.5"] >= entry["resolution_ang"]["0.143"]
    missing = [name for name in named if not (trained.results_dir("states") / name).is_file()]
    assert not missing and index["files"].keys() == {"chimerax", "moving_mask"}


def test_the_log_says_which_maps_are_expected_nearer_to_the_truth(trained):
    mean = {}
    for series in index_of(trained)["series"]:
        mean[series["name"]] = np.mean([np.mean(entry["expected_fsc"][1:-1]) for entry in series["maps"]])
    nearer = "regression" if mean["regression"] > mean["states"] else "decoder"
    assert f"Nearer to the truth are expected to be the {nearer}'s maps" in trained.log_file.read_text()


def test_a_state_by_regression_rests_on_the_particles_that_cross_validation_chose(trained):
    index = index_of(trained)
    chosen = index["regression"]["best_particles"]
    assert index["regression"]["expected"][str(chosen)] == max(index["regression"]["expected"].values())
    for entry in index["series"][1]["maps"]:
        assert entry["effective_particles"] == pytest.approx(chosen, rel=0.02)


def test_states_named_by_particles_are_their_latents_and_the_same_seed_gives_the_same_maps(trained, tmp_path):
    quick = {"bias": False, "method": "decoder", "figures": False, "local_resolution": False, "sharpen": False}
    before = trained.results_dir("states").rename(tmp_path / "kept")
    try:
        make_states(trained, StatesOptions(particles="5,1000-1001", **quick))
        entries = index_of(trained)["series"][0]["maps"]
        np.testing.assert_allclose([e["z"] for e in entries], trained.latents().z[[5, 1000, 1001]], rtol=1e-5)
        assert [e["label"] for e in entries] == ["particle 5", "particle 1000", "particle 1001"]
        assert not entries[0]["expected_measured"] and entries[0]["sharpened"] is None
        first = read_map(trained.results_dir("states") / "state_001.mrc")[0]
        make_states(trained, StatesOptions(particles="5", neighbors=150, **{**quick, "method": "regression"}))
        assert index_of(trained)["series"][0]["maps"][0]["effective_particles"] == pytest.approx(150, abs=1)
        make_states(trained, StatesOptions(particles="5", **quick))
        np.testing.assert_array_equal(read_map(trained.results_dir("states") / "state_001.mrc")[0], first)
    finally:
        shutil.rmtree(trained.results_dir("states"))
        before.rename(trained.results_dir("states"))


def test_a_decoder_without_half_maps_gives_maps_and_says_what_would_have_them(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder(halves=False))
    assert main(["states", str(run.path), "--states", "3", "--method", "decoder"]) == 0
    entries = index_of(run)["series"][0]["maps"]
    assert [entry["half_maps"] for entry in entries] == [[], [], []]
    assert all(entry[key] is None for entry in entries for key in ("expected_fsc", "sharpened", "effective_particles"))
    assert "--method regression" in capsys.readouterr().out


def test_half_maps_whose_particles_are_not_known_are_trusted_and_that_is_said(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    words = ["--states", "2", "--method", "decoder", "--lowpass-ang", "8", "--b-factor-ang2", "30"]
    assert main(["states", str(run.path), *words]) == 0
    entry = index_of(run)["series"][0]["maps"][0]
    assert entry["b_factor_ang2"] == 30 and entry["lowpass_ang"] == 8 and not entry["expected_measured"]
    assert "too good" in capsys.readouterr().out


def test_a_mask_of_another_box_and_states_that_are_not_there_are_named(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    write_map(tmp_path / "mask.mrc", np.ones((20, 20, 20), np.float32), 2.5)
    assert main(["states", str(run.path), "--mask", str(tmp_path / "mask.mrc")]) == 2
    assert "20 × 20 × 20" in capsys.readouterr().err
    with pytest.raises(DataError, match="Particle 9999"):
        make_states(run, StatesOptions(particles="9999"))
    run.save_latents(np.zeros((150, 0)))
    with pytest.raises(DataError, match="no latent space"):
        make_states(run)
    assert not run.results_dir("states").exists()


@pytest.mark.parametrize(
    "wrong", [{"states": -1}, {"method": "mlp"}, {"neighbors": -1}, {"particles": "1", "points": "z.txt"}]
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        StatesOptions(**wrong)


def test_resolution_by_direction_is_about_even_for_views_from_everywhere(trained):
    index = index_of(trained)
    assert index["cautions"] == [] and "directions" in index["figures"]
    for series in index["series"]:
        for entry in series["maps"]:
            found = entry["directions"]
            assert found["mean_ang"] <= found["worst_ang"] < 1.7 * found["mean_ang"]
            assert found["unseen_share"] == entry["unseen_difference"] == 0
