"""Species that several searches agree on, from the species that each has put every particle into.

Evidence of pairs (Fred & Jain, IEEE TPAMI 27, 835, 2005) without a matrix of all of them: particles with the same
species in every run are one cell. Cells, the largest first, join the group with which they share a species in more than
half of the runs that know both, in the mean over its particles, or begin one; groups of which the same is true are then
joined, the most alike first. A group is a consensus species where some run has found it: where most of the particles
that are in either the group or one species of that run are in both. All other particles go to the consensus species in
which most of those are that have their species in each run, in the mean over the runs.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

HALF = 0.5
NONE = -1
MOST_CELLS, MOST_GROUPS = 3000, 300
"""Cells from which groups are made, and groups that are compared with each other, the largest ones; the particles of
all others go to the species that they are most like."""


@dataclass(frozen=True)
class RunVotes:
    """What the S species of one run are among C consensus species, on the particles that other runs have too."""

    counts: np.ndarray
    """(S, C) int64. Particles of each that are in each consensus species."""
    totals: np.ndarray
    """(S,) int64. Particles of each."""

    @property
    def vote(self) -> np.ndarray:
        """(S,) int64. The consensus species that most particles of a species are in; NONE where there is none."""
        if not self.counts.shape[1]:
            return np.full(len(self.totals), NONE)
        most = self.counts.argmax(1)
        return np.where(2 * self.counts.max(1) > self.totals, most, NONE)

    @property
    def overlap(self) -> np.ndarray:
        """(S, C) Jaccard index: particles in both as a share of those in either, among the particles of this run."""
        either = self.totals[:, None] + self.counts.sum(0) - self.counts
        return self.counts / np.maximum(either, 1)

    @property
    def partner(self) -> np.ndarray:
        """(C,) int64. The species that is most alike to each consensus species; NONE where it shares no particle."""
        if not len(self.totals):
            return np.full(self.counts.shape[1], NONE)
        return np.where(self.counts.any(0), self.overlap.argmax(0), NONE)

    @property
    def found(self) -> np.ndarray:
        """(C,) bool. Whether the run has found each consensus species; then by one of its species only."""
        return (self.overlap > HALF).any(0)


@dataclass(frozen=True)
class Consensus:
    """C consensus species of N particles in R runs, the largest first."""

    species: np.ndarray
    """(N,) int64 from 0. NONE where no run puts a particle with those of any."""
    agreement: np.ndarray
    """(N,) float64. Share of the pairs of runs whose species of a particle lie mostly in one consensus species; not a
    number where fewer than two runs have it."""
    runs: tuple[RunVotes, ...]
    labels: np.ndarray
    """(R, N) int64. The species that each run has put each particle into, from 0; NONE where it does not have it."""

    @property
    def count(self) -> int:
        return self.runs[0].counts.shape[1]

    @property
    def found(self) -> np.ndarray:
        """(R, C) bool. Which run has found which species."""
        return np.stack([run.found for run in self.runs])

    def agreed(self, least: float) -> np.ndarray:
        """(N,) bool. Particles that two or more runs have which found their species, of which a share of at least
        `least` puts them there."""
        knows, puts = np.zeros(len(self.species)), np.zeros(len(self.species))
        settled = self.species != NONE
        for run, own in zip(self.runs, self.labels, strict=True):
            counts = settled & (own != NONE)
            counts[counts] = run.found[self.species[counts]]
            knows += counts
            counts[counts] = run.vote[own[counts]] == self.species[counts]
            puts += counts
        return (knows >= 2) & (puts >= least * knows - 1e-9)


def consensus(labels: np.ndarray, distinct: np.ndarray) -> Consensus:
    """The species that R runs agree on.

    Parameters
    ----------
    labels : (R, N) int from 0. The species of each particle in each run; NONE where a run does not have it.
    distinct : (N,) bool. Particles that count; others are copies of one of them.
    """
    sizes = [int(own.max(initial=NONE)) + 1 for own in labels]
    cells, of_particle = _cells(labels)
    known = (cells != NONE).sum(1)
    counts = np.bincount(of_particle[distinct], minlength=len(cells))
    told = np.where(known >= 2, counts, 0)  # a particle of one run says nothing of agreement
    assigned, whole = _groups(cells, told, sizes), False
    while True:
        runs = _votes(cells, told, assigned, sizes)
        found = np.any([run.found for run in runs], axis=0)
        if whole and found.all():
            break
        order = np.flatnonzero(found)
        order = order[np.argsort(-np.bincount(assigned[assigned >= 0], told[assigned >= 0], len(found))[order])]
        assigned, whole = _most_alike(cells, [run.counts[:, order] for run in runs]), True
    order = np.argsort(-_particles(assigned, counts, len(found)), kind="stable")
    renamed = np.append(np.argsort(order), NONE)
    runs = tuple(RunVotes(run.counts[:, order], run.totals) for run in runs)
    species, agreement = renamed[assigned], _pairs_that_agree(cells, [run.vote for run in runs])
    return Consensus(species[of_particle], agreement[of_particle], runs, np.asarray(labels, np.int64))


def _cells(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, R) species in each run of the cells, and the cell of each particle, (N,)."""
    code = np.zeros(labels.shape[1], np.int64)
    for own in labels:
        code = np.unique(code * (int(own.max(initial=NONE)) + 2) + own + 1, return_inverse=True)[1].reshape(-1)
    first = np.unique(code, return_index=True)[1]
    return labels[:, first].T.astype(np.int64), code


