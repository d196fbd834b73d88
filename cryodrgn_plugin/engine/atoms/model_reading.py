"""Atomic models from files: PDB and mmCIF through gemmi, MMTF through `mmtf`. Hydrogens and waters are left out."""

import gzip
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.reading import WHY, understood
from .atomic_model import AtomicModel

FARTHEST_ANG = 1e4
"""From the middle of a model to an atom of it, at most: ten times the size of the largest particles."""
COLUMNS = ((30, 38), (38, 46), (46, 54))
"""Of x, y and z in a line of a PDB file."""


def read_model(path: str | Path) -> AtomicModel:
    """The first model of a structure file (.pdb, .ent, .cif, .mmcif, .mmtf, also .gz): its heavy atoms. Of alternate
    conformations each residue has the one of the highest occupancy, the first of several alike (of MMTF files: A).

    Raises DataError when the file is absent, is no structure or has no heavy atoms, and for coordinates that cannot be
    meant.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model {path}.")
    if ".mmtf" in path.suffixes:
        from .mmtf import read_mmtf

        model = read_mmtf(path)
        _require_places(model, path)
        return model
    with understood(f"{path} cannot be read as an atomic model ({WHY}); give a PDB, mmCIF or MMTF file."):
        return _read(path)


def _read(path: Path) -> AtomicModel:
    import gemmi

    structure = gemmi.read_structure(str(path))
    if len(structure) == 0:
        raise DataError(f"{path} holds no atomic model; give a PDB, mmCIF or MMTF file.")
    if structure.input_format == gemmi.CoorFormat.Pdb:
        _require_columns(path)
    structure.remove_waters()
    structure.remove_empty_chains()
    model = _from_gemmi(structure[0], path)
    _require_places(model, path)
    return model


def _from_gemmi(model, path: Path) -> AtomicModel:
    rows = [
        (atom.pos.tolist(), number, chain.name, residue.seqid.num, atom.name, residue.name)
        for chain in model
        for residue in _likeliest_residues(chain)
        for atom, number in _heavy_atoms(residue)
    ]
    if not rows:
        raise DataError(f"{path} has no heavy atoms but water's; give the atomic model of a molecule.")
    coords, weights, *columns = zip(*rows, strict=True)
    places = np.array(coords, dtype=np.float64)
    lost = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(lost):
        raise DataError(f"{path} has a coordinate that is not a number, of {_named(rows[lost[0]])}; mend or remove it.")
    return AtomicModel(places, np.array(weights, dtype=np.float32), *(np.array(c) for c in columns))


def _named(row: tuple) -> str:
    """An atom in words, of a row of `_from_gemmi`."""
    _, _, chain, number, name, residue = row
    return f"atom {name} of {residue} {number} in chain {chain}"


def _require_columns(path: Path) -> None:
    """Raise DataError where a coordinate of a PDB file is no number: gemmi takes it for 0, and a number that is too
    long for its columns for another."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.startswith(("ATOM", "HETATM")):
                continue
            for start, end in COLUMNS:
                try:
                    float(line[start:end])
                except ValueError:
                    raise DataError(
                        f"{path} has {line[start:end].strip() or 'nothing'} for a coordinate in line {number}; mend "
                        "that line, or give the model as mmCIF."
                    ) from None


def _require_places(model: AtomicModel, path: Path) -> None:
    """Raise DataError where an atom is absurdly far from the others."""
    away = np.linalg.norm(model.coords_ang - np.median(model.coords_ang, axis=0), axis=1)
    worst = int(np.argmax(away))
    if away[worst] > FARTHEST_ANG:
        row = (None, None, model.chains[worst], model.residues[worst], model.names[worst], model.residue_names[worst])
        raise DataError(
            f"{path} has {_named(row)} {away[worst]:,.6g} Å from the middle of the model; mend its coordinates, or "
            "remove it."
        )


def _likeliest_residues(chain) -> Iterator:
    """The residues of a chain; where two kinds are conformations of one place, the one that is there more often."""
    for _, group in groupby(chain, key=lambda residue: str(residue.seqid)):
        there = list(group)
        if all(atom.altloc != "\0" for residue in there for atom in residue):
            there = [max(there, key=lambda residue: np.mean([_occupancy(atom) for atom in residue]))]
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
        occupancies.setdefault(atom.altloc, []).append(_occupancy(atom))
    named = {label: np.mean(values) for label, values in occupancies.items() if label != "\0"}
    chosen = max(named, key=lambda label: named[label]) if named else "\0"
    kept: dict[str, object] = {}
    for atom in residue:
        if atom.name not in kept or atom.altloc == chosen:
            kept[atom.name] = atom
    return list(kept.values())


def _occupancy(atom) -> float:
    """0 where the file has no number."""
    return float(np.nan_to_num(atom.occ, nan=0.0))


def is_amino_acid(residue_name: str) -> bool:
    """Whether a residue of this name is an amino acid that gemmi knows."""
    from gemmi import find_tabulated_residue

    return find_tabulated_residue(residue_name).is_amino_acid()


def is_nucleotide(residue_name: str) -> bool:
    """Whether a residue of this name is a nucleotide that gemmi knows."""
    from gemmi import find_tabulated_residue

    return find_tabulated_residue(residue_name).is_nucleic_acid()
