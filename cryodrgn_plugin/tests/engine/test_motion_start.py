"""A training that starts from a motion that was found: beads begin where they were laid, and stay right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.atomic_motion.atoms_options import AtomsOptions
from cryodrgn_plugin.engine.atoms.beads import beads_of
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.atoms.restraints import restraints_of
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.atoms import AtomsDecoder
from cryodrgn_plugin.engine.decoders.model_file import load_model
from cryodrgn_plugin.engine.decoders.motion_start import FoundMotion
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.fingerprint import rows_alone
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.io.tables import read_table
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang
from cryodrgn_plugin.engine.simulate.tiny import tiny_ensemble, tiny_set
from cryodrgn_plugin.engine.source_check import SOURCE

BOX, STATES, IMAGES, PIXEL_ANG = 16, 6, 400, 7.0
ARM = 80
"""Beads from here on are in the part that moves."""
LAID = [0, 2, 3, 5]
"""States in whose maps the model was laid."""


def laid_in(folder, star, places: np.ndarray, mirrored: bool = False) -> Run:
    """A finished run whose one latent is the truth, and what `atoms` leaves there."""
    truth = np.load(star.with_name("truth.npz"))
    run = Run.create(folder, recipe_config("fast", {"particles": str(star)}))
    run.save_latents(np.c_[truth["coordinate"], 0 * truth["coordinate"]].astype(np.float32))
    model = tiny_ensemble(STATES).states[0]
    with run.report("atoms", AtomsOptions(figures=False)) as out:
        maps = []
        for number, state in enumerate(LAID):
            file = out.folder / "models" / f"vol_{number:03d}.cif"
            file.parent.mkdir(exist_ok=True)
            write_models(file, model, places[state][None])
            z = [float(truth["state_coordinates"][state]), 0.0]
            maps.append({"label": f"model {number}", "z": z, "model": out.relative(file)})
        series = {"name": "atoms", "title": "at the models", "maps": maps}
        out.index |= {"fit": {"mirrored": mirrored}, "reference": 1, "series": [series]}
        out.arrays(rows=np.arange(IMAGES), occupancy=np.ones((IMAGES, 1), np.float32))
    return run


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    """Star file of a chain that opens, its places (S, n, 3) in the frame of a map, and the run that found them."""
    folder = tmp_path_factory.mktemp("start")
    config = SimulationConfig(snr=2.0, shift_px=1.0, pixel_size_ang=PIXEL_ANG)
    star = tiny_set(folder / "set", n=IMAGES, box=BOX, states=STATES, seed=1, config=config)
    states = tiny_ensemble(STATES).states
    corner = frame_centre_ang(states) - BOX // 2 * PIXEL_ANG
    places = np.stack([state.coords_ang - corner for state in states])
    return star, places, laid_in(folder / "fast", star, places)


def settings(hinge, **given):
    star, _, run = hinge
    asked = {"particles": str(star), "z_dim": 2, "atoms.start_from": str(run.path)}
    # Beads of this chain are no amino acids, and its images too blurred to place them one by one.
    course = {"training.epochs": 6, "atoms.sigma_ang": 4.0}
    course |= {"atoms.bonds": 0.0, "atoms.elastic": 10.0, "atoms.elastic_ang": 14.0}
    return recipe_config("refined_atoms", {**asked, **course, **given})


def missed_ang(found: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(S,) root mean square distance."""
    return np.sqrt(((found - places) ** 2).sum(-1).mean(-1))


def test_beads_begin_where_they_were_laid_and_between(hinge):
    star, places, _ = hinge
    decoder = AtomsDecoder.of(settings(hinge), BOX)
    coordinate = np.load(star.with_name("truth.npz"))
    middle, spread = coordinate["coordinate"].mean(), coordinate["coordinate"].std()
    z = (coordinate["state_coordinates"] - middle) / spread
    found = decoder.places_ang(np.c_[z, 0 * z]) - decoder.origin_ang + places[0].mean(0)
    found += (places[0] - found[0]).mean(0)
    missed = missed_ang(found, places)
    assert missed[LAID].max() < 0.5
    assert missed.max() < 2.0 < 8 < missed_ang(places[:1], places)[-1]


