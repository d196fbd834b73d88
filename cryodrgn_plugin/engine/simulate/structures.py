"""Atomic models from files: PDB and mmCIF through gemmi, MMTF through `mmtf`. Hydrogens and waters are left out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import WHY, understood
from .atoms import AtomicModel


def read_model(path: str | Path) -> AtomicModel:
    """The first model of a structure file (.pdb, .ent, .cif, .mmcif, .mmtf, also .gz): heavy atoms, alternate location
    A or none.

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
    structure.remove_alternative_conformations()
    structure.remove_empty_chains()
    return _from_gemmi(structure[0], path)


def _from_gemmi(model, path: Path) -> AtomicModel:
    rows = [
        (atom.pos.tolist(), number, chain.name, residue.seqid.num, atom.name)
        for chain in model
        for residue in chain
        for atom, number in _heavy_atoms(residue)
    ]
    if not rows:
        raise DataError(f"{path} has no heavy atoms.")
    coords, weights, chains, residues, names = zip(*rows, strict=True)
    return AtomicModel(
        np.array(coords), np.array(weights, dtype=np.float32), np.array(chains), np.array(residues), np.array(names)
    )


def _heavy_atoms(residue) -> Iterator[tuple]:
    """The residue's atoms other than hydrogen, each with its atomic number.

    Files from simulation programs leave the element out, and CA may then be read as calcium: in an amino acid or a
    nucleotide the first letter of the name is the element (selenium, SE, apart).
    """
    from gemmi import Element

    names = {atom.name for atom in residue}
    polymer = {"N", "CA", "C"} <= names or "C1'" in names
    for atom in residue:
        element = Element(atom.name.lstrip("0123456789")[:1]) if polymer and atom.name != "SE" else atom.element
        if element.atomic_number > 1:
            yield atom, element.atomic_number
