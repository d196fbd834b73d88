"""Beads: what stands for a model's atoms where single atoms are more than images tell of (Zhong's thesis, 7.3.1).

An amino acid is two beads, its backbone at CA and its side chain at the centre of its atoms; glycine is one. A
nucleotide is two, sugar with phosphate, and base. Ligands and ions are a bead per residue. A bead has the electrons of
the heavy atoms that it stands for and that the model has; what is missing in the model is missing in its beads.
"""

from dataclasses import dataclass, replace

import numpy as np

from .atomic_model import PHOSPHATE, AtomicModel, residue_index
from .model_reading import is_amino_acid, is_nucleotide

BACKBONE, SIDE, SUGAR, BASE, LIGAND = "backbone", "side", "sugar", "base", "ligand"
PROTEIN_BACKBONE = ("N", "CA", "C", "O", "OXT")
TRACE = (BACKBONE, SUGAR)
"""Kinds of beads that a chain goes along."""


@dataclass(frozen=True)
class Beads:
    """`n` beads, in the order of the model's residues. All arrays are one entry per bead but `bead_of_atom`."""

    centres_ang: np.ndarray
    """(n, 3) float64. Where they are, x, y, z, in the frame of the model."""
    electrons: np.ndarray
    """(n,) float32. Of the heavy atoms that each stands for."""
    residue: np.ndarray
    """(n,) int. Number of its (first) residue in the order of the model, from 0, without gaps."""
    numbers: np.ndarray
    """(n,) int. What the file calls that residue, within its chain."""
    chains: np.ndarray
    """(n,) str."""
    kinds: np.ndarray
    """(n,) str. backbone, side, sugar, base or ligand."""
    bead_of_atom: np.ndarray
    """(atoms,) int. The bead that stands for each atom of the model."""
    per: str
    """What beads stand for: part, residue or atom."""
    residues: int
    """How many residues in a row share their beads."""

    def __len__(self) -> int:
        return len(self.centres_ang)

    def moved(self, centres_ang: np.ndarray) -> "Beads":
        """The same beads at other places, (n, 3)."""
        return replace(self, centres_ang=np.asarray(centres_ang, dtype=np.float64))

    def trace(self) -> np.ndarray:
        """Indices of the beads that chains go along, in their order: CA of amino acids, sugar and phosphate."""
        return np.flatnonzero(np.isin(self.kinds, TRACE))

    def described(self) -> str:
        """What they are, in words."""
        counts = {kind: int((self.kinds == kind).sum()) for kind in (*TRACE, LIGAND)}
        names = {BACKBONE: "amino acids", SUGAR: "nucleotides", LIGAND: "ligands and ions"}
        parts = [f"{count:,} {names[kind]}" for kind, count in counts.items() if count]
        chains = len(np.unique(self.chains))
        return f"{len(self):,} beads for {', '.join(parts)} in {chains:,} chain{'s' if chains > 1 else ''}"


def beads_of(model: AtomicModel, per: str = "part", residues: int = 1) -> Beads:
    """Beads of a model.

    Parameters
    ----------
    per : "part": backbone and side chain of each residue; "residue": one bead at its CA (at the centre of a
        nucleotide); "atom": every atom.
    residues : how many residues in a row of a chain share their beads; with more than one these are at the centres of
        their atoms. Of ligands, each has its own.
    """
    residue = residue_index(model)
    kinds = _kinds(model, residue)
    if per == "residue":
        kinds = np.where(kinds == SIDE, BACKBONE, np.where(kinds == BASE, SUGAR, kinds))
    group = np.arange(len(model)) if per == "atom" else _grouped(model, residue, kinds, residues)
    _, first, bead = np.unique(group, return_index=True, return_inverse=True)
    weights = model.weights.astype(np.float64)
    electrons = np.bincount(bead, weights)
    centres = np.stack([np.bincount(bead, weights * axis) for axis in model.coords_ang.T], axis=1) / electrons[:, None]
    if residues == 1 and per != "atom":
        alpha = np.flatnonzero((model.names == "CA") & (kinds == BACKBONE))
        centres[bead[alpha]] = model.coords_ang[alpha]
    if per == "atom":
        kinds = np.where((kinds == BACKBONE) & (model.names != "CA"), SIDE, kinds)
        kinds = np.where((kinds == SUGAR) & (model.names != "C1'"), BASE, kinds)
    return Beads(
        centres, electrons.astype(np.float32), residue[first], model.residues[first], model.chains[first], kinds[first],
        bead, per, residues,
    )  # fmt: skip


def _kinds(model: AtomicModel, residue: np.ndarray) -> np.ndarray:
    """(atoms,) str: what each atom is part of, by the names of the residue and of its atoms."""
    count = residue[-1] + 1
    has = {name: np.bincount(residue[model.names == name], minlength=count) > 0 for name in ("N", "CA", "C", "C1'")}
    protein, nucleic = has["N"] & has["CA"] & has["C"], has["C1'"]
    if model.residue_names is None:
        protein |= has["CA"]
    if model.residue_names is not None:
        first = np.unique(residue, return_index=True)[1]
        names, which = np.unique(model.residue_names[first], return_inverse=True)
        protein |= np.array([is_amino_acid(name) for name in names])[which]
        nucleic |= np.array([is_nucleotide(name) for name in names])[which]
    nucleic &= ~protein
    of_sugar = np.char.endswith(model.names, "'") | np.isin(model.names, PHOSPHATE)
    amino = np.where(np.isin(model.names, PROTEIN_BACKBONE), BACKBONE, SIDE)
    nucleotide = np.where(of_sugar, SUGAR, BASE)
    return np.where(protein[residue], amino, np.where(nucleic[residue], nucleotide, LIGAND))


def _grouped(model: AtomicModel, residue: np.ndarray, kinds: np.ndarray, residues: int) -> np.ndarray:
    """(atoms,) int, one number per bead, in the order of the model; `residues` in a row of one chain are together."""
    new_chain = np.r_[False, model.chains[1:] != model.chains[:-1]]
    chain = np.cumsum(new_chain)
    start = residue[np.unique(chain, return_index=True)[1]][chain]
    run = start + (residue - start) // residues * residues
    run = np.where(kinds == LIGAND, residue, run)
    return 5 * run + np.select([kinds == kind for kind in (BACKBONE, SIDE, SUGAR, BASE)], [0, 1, 2, 3], 4)
