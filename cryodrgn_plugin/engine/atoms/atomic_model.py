"""Atomic models: where each atom is, what it weighs, and what it is called.

An atom counts in proportion to its atomic number, which is close to its scattering of electrons. A coarse model, one
pseudo-atom per residue or nucleotide, carries the weight of what it stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..errors import DataError


@dataclass(frozen=True)
class AtomicModel:
    """`n` atoms. All arrays are one entry per atom and are not changed in place."""

    coords_ang: np.ndarray
    """(n, 3) float64. Positions (x, y, z)."""
    weights: np.ndarray
    """(n,) float32. Scattering weight: the atomic number, or the sum over the atoms that a pseudo-atom stands for."""
    chains: np.ndarray
    """(n,) str. Chain, or the name of the subunit for a coarse model."""
    residues: np.ndarray
    """(n,) int. Residue number within its chain."""
    names: np.ndarray
    """(n,) str. Atom name within its residue, such as CA."""
    residue_names: np.ndarray | None = None
    """(n,) str. Name of the atom's residue, such as ALA; None where nobody knows it."""

    def __post_init__(self) -> None:
        if len(self.coords_ang) == 0:
            raise DataError("The atomic model has no atoms.")
        if not np.isfinite(self.coords_ang).all():
            raise DataError("The atomic model has a coordinate that is not a number.")

    def __len__(self) -> int:
        return len(self.coords_ang)

    def __getitem__(self, index: np.ndarray) -> "AtomicModel":
        """The atoms of an index array or mask."""
        columns = (getattr(self, field.name) for field in fields(self))
        return AtomicModel(*(None if column is None else column[index] for column in columns))

    def moved(self, coords_ang: np.ndarray) -> "AtomicModel":
        """The same atoms at other positions, (n, 3)."""
        return replace(self, coords_ang=np.asarray(coords_ang, dtype=np.float64))

    def renamed(self, chain: str) -> "AtomicModel":
        """The same atoms as one chain of this name."""
        return replace(self, chains=np.full(len(self), chain))

    def centre_ang(self) -> np.ndarray:
        """(3,) centre of scattering weight."""
        return np.average(self.coords_ang, axis=0, weights=self.weights)

    def select(self, chain: str | None = None, first: int | None = None, last: int | None = None) -> np.ndarray:
        """(n,) mask of a chain and an inclusive range of residue numbers; whatever is not given does not restrict."""
        mask = np.ones(len(self), dtype=bool)
        if chain is not None:
            mask &= self.chains == chain
        if first is not None:
            mask &= self.residues >= first
        if last is not None:
            mask &= self.residues <= last
        return mask


def bare_model(coords_ang: np.ndarray, weights: np.ndarray | None = None) -> AtomicModel:
    """A model of unnamed pseudo-atoms at (n, 3) positions, numbered along one chain; weights default to 1."""
    n = len(coords_ang)
    return AtomicModel(
        np.asarray(coords_ang, dtype=np.float64),
        np.ones(n, dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32),
        np.full(n, "A"),
        np.arange(1, n + 1),
        np.full(n, "CA"),
    )


def joined(models: Sequence[AtomicModel]) -> AtomicModel:
    """All atoms of several models as one; names of residues where all of them have any."""
    columns = ([getattr(model, field.name) for model in models] for field in fields(AtomicModel))
    return AtomicModel(*(None if any(c is None for c in column) else np.concatenate(column) for column in columns))


def matched(first: AtomicModel, second: AtomicModel) -> tuple[AtomicModel, AtomicModel]:
    """The atoms that both models have, by chain, residue number and atom name, in the order of the first.

    Chain names are ignored when each model has a single chain, since depositions of one protein often name it
    differently. Raises DataError when fewer than three atoms are shared.
    """
    by_chain = len(set(first.chains)) > 1 or len(set(second.chains)) > 1
    index_in_second = {key: i for i, key in enumerate(_keys(second, by_chain))}
    pairs = [(i, index_in_second[key]) for i, key in enumerate(_keys(first, by_chain)) if key in index_in_second]
    if len(pairs) < 3:
        raise DataError(
            f"The two models share {len(pairs)} atoms by chain, residue number and name; "
            "give two models of the same molecule."
        )
    index = np.array(pairs)
    return first[index[:, 0]], second[index[:, 1]]


def coarse(model: AtomicModel) -> AtomicModel:
    """One pseudo-atom per residue, and two per nucleotide (backbone BB, base NB), each at the centre of its atoms."""
    residue = residue_index(model)
    sugar = np.char.endswith(model.names, "'")
    nucleic = np.isin(residue, residue[sugar])
    backbone = sugar | np.isin(model.names, PHOSPHATE)
    part = np.where(nucleic, np.where(backbone, 1, 2), 0)
    _, first, group = np.unique(3 * residue + part, return_index=True, return_inverse=True)
    weights = np.bincount(group, model.weights)
    coords = np.stack([np.bincount(group, model.weights * axis) for axis in model.coords_ang.T], axis=1)
    names = np.array(["CA", "BB", "NB"])[part[first]]
    return AtomicModel(
        coords / weights[:, None], weights.astype(np.float32), model.chains[first], model.residues[first], names
    )


PHOSPHATE = ["P", "OP1", "OP2", "OP3", "O1P", "O2P", "O3P"]


def residue_index(model: AtomicModel) -> np.ndarray:
    """(n,) number of each atom's residue in the order of the file.

    A name that comes again starts another residue: with insertion codes several residues in a row have one number.
    """
    index, last = np.empty(len(model), dtype=int), None
    names_so_far: set[str] = set()
    count = -1
    for i, (chain, residue, name) in enumerate(_keys(model, by_chain=True)):
        if (chain, residue) != last or name in names_so_far:
            count, last, names_so_far = count + 1, (chain, residue), set()
        names_so_far.add(name)
        index[i] = count
    return index


def _keys(model: AtomicModel, by_chain: bool) -> list[tuple]:
    chains = model.chains if by_chain else np.full(len(model), "")
    return list(zip(chains.tolist(), model.residues.tolist(), model.names.tolist(), strict=True))
