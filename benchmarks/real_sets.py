"""Make the sets that are as hard as published ones, each with its truth and its twin in which nothing varies.

    python benchmarks/real_sets.py --out SETS --data DATA                        all of them, 10,000 x 64², SNR 0.05
    python benchmarks/real_sets.py --out SETS --only real_ribosome --box 80      without DATA: from models that ship
    python benchmarks/real_sets.py --out SETS --data DATA --only antibody --snr 0.02 --one-state

Views, noise, contrast and wrong poses are those of the real_ presets; `--set name=value` changes any setting of
`simulate`. DATA holds models/ with the depositions 1WCM (RNA polymerase II), 1oel (GroEL) and 1igt (an antibody).

Methods are tuned on the first group and reported on the second, which nobody looks at while tuning:

    real_ribosome       tuned     six states of a 50S that lack parts of 1 to 12 % of its mass
    real_complex_parts  tuned     six states of a complex of eight proteins that lack one or two
    real_adk            tuned     adenylate kinase closing, continuous
    pol2_parts          reported  six states of RNA polymerase II that lack Rpb4/7, Rpb5, Rpb8 or Rpb9
    groel_rings         reported  GroEL: two rings, one of them open, one subunit short, and a single ring
    antibody            reported  one arm of an antibody turning through 60°, continuous
    real_spike          reported  the spike opening, continuous
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel, coarse, joined
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.config import build
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.assembly import AssemblyState, assembled
from cryodrgn_plugin.engine.simulate.motions import hinge_rotation, likely_hinge
from cryodrgn_plugin.engine.simulate.presets import PRESETS, Preset
from cryodrgn_plugin.engine.simulate.reality import REALITY

TUNED_ON = ("real_ribosome", "real_complex_parts", "real_adk")
REPORTED_ON = ("pol2_parts", "groel_rings", "antibody", "real_spike")
ONE_STATE = "_one_state"
"""Ends the name of a twin."""
STATES = 50
"""Along a motion."""

POL2_STATES = (("", 0.28), ("DG", 0.20), ("I", 0.17), ("E", 0.14), ("H", 0.12), ("DGI", 0.09))
GROEL_POPULATIONS = (0.35, 0.25, 0.25, 0.15)
APICAL_DOMAIN = (191, 376)
APICAL_TURN_DEG = 35.0
RING_CONTACT_ANG = 5.0
"""Nearest approach of residues of the two rings."""
ARM_ENDS_AT = 230
"""Last residue of the heavy chain that moves with the arm."""
ARM_TURN_DEG = 60.0


def polymerase(data: Path) -> Ensemble:
    """RNA polymerase II (1WCM) without one of its outer subunits, or two or three; parts of 3 to 12 % of the mass."""
    model = coarse(read_model(data / "models" / "1WCM.pdb.gz"))
    subunits = {chain: model.chains == chain for chain in "DEGHI"}
    return assembled(model, subunits, [AssemblyState(*state) for state in POL2_STATES])


def groel(data: Path) -> Ensemble:
    """GroEL from the ring of seven in 1oel: two rings back to back, the same with the apical domains of one turned
    up, the same without one subunit of one, and a single ring."""
    ring = _upright(coarse(read_model(data / "models" / "1oel.pdb.gz")))
    other = _back_to_back(ring)
    states = [
        joined([ring, other]),
        joined([_opened(ring), other]),
        joined([ring[ring.chains != "A"], other]),
        ring,
    ]
    labels = ("two rings", "one of them open", "one subunit short", "single ring")
    return Ensemble(states, np.arange(4.0), np.array(GROEL_POPULATIONS), labels)


def antibody(data: Path, states: int = STATES) -> Ensemble:
    """The antibody of 1igt with the arm of chains A and B turning about its hinge; the coordinate is the angle."""
    model = coarse(read_model(data / "models" / "1igt.pdb.gz"))
    model = model[np.isin(model.chains, list("ABCD"))]
    arm = (model.chains == "A") | ((model.chains == "B") & (model.residues <= ARM_ENDS_AT))
    point, axis = likely_hinge(model.coords_ang[arm], model.coords_ang[~arm])
    angles = np.radians(np.linspace(0, ARM_TURN_DEG, states))
    return Ensemble(hinge_rotation(model, arm, point, axis, angles), angles, np.ones(states))


MOLECULES: dict[str, tuple[Callable[[Path], Ensemble], float]] = {
    "pol2_parts": (polymerase, 230.4),
    "groel_rings": (groel, 256.0),
    "antibody": (antibody, 217.6),
}
"""Of the sets that need DATA: what makes the ensemble, and the edge of the box in angstrom."""


def _upright(ring: AtomicModel) -> AtomicModel:
    """The ring about the z axis, apical domains up and the side of the other ring down."""
    centres = np.stack([ring.coords_ang[ring.chains == chain].mean(axis=0) for chain in np.unique(ring.chains)])
    coords = ring.coords_ang - centres.mean(axis=0)
    axis = np.linalg.svd(centres - centres.mean(axis=0))[2][2]
    apical = ring.select(None, *APICAL_DOMAIN)
    if (coords[apical].mean(axis=0) - coords[~apical].mean(axis=0)) @ axis < 0:
        axis = -axis
    rotation, _ = Rotation.align_vectors([[0, 0, 1]], [axis])
    return ring.moved(rotation.apply(coords))


def _back_to_back(ring: AtomicModel) -> AtomicModel:
    """The ring turned over about the x axis and moved below the first, as near as residues allow."""
    from scipy.spatial import cKDTree

    turned, tree = ring.coords_ang * [1, -1, -1], cKDTree(ring.coords_ang)
    drops = np.arange(0.0, 200.0, 1.0)
    apart = [tree.query(turned - [0, 0, drop])[0].min() for drop in drops]
    touching = drops[np.flatnonzero(np.array(apart) < RING_CONTACT_ANG)[-1] + 1]
    names = np.char.lower(ring.chains)
    return AtomicModel(turned - [0, 0, touching], ring.weights, names, ring.residues, ring.names)


def _opened(ring: AtomicModel) -> AtomicModel:
    """The ring with every apical domain turned up and outward about its own hinge."""
    opened = ring
    for chain in np.unique(ring.chains):
        domain, rest = ring.select(chain, *APICAL_DOMAIN), ring.chains == chain
        rest &= ~domain
        outward = ring.coords_ang[domain].mean(axis=0) * [1, 1, 0]
        axis = np.cross([0, 0, 1], outward)
        point = likely_hinge(ring.coords_ang[domain], ring.coords_ang[rest])[0]
        opened = hinge_rotation(opened, domain, point, axis, [np.radians(APICAL_TURN_DEG)])[0]
    return opened


def preset_of(name: str, data: Path | None) -> Preset:
    """The molecule of a set with what makes its images real; raises SystemExit where it needs data and has none."""
    if name in PRESETS:
        return PRESETS[name]
    if data is None:
        raise SystemExit(f"{name} is made from a deposited model; give the folder with models/ as --data.")
    make, box_ang = MOLECULES[name]
    return Preset(name, lambda states: make(data), box_ang, REALITY)


def make_set(preset: Preset, folder: Path, box: int, seed: int, one_state: bool, asked: dict[str, Any]) -> Path:
    """One set; returns its star file. `asked` are settings of `simulate` in words."""
    config = build(SimulationConfig, asked)
    config = preset.config(box, **{name: getattr(config, name) for name in asked})
    ensemble = preset.make(STATES)
    return simulate_particles(ensemble.most_populated() if one_state else ensemble, config, folder, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, one sub-folder each")
    parser.add_argument("--data", type=Path, help="folder with models/")
    parser.add_argument("--only", nargs="+", choices=TUNED_ON + REPORTED_ON, default=TUNED_ON + REPORTED_ON)
    parser.add_argument("--particles", type=int, default=10_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--snr", type=float, default=REALITY["snr"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-state", action="store_true", help="make the twins in which nothing varies instead")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings of simulate")
    args = parser.parse_args()
    asked: dict[str, Any] = dict(pair.split("=", 1) for pair in args.set)
    asked |= {"n_particles": args.particles, "snr": args.snr}
    for name in args.only:
        start = time.perf_counter()
        folder = args.out / (name + ONE_STATE if args.one_state else name)
        make_set(preset_of(name, args.data), folder, args.box, args.seed, args.one_state, asked)
        seconds = time.perf_counter() - start
        print(f"{folder.name}: {args.particles:,} x {args.box}² in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
