"""Trainings of an atomic model: a planted motion is found, stopped runs resume bit for bit, mistakes get a sentence."""

import json
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.analysis_report import analyze
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.model_file import load_model
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.networks.rising_resolution import RisingResolution
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble, tiny_set
from cryodrgn_plugin.engine.stopping import Stopped

pytestmark = pytest.mark.slow

BOX, STATES, IMAGES = 16, 6, 1200


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    """Star file of a chain that opens, and the chain when it is closed, in the frame of the box's middle."""
    folder = tmp_path_factory.mktemp("hinge")
    config = SimulationConfig(snr=2.0, shift_px=1.0, pixel_size_ang=7.0)
    star = tiny_set(folder / "set", n=IMAGES, box=BOX, states=STATES, seed=1, config=config)
    states = tiny_ensemble(STATES).states
    centre = frame_centre_ang(states)
    write_models(folder / "chain.cif", states[0], (states[0].coords_ang - centre)[None])
    return star, folder / "chain.cif", [state.coords_ang - centre for state in states]


def settings(hinge, recipe: str = "atoms", **given):
    star, model, _ = hinge
    few = {"training.epochs": 8, "training.learning_rate": 3e-3, "decoder.width": 64, "encoder.width": 64}
    asked = {"particles": str(star), "atoms.model": str(model), "atoms.place": "middle", **few, **given}
    return recipe_config(recipe, asked)


def trained(folder: Path, config) -> Run:
    run = Run.create(folder, config)
    fit(run, config)
    return run


@pytest.fixture(scope="module")
def moved(hinge, tmp_path_factory):
    return trained(
        tmp_path_factory.mktemp("moved") / "run", settings(hinge, **{"atoms.elastic": 0.1, "atoms.elastic_ang": 14.0})
    )


def test_a_motion_is_found_with_the_places_of_its_atoms(moved, hinge):
    star, _, places = hinge
    truth = np.load(star.with_name("truth.npz"))
    z, states = moved.latents().z[:, 0], truth["state"]
    assert abs(np.corrcoef(z, truth["coordinate"])[0, 1]) > 0.85
    decoder = load_model(moved.model_file).decoder
    medians = np.array([[np.median(z[states == state])] for state in range(STATES)])
    found = decoder.places_ang(medians)
    error = np.sqrt(((found - places) ** 2).sum(-1).mean(-1))
    still = np.sqrt(((places[0] - np.array(places)) ** 2).sum(-1).mean(-1))
    assert still[-1] > 8
    assert error.mean() < 0.75 * still.mean()


def test_its_analysis_has_a_trajectory_and_the_mobility_of_residues(moved):
    index_file = analyze(moved, AnalysisOptions(umap=False, clusters=3, steps=4))
    index = json.loads(index_file.read_text())
    structure = gemmi.read_structure(str(index_file.with_name("trajectory.cif")))
    assert len(structure) == index["atoms"]["models"] == 4
    mobility = np.array([atom.b_iso for chain in structure[0] for residue in chain for atom in residue])
    assert mobility[90:].mean() > 4 * mobility[:70].mean()
    assert index["atoms"]["mobility_ang"]["largest"] > 2 * index["atoms"]["mobility_ang"]["median"]
    assert (index_file.parent / index["figures"]["mobility"]).is_file()
    assert (index_file.parent / index["files"]["mobility"]).is_file()


def test_a_stopped_training_ends_as_one_that_was_not(hinge, tmp_path):
    config = settings(hinge, **{"training.epochs": 3, "data.max_particles": 300})
    whole = trained(tmp_path / "whole", config)
    run = Run.create(tmp_path / "stopped", config)
    with pytest.raises(Stopped):
        fit(run, config, until_epoch=1)
    fit(run, config, resume=True)
    assert torch.equal(*(torch.from_numpy(one.latents().z) for one in (whole, run)))
    first, second = (load_model(one.model_file).decoder.state_dict() for one in (whole, run))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_beads_go_back_after_the_warm_up_and_the_resolution_rises(hinge, tmp_path):
    config = settings(hinge, z_dim=0, **{"training.epochs": 1, "atoms.warmup_epochs": 0})
    decoder = load_model(trained(tmp_path / "run", config).model_file).decoder
    assert decoder.offsets.abs().max() > 0

    class Objective:
        lattice = type("Lattice", (), {"radius": 40.0})

    objective = Objective()
    objective.decoder = decoder
    course = settings(hinge, **{"training.epochs": 9, "atoms.warmup_epochs": 1, "atoms.first_ang": 20.0})
    rising = RisingResolution(objective, course, batches=10, extent_ang=200.0)
    begun, radii = [], []
    for epoch in range(9):
        for batch in range(10):
            begun.append(rising(epoch, batch, np.arange(3)))
            radii.append(objective.radius)
    assert np.flatnonzero(begun).tolist() == [10]
    assert decoder.offsets.abs().max() == 0
    assert radii[0] == radii[10] == 10.0 and radii[49] < 40.0 and radii[50] is None
    assert (np.diff(radii[10:50]) > 0).all()


