"""`atoms` end to end on a small run: what was planted comes out, the index is complete, mistakes are explained."""

import html
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.analysis.truth import rank_correlation
from cryodrgn_plugin.engine.atomic_motion.atoms_options import AtomsOptions
from cryodrgn_plugin.engine.atomic_motion.atoms_report import fit_atoms
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.cli.main import main
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, fsc_area
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles

from .planted_run import BlobDecoder, planted_run, serve_decoder
from .two_domains import ARM, BOX, PIXEL_ANG, turned, two_domains

pytestmark = pytest.mark.slow

SETTINGS = {"z_dim": 3, "closed_form.n_components": 3, "closed_form.iterations": 8, "closed_form.nodes": 20}
ANGLES_DEG = np.linspace(-35, 35, 10)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run on 1,000 images of ten states of a domain that turns through 70°, and its model in another frame."""
    folder, model = tmp_path_factory.mktemp("atoms"), two_domains()
    states = Ensemble([model.moved(turned(model, angle)) for angle in ANGLES_DEG], ANGLES_DEG, np.ones(10))
    config = SimulationConfig(n_particles=1000, box=BOX, pixel_size_ang=PIXEL_ANG, snr=0.5, shift_px=2)
    star = simulate_particles(states, config, folder / "set", seed=1)
    write_models(folder / "model.cif", model, (model.coords_ang[:, [1, 2, 0]] + [40, 0, 9])[None])
    config = recipe_config("fast", {**SETTINGS, "particles": str(star)})
    run = Run.create(folder / "run", config)
    with run.working():
        fit(run, config)
    assert main(["atoms", str(run.path), "--model", str(folder / "model.cif"), "--maps", "5", "--most_parts", "2"]) == 0
    return run


@pytest.fixture(scope="module")
def index(run) -> dict:
    return run.results("atoms").index


def in_chain(residues: str, chain: str) -> int:
    """How many of the residues named as A:1-20,B:3-5 are in a chain."""
    spans = [word.partition(":")[2].split("-") for word in residues.split(",") if word.startswith(chain)]
    return sum(int(last) - int(first) + 1 for first, last in spans)


def validated(run: Run):
    """What a validation without halves says of a run."""
    assert main(["validate", str(run.path), "--halves", "no", "--permutations", "99", "--tested", "200"]) == 0
    return run.results("validation")


def test_planted_parts_and_angles_are_found(run, index):
    assert index["fit"]["fits"]
    assert len(index["parts"]) == 2
    rightly = sum(in_chain(part["residues"], chain) for part, chain in zip(index["parts"], "AB", strict=True))
    assert max(rightly, 140 - rightly) >= 0.95 * 140
    turns = run.results("atoms").arrays["turns_deg"][:, 1]
    planted = np.load(run.given_file.parent / "truth.npz")["coordinate"]
    assert rank_correlation(turns, planted) > 0.95
    low, high = index["parts"][1]["turns_deg"]
    assert 45 < high - low < 75
    assert any(f"Part 2 ({index['parts'][1]['residues']}) turns from" in said for said in index["sentences"])
    assert all(part["occupancy"] > 0.9 for part in index["parts"])


def test_half_maps_agree_better_in_what_moves_with_the_motion_undone(index):
    where = {entry["where"]: entry for entry in index["corrected"]["parts"]}
    assert where["part 2"]["mean_fsc"] > where["part 2"]["consensus_mean_fsc"] + 0.003


def test_the_map_without_motion_is_nearer_to_the_true_one_than_any_map_of_the_run(run, index):
    results = run.results("atoms")
    corrected, mask = read_map(results.file("corrected"))[0], read_map(results.file("corrected_mask"))[0]
    truth = [read_map(path)[0] for path in sorted((run.given_file.parent / "maps").glob("*.mrc"))]
    areas = [max(fsc_area(fsc(volume, true, mask), BOX // 2 - 1) for true in truth) for volume in (corrected,)]
    own = [read_map(results.path(entry["file"]))[0] for entry in results.series("atoms")]
    others = [max(fsc_area(fsc(volume, true, mask), BOX // 2 - 1) for true in truth) for volume in own]
    assert areas[0] > np.mean(others)


def test_the_right_model_is_trusted(index):
    assert index["bias"]["trusted"] and index["bias"]["flagged_share"] == 0
    assert index["bias"]["outcome"] == "agrees"
    assert "has a shape that particles have" in index["bias"]["as_given"]["verdict"]


def test_a_validation_says_that_the_model_agrees(run, index):
    told = validated(run)
    assert told.index["model"]["outcome"] == "agrees"
    sentence = told.index["verdict"]["sentences"][-1]
    assert sentence.startswith("Atomic model model.cif: agrees.") and index["bias"]["verdict"] in sentence
    page = told.file("page").read_text()
    assert sentence in html.unescape(page) and "Do the maps agree with the atomic model?" in page
    assert told.figures["model"].read_bytes() == run.results("atoms").figures["bias"].read_bytes()


def test_a_model_with_a_domain_in_a_wrong_place_is_flagged_and_a_validation_says_so(run, tmp_path):
    model, other = two_domains(), tmp_path / "run"
    coords, centre = model.coords_ang.copy(), model.coords_ang[ARM].mean(axis=0)
    coords[ARM] = (
        Rotation.from_rotvec(np.radians(30.0) * np.array([0.8, -0.6, 0.0])).apply(coords[ARM] - centre) + centre
    )
    write_models(tmp_path / "turned.cif", model, coords[None])
    Run.borrow(run.path, other, "atoms")
    few = ["--maps", "5", "--most_parts", "2", "--corrected", "no", "--figures", "no"]
    assert main(["atoms", str(other), "--model", str(tmp_path / "turned.cif"), *few]) == 0
    bias = Run.open(other).results("atoms").index["bias"]
    assert bias["outcome"] == "never as in the model"
    (wrong,) = [domain for domain in bias["as_given"]["domains"] if domain["flagged"]]
    assert abs(wrong["turn_deg"] - 30) < 8
    assert wrong["residues"] in bias["as_given"]["verdict"]
    sentence = validated(Run.open(other)).index["verdict"]["sentences"][-1]
    assert sentence.startswith("Atomic model turned.cif: never as in the model.")
    assert "that no particles have" in sentence


def test_models_lie_in_their_maps_atom_by_atom(run):
    results = run.results("atoms")
    for entry in results.series("atoms"):
        model = read_model(results.path(entry["model"]))
        volume, pixel_size_ang = read_map(results.path(entry["file"]))
        x, y, z = np.rint(model.coords_ang / pixel_size_ang).astype(int).T
        assert volume[z, y, x].mean() > 5 * np.abs(volume).mean()


def test_the_index_names_files_that_are_there(run, index):
    results = run.results("atoms")
    named = [*index["figures"].values(), *index["files"].values()]
    named += [entry[name] for entry in results.series("atoms") for name in ("file", "model")]
    assert not [name for name in named if not (results.folder / name).is_file()]
    assert {"mobility", "parts", "part_numbers", "bias", "corrected"} <= set(index["figures"])
    script = results.file("chimerax").read_text()
    assert "trajectory.cif" in script and "color #" in script
    log = run.log_file.read_text()
    assert all(sentence in log for sentence in index["sentences"])


def test_mistakes_are_explained(tmp_path, monkeypatch):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    with pytest.raises(ConfigError, match="model is empty; give the file"):
        fit_atoms(run, AtomsOptions())
    with pytest.raises(DataError, match="There is no model"):
        fit_atoms(run, AtomsOptions(model=str(tmp_path / "absent.cif")))
    model = two_domains()
    write_models(tmp_path / "model.cif", model, model.coords_ang[None])
    with pytest.raises(DataError, match="Without images, give --corrected no --bias no"):
        fit_atoms(run, AtomsOptions(model=str(tmp_path / "model.cif")))
    assert not run.has_results("atoms")


def test_a_model_that_fits_nowhere_is_said(tmp_path, monkeypatch):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    model = two_domains()
    options = AtomsOptions(
        model=str(tmp_path / "model.cif"), maps=2, most_parts=1, corrected=False, bias=False, figures=False
    )
    write_models(tmp_path / "model.cif", model, model.coords_ang[None])
    with pytest.raises(DataError, match="Å across and the box of the maps 60 Å"):
        fit_atoms(run, options)
    write_models(tmp_path / "model.cif", model, 0.01 * model.coords_ang[None])
    with pytest.raises(
        DataError, match=r"All of the model lies within 0\.\d Å; its coordinates are not those of atoms"
    ):
        fit_atoms(run, options)
    few = model[np.arange(5)]
    write_models(tmp_path / "model.cif", few, few.coords_ang[None])
    with pytest.raises(DataError, match="The model is 5 beads for 5 amino acids in 1 chain; fewer than 12 say nothing"):
        fit_atoms(run, options)
    write_models(tmp_path / "model.cif", model, 0.45 * model.coords_ang[None])
    told = json.loads(fit_atoms(run, options).read_text())
    assert not told["fit"]["fits"] and "does not fit the consensus map" in told["sentences"][0]
