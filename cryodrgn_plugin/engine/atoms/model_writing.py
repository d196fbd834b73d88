"""Moved models as files: one mmCIF with a model for each place along a motion, the spread of its atoms as B-factors."""

import math
import string
from pathlib import Path

import numpy as np

from ..io.atomic import atomic_path
from .atomic_model import AtomicModel, residue_index
from .beads import BASE, LIGAND, SIDE, SUGAR, Beads

FRAME_RESIDUES = 2
"""How many residues to each side say how a residue is turned."""
_NAMES = {SIDE: "CB", SUGAR: "P", BASE: "N1", LIGAND: "C"}
"""Of beads as atoms; a backbone is CA."""
_PROTEIN, _NUCLEOTIDE, _OTHER = "ALA", "A", "UNL"
_CODES = " " + string.ascii_uppercase + string.ascii_lowercase + string.digits
"""Insertion codes, in the order of residues of one number."""


def write_models(path: Path, model: AtomicModel, coords_ang: np.ndarray, spread_ang: np.ndarray | None = None) -> None:
    """Write places of a model's atoms as the models 1, 2, … of one mmCIF file.

    Parameters
    ----------
    model : names of atoms, residues and chains. Weights are atomic numbers; a bead's, which is none, is written as
        carbon.
    coords_ang : (S, atoms, 3).
    spread_ang : (atoms,) root mean square distance from the mean place, given as the B-factor 8π²/3 · spread².
    """
    import gemmi

    structure = gemmi.Structure()
    structure.name = path.name.split(".")[0]
    factors = np.zeros(len(model)) if spread_ang is None else 8 * math.pi**2 / 3 * np.asarray(spread_ang) ** 2
    for number, places in enumerate(coords_ang, start=1):
        structure.add_model(_gemmi_model(gemmi.Model(number), model, places, factors))
    structure.setup_entities()
    with atomic_path(path) as temporary:
        temporary.write_text(structure.make_mmcif_document().as_string())


def _gemmi_model(into, model: AtomicModel, places: np.ndarray, factors: np.ndarray):
    import gemmi

    names = np.where(model.names == "CA", "UNK", _OTHER) if model.residue_names is None else model.residue_names
    new_chain = np.r_[True, model.chains[1:] != model.chains[:-1]]
    index = residue_index(model)
    new_residue = np.r_[True, index[1:] != index[:-1]]
    codes = _insertion_codes(model, np.flatnonzero(new_residue))
    for i in range(len(model)):
        if new_chain[i]:
            chain = gemmi.Chain(str(model.chains[i]))
            into.add_chain(chain)
            chain = into[len(into) - 1]
        if new_residue[i]:
            residue = gemmi.Residue()
            residue.name, residue.seqid = str(names[i]), gemmi.SeqId(int(model.residues[i]), codes[i])
            residue = chain.add_residue(residue)
        atom = gemmi.Atom()
        atom.name, atom.b_iso = str(model.names[i]), float(factors[i])
        atom.element = _element(float(model.weights[i]), atom.name)
        atom.pos = gemmi.Position(*(float(x) for x in places[i]))
        residue.add_atom(atom)
    return into


def _insertion_codes(model: AtomicModel, starts: np.ndarray) -> dict[int, str]:
    """By the first atom of each residue, what tells residues of one number in a row of a chain apart."""
    codes: dict[int, str] = {}
    before, repeats = (None, None), 0
    for start in starts.tolist():
        name = (model.chains[start], model.residues[start])
        repeats = repeats + 1 if name == before else 0
        codes[start], before = _CODES[min(repeats, len(_CODES) - 1)], name
    return codes


def _element(weight: float, name: str):
    """The element of an atomic number; carbon for a weight that is none of a named atom's."""
    import gemmi

    element = gemmi.Element(round(weight)) if 0 < weight < 119 else gemmi.Element("C")
    return element if element.name[0].upper() in name.upper() else gemmi.Element("C")


def beads_as_atoms(beads: Beads) -> AtomicModel:
    """A model of one pseudo-atom per bead."""
    names = np.array([_NAMES.get(kind, "CA") for kind in beads.kinds])
    nucleic = np.isin(beads.kinds, (SUGAR, BASE))
    residue_names = np.where(nucleic, _NUCLEOTIDE, np.where(beads.kinds == LIGAND, _OTHER, _PROTEIN))
    return AtomicModel(beads.centres_ang, beads.electrons, beads.chains, beads.numbers, names, residue_names)


def moved_atoms(model: AtomicModel, beads: Beads, centres_ang: np.ndarray) -> np.ndarray:
    """Where the atoms of a model are when its beads are elsewhere, (S, atoms, 3).

    An atom goes with its bead, turned as the beads of the residues about it are (by Kabsch's rotation).

    Parameters
    ----------
    centres_ang : (S, n, 3) places of the beads.
    """
    offsets = model.coords_ang - beads.centres_ang[beads.bead_of_atom]
    if beads.per == "atom":
        return np.asarray(centres_ang, dtype=np.float64)[:, beads.bead_of_atom]
    frames = [_about(beads, bead) for bead in range(len(beads))]
    placed = np.empty((len(centres_ang), len(model), 3))
    for state, centres in enumerate(centres_ang):
        turns = np.stack([_turn(beads.centres_ang[near], centres[near]) for near in frames])
        turned = np.einsum("aij,aj->ai", turns[beads.bead_of_atom], offsets)
        placed[state] = centres[beads.bead_of_atom] + turned
    return placed


def _about(beads: Beads, bead: int) -> np.ndarray:
    """Beads of the residues next to that of a bead, in its chain."""
    reach = FRAME_RESIDUES * beads.residues
    near = np.abs(beads.residue - beads.residue[bead]) <= reach
    return np.flatnonzero(near & (beads.chains == beads.chains[bead]))


def _turn(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes (m, 3) places nearest to others; none where three of them do not say."""
    if len(before) < 3:
        return np.eye(3)
    u, sizes, vt = np.linalg.svd((after - after.mean(0)).T @ (before - before.mean(0)))
    if sizes[1] < 1e-3 * sizes[0]:
        return np.eye(3)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
