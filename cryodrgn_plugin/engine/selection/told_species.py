"""One of several species that were told apart, the table of them all, and the commands that each goes on with."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..config import RunConfig, flat_settings

SURE = 0.9
"""Probability from which a particle is surely of its species."""
FEWEST_STATES = 200
"""Particles that a species needs for a search for its states."""
SCRIPT = """\
# The states of each species: `fast` among its particles alone, one run each, beside this one.
run=$(cd "$(dirname "$0")/.." && pwd)
"""


@dataclass(frozen=True)
class Species:
    """One of several species, as its particles and its map are known. Arrays per particle are (n,)."""

    number: int
    """From 1, as in poses.star and in the names of maps."""
    volume: np.ndarray
    """(D, D, D) float32."""
    curve: np.ndarray
    """(D//2 + 1,). FSC of its half-maps, corrected for their mask."""
    resolution_ang: float
    """At FSC 0.143; not a number where it has no particles."""
    probability: np.ndarray
    unexplained: np.ndarray
    """(n,) bool: outliers; none where there are too few particles to tell."""

    @property
    def particles(self) -> int:
        return len(self.probability)

    @property
    def sure(self) -> int:
        """Particles that are surely of this species."""
        return int((self.probability >= SURE).sum())


def table(kinds: Sequence[Species]) -> list[str]:
    """Lines of a table of the species."""
    total = max(sum(kind.particles for kind in kinds), 1)
    rows = ["species  particles          surely its own  unexplained  resolution"]
    for kind in kinds:
        share = f"{kind.particles:,} ({kind.particles / total:.1%})"
        reached = f"{kind.resolution_ang:.1f} Å" if kind.particles else ""
        rows.append(f"{kind.number:>7}  {share:<17}  {kind.sure:<14,}  {kind.unexplained.sum():<11,}  {reached}")
    return rows


def script(config: RunConfig, kinds: Sequence[Species], listed: Mapping[int, str]) -> str:
    """Commands that look for the states of each species, images being prepared as they were here."""
    usual = flat_settings(RunConfig())
    given = {name: value for name, value in flat_settings(config).items() if name.startswith("data.") or name == "root"}
    options = [
        f"--{name} {shlex.quote(str(value))}"
        for name, value in given.items()
        if value != usual[name] and name not in ("data.max_particles", "data.passthrough")
    ]
    lines = [SCRIPT.rstrip()]
    for kind in kinds:
        if kind.particles >= FEWEST_STATES:
            words = [f'"$run/species/{listed[kind.number]}"', f'--out "${{run}}_species_{kind.number:03d}"', "--resume"]
            lines.append(" ".join(["cryodrgn-plugin train", *words, *options, f"--seed {config.seed}"]))
        elif kind.particles:
            lines.append(f"# Species {kind.number} has {kind.particles} particles, too few to have states.")
    return "\n".join(lines) + "\n"
