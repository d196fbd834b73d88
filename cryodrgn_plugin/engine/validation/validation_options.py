"""The settings of `validate`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings, require
from ..config.bounds import AtLeast, LessThan, MoreThan


@dataclass(frozen=True, kw_only=True)
class ValidateOptions(Settings):
    halves: bool = True
    """The training on each half of the particles; without it there is neither a test for heterogeneity nor a confidence
    per particle."""
    particles: Annotated[int, AtLeast(0)] = 0
    """Particles from which the two halves are drawn, at random; 0 takes all of the run's. Lower it to save time; every
    particle of the run gets its confidence all the same."""
    nodes: Annotated[int, AtLeast(2)] = 40
    """Points of the latent space of each half whose maps place the particles. Raise it for many states."""
    permutations: Annotated[int, AtLeast(19)] = 199
    """Shufflings that show what chance gives, in the test for heterogeneity and in those for leakage."""
    tested: Annotated[int, AtLeast(100)] = 4000
    """Particles that the tests look at, drawn at random. More see weaker heterogeneity."""
    significance: Annotated[float, MoreThan(0), LessThan(1)] = 0.01
    """Chance of finding heterogeneity, or a leak, where there is none."""
    states: Annotated[int, AtLeast(0)] = 0
    """Number of states whose populations are stated; 0 takes the classes of RUN/analysis, or the separate states that
    training found, or as many k-means classes as `analyze` makes by itself."""
    level: Annotated[float, MoreThan(0), LessThan(1)] = 0.95
    """Confidence level of the intervals of populations."""
    bootstrap: Annotated[int, AtLeast(20)] = 1000
    """Times that particles are drawn anew for those intervals."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the halves and of every random draw. Change it to see how much of a verdict is chance."""
    keep_halves: bool = False
    """Keep the runs of the two halves, in RUN/validation/half1 and half2, with their particle lists."""

    def check_together(self) -> None:
        require(
            self.significance >= 1 / (self.permutations + 1),
            f"{self.permutations} permutations cannot show a significance of {self.significance:g}; "
            f"ask for at least {round(1 / self.significance) - 1}.",
        )
