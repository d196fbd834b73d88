"""Molecules in the manner of CryoBench (Jeon et al., NeurIPS 2024): two antibodies that move and an assembly.

`turning_arm` is like its IgG-1D, `linked_arm` like IgG-RL, `assembly` like Ribosembly. The antibody is 1IGT where
CryoBench has 1HZH; the assembly is the large subunit that the package carries, in sixteen states of our own with the
numbers of images of theirs.
"""

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.simulate import Ensemble
from cryodrgn_plugin.engine.simulate.embedded import embedded_model
from cryodrgn_plugin.engine.simulate.motions import hinge_rotation

STATES = 100
LIGHT_CHAIN, HEAVY_CHAIN = "A", "B"
"""Of the arm that moves."""
LINKER = (227, 238)
"""Residues of the heavy chain between the arm and the stem."""
TURNING_RESIDUE = 232
"""The arm of `turning_arm` turns about this residue's bond from N to CA, which no clash hinders."""
CLASH_ANG = 4.0
"""Nearest that CA atoms of the arm and of the rest may come."""

BASINS = (((-65.0, 145.0), 0.45), ((-120.0, 130.0), 0.30), ((-65.0, -40.0), 0.20), ((55.0, 45.0), 0.05))
"""(φ, ψ) in degrees of disordered peptides (polyproline II, β, right and left α), and how often each is."""
BASIN_SD_DEG = 15.0

IMAGES_OF_STATES = (
    *(9076, 14378, 23547, 44366, 30647, 38500, 3915, 3980),
    *(12740, 11975, 17988, 5001, 35367, 37448, 40540, 5772),
)
"""Of Ribosembly's sixteen states."""
PARTS = 9
CORE_SHARE = 0.5
"""Share of the mass that all states have; the rest is `PARTS` compact parts, numbered outwards."""
ASSEMBLED = (
    *("", "0", "01", "012", "0123", "01234", "3", "03"),
    *("02", "0124", "01235", "012345", "0123456", "01234567", "012345678", "01234578"),
)
"""Parts that each state has: a main way, with branches on which parts come in another order."""


def turning_arm(data: Path) -> Ensemble:
    """An arm turning through 360° about one bond of its linker, in steps of 3.6°; the coordinate is the angle."""
    model = _antibody(data)
    angles = np.linspace(0, 2 * np.pi, STATES, endpoint=False)
    start, end = (model.coords_ang[_atom(model, TURNING_RESIDUE, name)] for name in _BONDS["phi"])
    arm = beyond_bond(model, TURNING_RESIDUE, "phi")
    return Ensemble(hinge_rotation(model, arm, start, end - start, angles), angles, np.ones(STATES))


def linked_arm(data: Path, seed: int = 0) -> Ensemble:
    """An arm on a linker whose residues have random dihedrals, without clashes; the coordinate is a number only."""
    model, rng, states = _antibody(data), np.random.default_rng(seed), []
    while len(states) < STATES:
        state = with_random_linker(model, rng)
        if not clashes(state):
            states.append(state)
    return Ensemble(states, np.arange(float(STATES)), np.ones(STATES))


def assembly(data: Path | None = None) -> Ensemble:
    """Sixteen states of a large subunit from half its mass to all of it, as uneven as Ribosembly's."""
    ribosome = embedded_model("ribosome")
    subunit = ribosome[ribosome.chains == "50S"]
    part = outward_parts(subunit)
    states = [subunit[(part < 0) | np.isin(part, [int(name) for name in has])] for has in ASSEMBLED]
    labels = tuple(f"core {has}".strip() for has in ASSEMBLED)
    return Ensemble(states, np.arange(float(len(states))), np.array(IMAGES_OF_STATES, float), labels)


MOLECULES = {"igg_1d": turning_arm, "igg_rl": linked_arm, "ribosembly": assembly}


def with_random_linker(model: AtomicModel, rng: np.random.Generator) -> AtomicModel:
    """The model with φ and ψ of every residue of the linker drawn from `BASINS`."""
    places, shares = zip(*BASINS, strict=True)
    for residue in _linker_residues(model):
        basin = places[rng.choice(len(places), p=shares)]
        for kind, centre_deg in zip(("phi", "psi"), basin, strict=True):
            model = with_dihedral(model, residue, kind, np.radians(rng.normal(centre_deg, BASIN_SD_DEG)))
    return model


