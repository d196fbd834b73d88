"""Models from files, the models that the package carries, and the ensembles made of them."""

import os
from pathlib import Path

import numpy as np
import pytest

from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.simulate import PRESETS, bare_model, tiny_ensemble
from cryodrgn_plugin.engine.simulate.embedded import embedded_model, save_compact
from cryodrgn_plugin.engine.simulate.ensemble import assign_states, gaussian_mixture
from cryodrgn_plugin.engine.simulate.motions import superposed
from cryodrgn_plugin.engine.simulate.presets import ADK_CORE
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector
from cryodrgn_plugin.engine.simulate.simulation import frame_radius_ang
from cryodrgn_plugin.engine.simulate.user_motions import MotionRequest, ensemble_from_maps, ensemble_from_models

SHARED = Path(os.environ.get("CRYODRGN_PLUGIN_SHARED", ""))


def pdb_line(serial: int, name: str, residue: str, chain: str, number: int, xyz, element: str = "") -> str:
    kind = "HETATM" if residue == "HOH" else "ATOM  "
    x, y, z = xyz
    return (
        f"{kind}{serial:5d}  {name:<3} {residue:>3} {chain:1}{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
        f"          {element:>2}\n"
    )


def write_pdb(path: Path, coords: np.ndarray, chain: str = "A") -> Path:
    """Residues of three atoms each, as simulation programs write them: no elements, but hydrogens and a water."""
    lines, serial = [], 0
    for number, place in enumerate(coords, start=1):
        for name, offset in (("N", -1.2), ("CA", 0.0), ("C", 1.2), ("HA", 0.6)):
            serial += 1
            lines.append(pdb_line(serial, name, "ALA", chain, number, place + [offset, 0, 0]))
    lines.append(pdb_line(serial + 1, "O", "HOH", chain, 900, (0, 0, 0), "O"))
    path.write_text("".join([*lines, "END\n"]))
    return path


@pytest.fixture
def coords():
    rng = np.random.default_rng(0)
    rest = np.stack([*rng.normal(0, 4, (2, 30)), np.linspace(-20, 10, 30)], axis=1)
    domain = np.stack([np.linspace(4, 30, 15), *(rng.normal(0, 3, (2, 15)) + [[0], [14]])], axis=1)
    return np.concatenate([rest, domain])


def test_a_pdb_without_elements_gives_its_heavy_atoms(tmp_path, coords):
    model = read_model(write_pdb(tmp_path / "model.pdb", coords))
    assert len(model) == 45 * 3
    assert model.weights[:3].tolist() == [7, 6, 6]
    np.testing.assert_allclose(model.coords_ang[1::3], coords, atol=6e-4)


@pytest.mark.parametrize(
    ("name", "content"), [("a.pdb", "nothing"), ("a.mmtf", "\x93"), ("a.xyz", "1"), ("b.cif", "data_x")]
)
def test_a_file_that_is_no_model_is_named(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=name):
        read_model(tmp_path / name)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no model .*gone\.pdb"):
        read_model(tmp_path / "gone.pdb")


@pytest.mark.shared
def test_an_mmtf_file_has_the_atoms_that_it_announces():
    model = read_model(SHARED / "models" / "4V5A_70S.mmtf")
    assert len(model) == 290_487
    assert {"AA", "BA", "CA", "DA"} <= set(model.chains)
    phosphates = model[(model.chains == "AA") & (model.names == "P")]
    steps = np.linalg.norm(np.diff(phosphates.coords_ang, axis=0), axis=1)
    assert np.median(steps) == pytest.approx(6, abs=0.8)
    assert set(model.weights[model.names == "C4'"]) == {6}
    assert set(phosphates.weights) == {15}


@pytest.mark.shared
def test_the_models_of_the_package_are_those_of_the_files():
    embedded, deposited = embedded_model("adk_open"), read_model(SHARED / "adk" / "adk_open.pdb")
    np.testing.assert_allclose(embedded.coords_ang, deposited.coords_ang, atol=0.006)
    np.testing.assert_array_equal(embedded.weights, deposited.weights)


def test_a_model_comes_back_from_its_compact_form_to_a_hundredth(tmp_path):
    model = bare_model(np.random.default_rng(0).normal(0, 40, (50, 3)), np.arange(50))
    save_compact(tmp_path / "model.npz", model)
    stored = dict(np.load(tmp_path / "model.npz"))
    np.testing.assert_allclose(stored["coords"] * 0.01 + stored["origin_ang"], model.coords_ang, atol=0.0051)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_four_fifths_of_its_box_and_its_states_differ(name):
    preset = PRESETS[name]
    ensemble = preset.make(5)
    assert 0.55 < 2 * frame_radius_ang(ensemble.states) / preset.box_ang <= 0.8
    first, last = ensemble.states[0], ensemble.states[-1]
    assert len(first) != len(last) or np.abs(first.coords_ang - last.coords_ang).max() > 10


def test_adenylate_kinase_keeps_its_core_and_bends_smoothly():
    states = PRESETS["adk"].make(11).states
    core = np.any([states[0].select(None, *span) for span in ADK_CORE], axis=0) & (states[0].names == "CA")
    path = np.stack([state.coords_ang for state in states])
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(-1).mean(-1))
    drift = np.sqrt(((path[-1] - path[0])[core] ** 2).sum(-1).mean())
    assert drift < 2.5
    assert max(steps) < 1.2 * min(steps)
    # Straight lines would pull a residue's neighbours together half way; turning domains keeps their distance.
    middle = path[5][states[0].names == "CA"]
    assert np.linalg.norm(np.diff(middle, axis=0), axis=1).min() > 2.5