def test_a_training_keeps_the_motion_that_it_starts_from_and_puts_right_what_was_laid_wrong(hinge, tmp_path):
    star, places, _ = hinge
    off = places.copy()
    off[:, ARM:, 2] += 4.0
    run = Run.create(tmp_path / "run", settings((star, places, laid_in(tmp_path / "fast", star, off))))
    fit(run, run.config)
    assert "It starts with the motion through 4 maps of" in run.log_file.read_text()
    truth, z = np.load(star.with_name("truth.npz")), run.latents().z
    assert abs(np.corrcoef(z[:, 0], truth["coordinate"])[0, 1]) > 0.98
    decoder = load_model(run.model_file).decoder
    medians = np.stack([np.median(z[truth["state"] == state], axis=0) for state in range(STATES)])
    found = missed_ang(decoder.places_ang(medians), places)
    assert found.max() < 0.5 * missed_ang(off, places).min()


def test_the_elastic_network_has_no_ties_that_the_motion_breaks(hinge):
    _, places, _ = hinge
    restraints = AtomsDecoder.of(settings(hinge), BOX).restraints
    at_rest = restraints_of(beads_of(tiny_ensemble(STATES).states[0]), 0.1, 1.0, 14.0)
    assert 0.8 * len(at_rest.elastic.first) < len(restraints.elastic.first) < len(at_rest.elastic.first)
    opened = torch.from_numpy(places[-1])
    bonds = replace(at_rest, elastic_strength=0.0).energy(opened)
    assert restraints.energy(opened) - bonds < 0.05 * (at_rest.energy(opened) - bonds)


def test_mistakes_are_explained(hinge, tmp_path):
    star, places, run = hinge
    with pytest.raises(ConfigError, match=r"set encoder\.kind to table"):
        AtomsDecoder.of(settings(hinge, **{"encoder.kind": "mlp"}), BOX)
    with pytest.raises(ConfigError, match="starts from a motion that was found; name the run"):
        AtomsDecoder.of(settings(hinge, **{"atoms.start_from": "", "atoms.model": "model.cif"}), BOX)
    with pytest.raises(ConfigError, match="have 2 dimensions; set z_dim to 2"):
        AtomsDecoder.of(settings(hinge, z_dim=1), BOX)
    with pytest.raises(ConfigError, match=r"leave atoms\.model empty"):
        settings(hinge, **{"atoms.model": "model.cif"})
    with pytest.raises(ConfigError, match="lies in a map; set it to map"):
        settings(hinge, **{"atoms.place": "mass"})
    other = laid_in(tmp_path / "other", star, places, mirrored=True)
    with pytest.raises(DataError, match="have the other hand than the model"):
        AtomsDecoder.of(settings(hinge, **{"atoms.start_from": str(other.path)}), BOX)
    bare = Run.create(tmp_path / "bare", run.config)
    with pytest.raises(DataError, match="has no atoms; run"):
        AtomsDecoder.of(settings(hinge, **{"atoms.start_from": str(bare.path)}), BOX)
    table = read_table(star)
    run.note(**{SOURCE: rows_alone(table)})
    assert len(FoundMotion.of_run(str(run.path)).latents_of(table, np.arange(IMAGES))) == IMAGES
    tables = read_star(star)
    write_star(tmp_path / "reordered.star", tables | {"particles": tables["particles"].iloc[::-1]})
    reordered = read_table(tmp_path / "reordered.star")
    with pytest.raises(DataError, match=r"are of other particles: .* lists other images, or the same in another order"):
        FoundMotion.of_run(str(run.path)).latents_of(reordered, np.arange(IMAGES))