def with_dihedral(model: AtomicModel, residue: int, kind: str, angle_rad: float) -> AtomicModel:
    """The model with one dihedral of the heavy chain set; what is on the arm's side of the bond moves."""
    start, end = (model.coords_ang[_atom(model, residue, name)] for name in _BONDS[kind])
    # The arm holds the first atom of the dihedral: a right-handed turn of it takes from the angle.
    turn = dihedral_rad(model, residue, kind) - angle_rad
    return hinge_rotation(model, beyond_bond(model, residue, kind), start, end - start, [turn])[0]


_BONDS = {"phi": ("N", "CA"), "psi": ("CA", "C")}


def dihedral_rad(model: AtomicModel, residue: int, kind: str) -> float:
    """φ (C' N CA C) or ψ (N CA C N') of a residue of the heavy chain, in (−π, π]."""
    residues = np.unique(model.residues[model.chains == HEAVY_CHAIN])
    place = int(np.searchsorted(residues, residue))
    before, after = residues[place - 1], residues[place + 1]
    names = {
        "phi": ((before, "C"), (residue, "N"), (residue, "CA"), (residue, "C")),
        "psi": ((residue, "N"), (residue, "CA"), (residue, "C"), (after, "N")),
    }[kind]
    a, b, c, d = (model.coords_ang[_atom(model, *name)] for name in names)
    first, bond, last = b - a, c - b, d - c
    return float(
        np.arctan2(np.linalg.norm(bond) * first @ np.cross(bond, last), np.cross(first, bond) @ np.cross(bond, last))
    )


def beyond_bond(model: AtomicModel, residue: int, kind: str) -> np.ndarray:
    """(n,) mask of the arm's side of a bond: the light chain, the heavy chain before, and of the residue itself what
    hangs on the bond's first atom."""
    heavy = model.chains == HEAVY_CHAIN
    own = heavy & (model.residues == residue)
    own &= model.names == "N" if kind == "phi" else ~np.isin(model.names, ["C", "O"])
    return (model.chains == LIGHT_CHAIN) | (heavy & (model.residues < residue)) | own


def clashes(model: AtomicModel) -> int:
    """How many CA atoms of the arm are too near to one that is neither in the arm nor in the linker."""
    first, last = LINKER
    alpha, heavy = model.names == "CA", model.chains == HEAVY_CHAIN
    arm = (model.chains == LIGHT_CHAIN) | (heavy & (model.residues < first))
    rest = ~arm & ~(heavy & (model.residues <= last))
    near = cKDTree(model.coords_ang[alpha & rest]).query_ball_point(
        model.coords_ang[alpha & arm], CLASH_ANG, return_length=True
    )
    return int(np.count_nonzero(near))


def outward_parts(model: AtomicModel) -> np.ndarray:
    """(n,) number of the part of each atom, −1 in the core.

    The core is the half of the mass that is nearest to one end of the molecule. An atom outside belongs to the nearest
    of `PARTS` seeds, which lie as far apart as they can; parts are numbered by how far their seeds are from that end.
    """
    centred = model.coords_ang - model.centre_ang()
    distance = np.linalg.norm(centred - centred[np.argmin(centred[:, 0])], axis=1)
    order = np.argsort(distance, kind="stable")
    core = np.zeros(len(model), bool)
    core[order[np.cumsum(model.weights[order]) <= CORE_SHARE * model.weights.sum()]] = True
    outside = np.flatnonzero(~core)
    seeds = [outside[np.argmax(distance[outside])]]
    while len(seeds) < PARTS:
        gap = np.min([np.linalg.norm(centred[outside] - centred[seed], axis=1) for seed in seeds], axis=0)
        seeds.append(outside[np.argmax(gap)])
    seeds = sorted(seeds, key=lambda seed: distance[seed])
    part = np.full(len(model), -1)
    part[outside] = cKDTree(centred[seeds]).query(centred[outside])[1]
    return part


def _antibody(data: Path) -> AtomicModel:
    return read_model(data / "models" / "1igt.pdb.gz")


def _linker_residues(model: AtomicModel) -> list[int]:
    residues = np.unique(model.residues[model.chains == HEAVY_CHAIN])
    return [int(residue) for residue in residues if LINKER[0] <= residue <= LINKER[1]]


def _atom(model: AtomicModel, residue: int, name: str) -> int:
    """Index of an atom of the heavy chain."""
    return int(np.flatnonzero(model.select(HEAVY_CHAIN, residue, residue) & (model.names == name))[0])