def test_a_model_is_kept_with_the_run(hinge, tmp_path):
    model = hinge[1]
    copy = tmp_path / "chain.cif"
    copy.write_bytes(model.read_bytes())
    config = settings(hinge, z_dim=0, **{"training.epochs": 1, "atoms.model": str(copy)})
    run = trained(tmp_path / "run", config)
    copy.unlink()
    assert len(load_model(run.model_file).decoder.beads) == 120
    index = json.loads(analyze(run, AnalysisOptions(umap=False)).read_text())
    assert index["atoms"]["models"] == 1
    assert "restraint" in (run.path / "metrics.csv").read_text().splitlines()[0]
    assert "120 beads" in (run.path / "run.log").read_text()


def test_a_training_is_resumed_from_another_folder_with_the_model_that_it_was_begun_with(hinge, tmp_path, monkeypatch):
    for name in ("here", "there", "elsewhere"):
        (tmp_path / name).mkdir()
    chain = hinge[1].read_bytes()
    (tmp_path / "here" / "chain.cif").write_bytes(chain)
    (tmp_path / "there" / "chain.cif").write_bytes(chain.replace(b" UNK ", b" MET "))
    monkeypatch.chdir(tmp_path / "here")
    few = {"training.epochs": 2, "data.max_particles": 200, "atoms.model": "chain.cif"}
    config, folder = settings(hinge, **few), tmp_path / "run"
    run = Run.create(folder, config)
    with pytest.raises(Stopped):
        fit(run, config, until_epoch=1)

    def resumed(place: str, name: str = "chain.cif") -> Run:
        monkeypatch.chdir(tmp_path / place)
        again = settings(hinge, **few | {"atoms.model": name})
        run = Run.create(folder, again, resume=True)
        fit(run, again, resume=True)
        return run

    (tmp_path / "here" / "chain.cif").rename(tmp_path / "here" / "moved.cif")
    with pytest.raises(
        DataError, match=r"chain\.cif has its atoms in other places, or under other names, since .* was"
    ):
        resumed("there")
    with pytest.raises(
        DataError, match=r"The atomic model chain\.cif, with which .* begun, is not there any more; name"
    ):
        resumed("elsewhere")
    shorter = b"\n".join(line for line in chain.split(b"\n") if b" 120 " not in line)
    (tmp_path / "elsewhere" / "chain.cif").write_bytes(shorter)
    with pytest.raises(DataError, match="has 119 atoms where it had 120 since"):
        resumed("elsewhere")
    (tmp_path / "here" / "moved.cif").rename(tmp_path / "here" / "chain.cif")
    for place, name in (("there", "chain.cif"), ("elsewhere", "../here/chain.cif")):
        assert resumed(place, name).latents().z.shape == (200, 1)
    assert run.info["notes"]["atomic_model"]["file"] == str(tmp_path / "elsewhere" / "../here/chain.cif")


def test_a_model_that_is_not_in_the_box_is_refused_in_a_sentence(hinge, tmp_path):
    config = settings(hinge, **{"atoms.place": "map"})
    with pytest.raises(DataError, match=r"does not lie in the box: with atoms\.place = map its centre is \d+ Å from"):
        fit(Run.create(tmp_path / "run", config), config)
    with pytest.raises(ConfigError, match=r"name its file with atoms\.model"):
        config = settings(hinge, **{"atoms.model": ""})
        fit(Run.create(tmp_path / "other", config), config)
