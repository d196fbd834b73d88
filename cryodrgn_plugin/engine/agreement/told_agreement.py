"""One species that several runs agree on, the table of them all, and what to say of runs that divide them otherwise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import adjusted_rand_score

from .consensus_species import HALF, NONE, Consensus
from .maps_in_one_frame import MapsInOneFrame

LEAST_PART = 0.05
"""Share of a consensus species from which another species of a run is a part of it that is told."""


@dataclass(frozen=True)
class AgreedSpecies:
    """One consensus species. Runs and species of runs are counted from 0, but for `number`."""

    number: int
    """From 1, as in particle files."""
    particles: int
    compared: int
    """Those that two or more runs have."""
    agreed: int
    """Those on which all runs agree that found it."""
    listed: int
    """Of those the ones in its particle file: that have a pose in the run `maps.reference`."""
    found: np.ndarray
    """(R,) bool. Which runs found it."""
    partner: np.ndarray
    """(R,) int64. The species of each run that is most alike to it; NONE where the run has none of its particles."""
    overlap: np.ndarray
    """(R,) Jaccard index with that."""
    maps: MapsInOneFrame

    @property
    def share_agreed(self) -> float:
        """Of the particles compared."""
        return self.agreed / max(self.compared, 1)

    @property
    def alike_to_ang(self) -> float | None:
        """Up to where maps of the runs that found it agree: the worst of them; None where one run alone did."""
        reached = [ang for which, ang in self.maps.resolution_ang.items() if self.found[which]]
        return max(reached) if reached else None


def table(kinds: Sequence[AgreedSpecies], names: Sequence[str], total: int) -> list[str]:
    """Lines of a table of the species that runs agree on."""
    if not kinds:
        return ["The runs agree on no species."]
    rows = ["species  particles          found in   all agree on       maps agree to  poses of"]
    for kind in kinds:
        share = f"{kind.particles:,} ({kind.particles / max(total, 1):.1%})"
        found = f"{kind.found.sum()} of {len(kind.found)}"
        agreed = f"{kind.agreed:,} ({kind.share_agreed:.1%})"
        reached = "" if kind.alike_to_ang is None else f"{kind.alike_to_ang:.1f} Å"
        poses = names[kind.maps.reference] if kind.listed else "no file"
        rows.append(f"{kind.number:>7}  {share:<17}  {found:<9}  {agreed:<17}  {reached:<13}  {poses}")
    return rows


def rand_indices(labels: np.ndarray, distinct: np.ndarray) -> list[tuple[int, int, int, float | None]]:
    """Of every two of R runs: which they are, their particles in common, and the adjusted Rand index of their species
    there, 1 for the same and 0 for chance (Hubert & Arabie, J. Classif. 2, 193, 1985); None without common particles.

    Parameters
    ----------
    labels : (R, N) int. NONE where a run does not have a particle.
    distinct : (N,) bool. Particles that count.
    """
    rows = []
    for one in range(len(labels)):
        for other in range(one + 1, len(labels)):
            both = distinct & (labels[one] != NONE) & (labels[other] != NONE)
            index = float(adjusted_rand_score(labels[one][both], labels[other][both])) if both.any() else None
            rows.append((one, other, int(both.sum()), index))
    return rows


def rand_sentences(rows: Sequence[tuple[int, int, int, float | None]], names: Sequence[str]) -> Iterator[str]:
    """A line for every two runs."""
    for one, other, common, index in rows:
        if index is not None:
            alike = f"adjusted Rand index {index:.3f}"
            yield f"{names[one]} and {names[other]}: {alike} on {common:,} particles in common."


def divided_otherwise(found: Consensus, names: Sequence[str]) -> Iterator[str]:
    """A sentence for each species of a run that is a part of a consensus species, holds several, or is in none."""
    for name, run in zip(names, found.runs, strict=True):
        sizes = np.maximum(run.counts.sum(0), 1)
        for kind in range(found.count):
            parts = np.flatnonzero((run.vote == kind) & (run.counts[:, kind] >= LEAST_PART * sizes[kind]))
            if len(parts) > 1:
                told = ", ".join(f"{part + 1} ({run.counts[part, kind] / sizes[kind]:.0%} of it)" for part in parts)
                yield f"Species {kind + 1} is {_number(len(parts))} in {name}: {told}."
        for species, (counts, vote) in enumerate(zip(run.counts, run.vote, strict=True)):
            held = np.flatnonzero(counts > HALF * sizes)
            if len(held) > 1:
                apart = f"{_number(len(held))} that are apart elsewhere: {_listed(held)}"
                yield f"Species {species + 1} of {name} holds {apart}."
            elif vote == NONE and counts.any():
                some = np.argsort(-counts)[:3]
                shares = [f"{kind + 1} ({counts[kind] / run.totals[species]:.0%})" for kind in some if counts[kind]]
                yield f"Species {species + 1} of {name} is none of them; its particles are in {', '.join(shares)}."


def _number(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))


def _listed(kinds: np.ndarray) -> str:
    *first, last = (str(kind + 1) for kind in kinds)
    return f"{', '.join(first)} and {last}"