def _particles(assigned: np.ndarray, counts: np.ndarray, n: int) -> np.ndarray:
    """(n,) particles in each of n groups that cells are assigned to."""
    inside = assigned != NONE
    return np.bincount(assigned[inside], counts[inside], n)


def _votes(cells: np.ndarray, counts: np.ndarray, assigned: np.ndarray, sizes: list[int]) -> list[RunVotes]:
    """Of each run how its species and the groups that cells are assigned to go together."""
    n, runs = int(assigned.max(initial=NONE)) + 1, []
    for own, size in zip(cells.T, sizes, strict=True):
        both, here = np.zeros((size, n), np.int64), own != NONE
        inside = here & (assigned != NONE)
        np.add.at(both, (own[inside], assigned[inside]), counts[inside])
        runs.append(RunVotes(both, np.bincount(own[here], counts[here], size).astype(np.int64)))
    return runs


def _most_alike(cells: np.ndarray, counts: list[np.ndarray]) -> np.ndarray:
    """(M,) the group that the species of each cell are most in, of `counts` (S, C) in each run; NONE if in none."""
    score = np.zeros((len(cells), counts[0].shape[1]))
    if not score.shape[1]:
        return np.full(len(cells), NONE)
    for own, both in zip(cells.T, counts, strict=True):
        share = both / np.maximum(both.sum(1, keepdims=True), 1)
        here = own != NONE
        score[here] += share[own[here]]
    return np.where(score.max(1) > 0, score.argmax(1), NONE)


def _groups(cells: np.ndarray, counts: np.ndarray, sizes: list[int]) -> np.ndarray:
    """(M,) the group of each cell, NONE of those that are too many or too small to begin one."""
    known = (cells != NONE).sum(1)
    order = np.lexsort((-counts, -known))
    order = order[counts[order] > 0][:MOST_CELLS]
    # The species of all runs stand side by side: a cell has one column in each of its runs.
    columns = np.where(cells != NONE, cells + np.concatenate([[0], np.cumsum(sizes)[:-1]]), NONE)
    sums, seen = np.zeros((len(order), sum(sizes))), np.zeros((len(order), cells.shape[1]))
    of_cell, n = np.full(len(cells), NONE), 0
    for cell in order:
        here = np.flatnonzero(columns[cell] != NONE)
        own, common = columns[cell, here], (seen[:n][:, here] > 0).sum(1)
        share = (sums[:n][:, own] / np.maximum(seen[:n][:, here], 1)).sum(1) / np.maximum(common, 1)
        group = int(share.argmax()) if n and share.max() > HALF else n
        n = max(n, group + 1)
        sums[group, own] += counts[cell]
        seen[group, here] += counts[cell]
        of_cell[cell] = group
    return np.append(_joined(sums[:n], seen[:n], sizes), NONE)[of_cell]


def _joined(sums: np.ndarray, seen: np.ndarray, sizes: list[int]) -> np.ndarray:
    """(G,) the number of each group once those are joined that share a species in more than half of the runs.

    Parameters
    ----------
    sums : (G, all species of all runs). Particles of each group in each.
    seen : (G, R). Particles of each group that each run has.
    """
    of_group = np.arange(len(sums))
    largest = np.argsort(-seen.max(1, initial=0), kind="stable")[:MOST_GROUPS]
    sums, seen, alive = sums[largest], seen[largest], list(largest)
    while len(alive) > 1:
        runs = (seen > 0).astype(float)
        share = sums / np.repeat(np.maximum(seen, 1), sizes, axis=1)
        alike = (share @ share.T) / np.maximum(runs @ runs.T, 1)
        np.fill_diagonal(alike, 0)
        keep, gone = sorted(np.unravel_index(alike.argmax(), alike.shape))
        if alike[keep, gone] <= HALF:
            break
        of_group[of_group == alive[gone]] = alive[keep]
        sums[keep] += sums[gone]
        seen[keep] += seen[gone]
        sums, seen = np.delete(sums, gone, 0), np.delete(seen, gone, 0)
        del alive[gone]
    return np.unique(of_group, return_inverse=True)[1].reshape(-1)


def _pairs_that_agree(cells: np.ndarray, votes: list[np.ndarray]) -> np.ndarray:
    """(M,) share of the pairs of runs that have a cell in which both vote for one consensus species."""
    # A vote for none is unlike every other; -2 stands for a run that does not have the cell.
    cast = [np.where(own == NONE, -2, vote[own]) for own, vote in zip(cells.T, votes, strict=True)]
    agree, pairs = np.zeros(len(cells)), np.zeros(len(cells))
    for one, other in combinations(cast, 2):
        pairs += (one != -2) & (other != -2)
        agree += (one == other) & (one >= 0)
    return np.divide(agree, pairs, out=np.full(len(cells), np.nan), where=pairs > 0)
