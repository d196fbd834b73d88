"""What keeps beads together: energies that are added to the misfit of an image (Zhong's thesis, eq. 7.3).

    E(μ) = Σ_bonds k (|μ_i − μ_j| − l)²  +  Σ_sides k max(|μ_i − μ_j| − l, 0)²
         + Σ_elastic k' (|μ_i − μ_j| − l)²  +  Σ_steric k' max(l − |μ_i − μ_j|, 0)²

Bonds join backbones of consecutive residues of a chain, at 3.8 Å, or at the length that nucleotides have in the
reference; across a gap there is none. A side chain may lie as far from its backbone as any does in the
reference. The elastic network keeps whatever is near in the reference at its distance there, and the steric term keeps
apart what is not bonded.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .beads import BACKBONE, SIDE, SUGAR, Beads

PEPTIDE_ANG = 3.8
"""Between CA of consecutive amino acids."""
LONGEST_STEP_ANG = 25.0
"""Consecutive numbers that lie farther apart than this in the reference are no neighbours."""
TOUCHING_ANG = 4.2
"""CA that are nearer belong to neighbours."""
BENDS_ANG = 1.0
"""Ties of the elastic network whose length varies by more along a motion that was found are no part of it."""
COVALENT_ANG = 2.1
"""Atoms of the same or of consecutive residues that lie nearer are bonded, where each atom is a bead."""


class Pairs(NamedTuple):
    """Pairs of beads with a length each: (m,) int64, (m,) int64, (m,) float32 in Å."""

    first: Tensor
    second: Tensor
    length_ang: Tensor

    @classmethod
    def of(cls, pairs: np.ndarray, length_ang: np.ndarray) -> "Pairs":
        first, second = torch.from_numpy(np.ascontiguousarray(pairs.reshape(-1, 2).T.astype(np.int64)))
        return cls(first, second, torch.from_numpy(np.asarray(length_ang, dtype=np.float32)))

    def excess(self, centres_ang: Tensor) -> Tensor:
        """|μ_i − μ_j| − l of (…, n, 3) centres, (…, m)."""
        apart = centres_ang[..., self.first, :] - centres_ang[..., self.second, :]
        # The small square keeps the gradient finite where two beads are at one place.
        return (apart.square().sum(-1) + 1e-12).sqrt() - self.length_ang.to(apart)


@dataclass(frozen=True)
class Restraints:
    """Restraints of beads, with their strengths k in 1/Å²."""

    bonds: Pairs
    sides: Pairs
    elastic: Pairs
    strength: float
    elastic_strength: float
    steric_strength: float
    steric_ang: float

    def along(self, places_ang: np.ndarray) -> "Restraints":
        """With an elastic network of what keeps its distance along a motion through (M, n, 3) places, at its mean."""
        first, second = (beads.numpy() for beads in self.elastic[:2])
        lengths = np.linalg.norm(places_ang[:, first] - places_ang[:, second], axis=2)
        kept = np.ptp(lengths, axis=0) < BENDS_ANG
        elastic = Pairs.of(np.stack([first, second], axis=1)[kept], lengths.mean(axis=0)[kept])
        return replace(self, elastic=elastic)

    def energy(self, centres_ang: Tensor) -> Tensor:
        """E of (…, n, 3) centres in Å, (…,). Differentiable."""
        energy = self.strength * self.bonds.excess(centres_ang).square().sum(-1)
        energy = energy + self.strength * self.sides.excess(centres_ang).clamp(min=0).square().sum(-1)
        if self.elastic_strength:
            energy = energy + self.elastic_strength * self.elastic.excess(centres_ang).square().sum(-1)
        if self.steric_strength:
            energy = energy + self.steric_strength * self._overlap(centres_ang)
        return energy

    def _overlap(self, centres_ang: Tensor) -> Tensor:
        """Σ max(l − d, 0)² over pairs that are not bonded, of (…, n, 3) centres, (…,). Each has its own neighbours."""
        flat = centres_ang.reshape(-1, *centres_ang.shape[-2:])
        sums = [self._near(one).excess(one).clamp(max=0).square().sum() for one in flat]
        return torch.stack(sums).reshape(centres_ang.shape[:-2])

    def _near(self, centres_ang: Tensor) -> Pairs:
        pairs = _within(centres_ang.detach().cpu().numpy(), self.steric_ang)
        pairs = _without(pairs, len(centres_ang), self.bonds, self.sides)
        return Pairs.of(pairs, np.full(len(pairs), self.steric_ang))


def restraints_of(
    beads: Beads,
    strength: float = 0.1,
    elastic_strength: float = 0.0,
    elastic_ang: float = 8.0,
    steric_strength: float = 0.0,
    steric_ang: float = 3.5,
) -> Restraints:
    """Restraints of beads whose places are the reference.

    Parameters
    ----------
    strength : k of bonds and side chains, 1/Å². The thesis has 0.1.
    elastic_strength, elastic_ang : k of the elastic network, and how near in the reference its pairs are.
    steric_strength, steric_ang : k of the steric term, and how near is too near.
    """
    bonds, sides = _bonds(beads), _sides(beads)
    near = _within(beads.centres_ang, elastic_ang) if elastic_strength else np.empty((0, 2), dtype=np.int64)
    near = _without(near, len(beads), bonds, sides)
    elastic = Pairs.of(near, _distances(beads, near))
    return Restraints(bonds, sides, elastic, strength, elastic_strength, steric_strength, steric_ang)


def chain_steps(beads: Beads) -> np.ndarray:
    """(m, 2) int: beads of the trace that follow each other in a chain without a gap.

    Some schemes of numbering, of antibodies for one, leave out numbers where there is no gap: amino acids whose CA are
    as near as neighbours' are follow each other whatever their numbers.
    """
    trace = beads.trace()
    first, second = trace[:-1], trace[1:]
    step = beads.numbers[second] - beads.numbers[first]
    together = (beads.chains[first] == beads.chains[second]) & (beads.kinds[first] == beads.kinds[second])
    apart = _distances(beads, np.stack([first, second], axis=1))
    numbered = (step >= 0) & (step <= beads.residues) & (apart < LONGEST_STEP_ANG * beads.residues)
    touching = (beads.kinds[first] == BACKBONE) & (apart < TOUCHING_ANG)
    return np.stack([first, second], axis=1)[together & (numbered | touching)]


def _bonds(beads: Beads) -> Pairs:
    if beads.per == "atom":
        return _covalent(beads)
    pairs = chain_steps(beads)
    lengths = _distances(beads, pairs)
    peptide = beads.kinds[pairs[:, 0]] == BACKBONE
    if beads.residues == 1:
        lengths = np.where(peptide, PEPTIDE_ANG, lengths)
    return Pairs.of(pairs, lengths)


def _covalent(beads: Beads) -> Pairs:
    near = _within(beads.centres_ang, COVALENT_ANG)
    same_chain = beads.chains[near[:, 0]] == beads.chains[near[:, 1]]
    near = near[same_chain & (np.abs(beads.residue[near[:, 0]] - beads.residue[near[:, 1]]) <= 1)]
    return Pairs.of(near, _distances(beads, near))


def _sides(beads: Beads) -> Pairs:
    """A bead of each residue that is not of the trace with the one that is; one length for each kind."""
    of_trace = np.full(beads.residue.max() + 1, -1)
    trace = beads.trace()
    of_trace[beads.residue[trace]] = trace
    side = np.flatnonzero(~np.isin(beads.kinds, (BACKBONE, SUGAR)) & (of_trace[beads.residue] >= 0))
    pairs = np.stack([of_trace[beads.residue[side]], side], axis=1)
    if beads.per == "atom":
        pairs = pairs[:0]
    lengths = _distances(beads, pairs)
    is_side = beads.kinds[pairs[:, 1]] == SIDE
    for kind in (is_side, ~is_side):
        if kind.any():
            lengths[kind] = lengths[kind].max()
    return Pairs.of(pairs, lengths)


def _within(centres_ang: np.ndarray, distance_ang: float) -> np.ndarray:
    """(m, 2) pairs i < j nearer than a distance, in order."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(centres_ang).query_pairs(distance_ang, output_type="ndarray").astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _distances(beads: Beads, pairs: np.ndarray) -> np.ndarray:
    return np.linalg.norm(beads.centres_ang[pairs[:, 0]] - beads.centres_ang[pairs[:, 1]], axis=1)


def _without(pairs: np.ndarray, count: int, *joined: Pairs) -> np.ndarray:
    """The pairs i < j of `count` beads that none of `joined` joins."""
    keys = [torch.minimum(p.first, p.second) * count + torch.maximum(p.first, p.second) for p in joined]
    return pairs[~np.isin(pairs[:, 0] * count + pairs[:, 1], torch.cat(keys).numpy())]