def test_the_spike_raises_one_domain_and_the_others_stay():
    states = PRESETS["spike"].make(3).states
    moved = np.linalg.norm(states[-1].coords_ang - states[0].coords_ang, axis=1)
    assert moved[states[0].chains != "B"].max() < 1e-9
    assert moved[states[0].select("B", 400, 500)].mean() > 15
    assert moved[states[0].select("B", 700, 1140)].max() < 5


def test_the_thesis_angles_and_populations():
    uniform, wide, narrow = (PRESETS[name].make(50) for name in ("uniform", "cooperative", "noncontiguous"))
    np.testing.assert_allclose(np.diff(uniform.coordinates), 0.03)
    assert np.ptp(uniform.populations) == 0
    for ensemble in (wide, narrow):
        peaks = np.argsort(ensemble.populations)[-3:]
        assert sorted(peaks.tolist()) == [10, 25, 40]
    assert wide.populations.min() > 0
    assert narrow.populations[17] < 1e-6 < narrow.populations[12]


def test_three_ribosomal_species_in_the_thesis_shares():
    ensemble = PRESETS["compositional"].make(3)
    assert len(ensemble.states[0]) + len(ensemble.states[1]) == len(ensemble.states[2])
    counts = np.bincount(assign_states(ensemble.populations, 1000, np.random.default_rng(0)))
    assert counts.tolist() == [200, 300, 500]


def test_a_mixture_sums_to_one_and_clips_at_the_ends():
    coordinates = np.linspace(0, 1, 6)
    populations = gaussian_mixture(coordinates, [0.0, 1.0], 0.1)
    assert populations.sum() == pytest.approx(1)
    assert populations[0] == pytest.approx(populations[-1])
    assert populations[0] > 0.4


def test_counts_follow_populations_to_the_particle():
    states = assign_states(np.array([1.0, 1.0, 1.0]), 100, np.random.default_rng(0))
    assert sorted(np.bincount(states).tolist()) == [33, 33, 34]


def test_two_files_make_a_path_between_their_conformations(tmp_path, coords):
    bent = coords.copy()
    bent[30:, 0] *= -1
    files = [write_pdb(tmp_path / "a.pdb", coords, "A"), write_pdb(tmp_path / "b.pdb", bent + 40, "X")]
    ensemble = ensemble_from_models(files, MotionRequest(states=4, core="1-30", domains=("31-45",)))
    assert len(ensemble.states) == 4
    np.testing.assert_allclose(ensemble.coordinates, [0, 1 / 3, 2 / 3, 1])
    reached = superposed(ensemble.states[-1].coords_ang, ensemble.states[0].coords_ang, np.arange(90))
    np.testing.assert_allclose(reached[1::3], bent, atol=2e-3)


def test_one_file_turns_its_domain_about_its_natural_hinge(tmp_path, coords):
    file = write_pdb(tmp_path / "a.pdb", coords)
    ensemble = ensemble_from_models([file], MotionRequest(states=3, domains=("A:31-45",), hinge_deg=40))
    np.testing.assert_allclose(np.degrees(ensemble.coordinates), [0, 20, 40])
    moved = np.linalg.norm(ensemble.states[2].coords_ang - ensemble.states[0].coords_ang, axis=1)
    assert moved[:90].max() == 0
    assert moved[-3:].mean() > 10


def test_one_file_alone_does_not_move(tmp_path, coords):
    with pytest.raises(ConfigError, match="One model alone does not move"):
        ensemble_from_models([write_pdb(tmp_path / "a.pdb", coords)], MotionRequest())


def test_frames_from_a_file_are_the_states(tmp_path, coords):
    file = write_pdb(tmp_path / "a.pdb", coords)
    frames = np.random.default_rng(1).normal(size=(6, 135, 3))
    np.save(tmp_path / "frames.npy", frames)
    ensemble = ensemble_from_models([file], MotionRequest(frames=str(tmp_path / "frames.npy")))
    np.testing.assert_allclose(ensemble.states[4].coords_ang, frames[4])


def test_maps_are_cropped_to_the_box_with_their_pixel_size(tmp_path):
    states = tiny_ensemble(2).states
    for i, state in enumerate(states):
        volume = AtomProjector(state, 48, 2.5, 8.0, state.centre_ang()).volume()
        write_map(tmp_path / f"{i}.mrc", volume, 2.5)
    ensemble, pixel_size_ang = ensemble_from_maps([tmp_path / "0.mrc", tmp_path / "1.mrc"], 32, MotionRequest())
    assert pixel_size_ang == pytest.approx(3.75)
    assert [state.shape for state in ensemble.states] == [(32, 32, 32)] * 2
    assert ensemble.labels == ("0", "1")
    whole, _ = read_map(tmp_path / "0.mrc")
    assert ensemble.states[0].mean() == pytest.approx(whole.mean(), rel=1e-4)


def test_maps_of_two_pixel_sizes_are_refused(tmp_path):
    for i in (1, 2):
        write_map(tmp_path / f"{i}.mrc", np.zeros((16,) * 3, np.float32), float(i))
    with pytest.raises(DataError, match="differ in box or pixel size"):
        ensemble_from_maps([tmp_path / "1.mrc", tmp_path / "2.mrc"], 16, MotionRequest())
