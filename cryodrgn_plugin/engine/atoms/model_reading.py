"""Atomic models from files: PDB and mmCIF through gemmi, MMTF through `mmtf`. Hydrogens and waters are left out."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import WHY, understood
from .atomic_model import AtomicModel


def read_model(path: str | Path) -> AtomicModel:
    """The first model of a structure file (.pdb, .ent, .cif, .mmcif, .mmtf, also .gz): its heavy atoms. Of alternate
    conformations each residue has the one of the highest occupancy, the first of several alike (of MMTF files: A).

    Raises DataError when the file is absent, is no structure or has no heavy atoms.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model {path}.")
    if ".mmtf" in path.suffixes:
        from .mmtf import read_mmtf

        return read_mmtf(path)
    with understood(f"{path} cannot be read as an atomic model ({WHY}); give a PDB, mmCIF or MMTF file."):
        return _read(path)


def _read(path: Path) -> AtomicModel:
    import gemmi

    structure = gemmi.read_structure(str(path))
    if len(structure) == 0:
        raise DataError(f"{path} holds no atomic model; give a PDB, mmCIF or MMTF file.")
    structure.remove_waters()
    structure.remove_empty_chains()
    return _from_gemmi(structure[0], path)


def _from_gemmi(model, path: Path) -> AtomicModel:
    rows = [
        (atom.pos.tolist(), number, chain.name, residue.seqid.num, atom.name, residue.name)
        for chain in model
        for residue in _likeliest_residues(chain)
        for atom, number in _heavy_atoms(residue)
    ]
    if not rows:
        raise DataError(f"{path} has no heavy atoms.")
    coords, weights, *columns = zip(*rows, strict=True)
    return AtomicModel(np.array(coords), np.array(weights, dtype=np.float32), *(np.array(c) for c in columns))


def _likeliest_residues(chain) -> Iterator:
    """The residues of a chain; where two kinds are conformations of one place, the one that is there more often."""
    for _, group in groupby(chain, key=lambda residue: str(residue.seqid)):
        there = list(group)
        if all(atom.altloc != "\0" for residue in there for atom in residue):
            there = [max(there, key=lambda residue: np.mean([atom.occ for atom in residue]))]
        yield from there


def _heavy_atoms(residue) -> Iterator[tuple]:
    """The residue's atoms other than hydrogen in its likeliest conformation, each with its atomic number.

    Files from simulation programs leave the element out, and CA may then be read as calcium: in an amino acid or a
    nucleotide the first letter of the name is the element (selenium, SE, apart).
    """
    from gemmi import Element

    names = {atom.name for atom in residue}
    polymer = {"N", "CA", "C"} <= names or "C1'" in names or is_amino_acid(residue.name)
    for atom in _likeliest_conformation(residue):
        element = Element(atom.name.lstrip("0123456789")[:1]) if polymer and atom.name != "SE" else atom.element
        if element.atomic_number > 1:
            yield atom, element.atomic_number


def _likeliest_conformation(residue) -> list:
    """One atom of each name, in the order of the file: of the conformation with the highest mean occupancy, and what
    that one lacks from the others."""
    occupancies: dict[str, list[float]] = {}
    for atom in residue:
        occupancies.setdefault(atom.altloc, []).append(atom.occ)
    named = {label: np.mean(values) for label, values in occupancies.items() if label != "\0"}
    chosen = max(named, key=lambda label: named[label]) if named else "\0"
    kept: dict[str, object] = {}
    for atom in residue:
        if atom.name not in kept or atom.altloc == chosen:
            kept[atom.name] = atom
    return list(kept.values())


def is_amino_acid(residue_name: str) -> bool:
    """Whether a residue of this name is an amino acid that gemmi knows."""
    from gemmi import find_tabulated_residue

    return find_tabulated_residue(residue_name).is_amino_acid()


def is_nucleotide(residue_name: str) -> bool:
    """Whether a residue of this name is a nucleotide that gemmi knows."""
    from gemmi import find_tabulated_residue

    return find_tabulated_residue(residue_name).is_nucleic_acid()
