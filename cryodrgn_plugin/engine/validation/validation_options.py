"""The settings of `validate`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    halves: bool = True
    """the training on each half of the particles; without it there is neither a test for heterogeneity nor a confidence
    per particle"""
    particles: int = 0
    """Particles from which the two halves are drawn, at random; 0 takes all of the run's. Lower it to save time; every
    particle of the run gets its confidence all the same."""
    nodes: int = 40
    """Points of the latent space of each half whose maps place the particles. Raise it for many states."""
    permutations: int = 199
    """Shufflings that show what chance gives, in the test for heterogeneity and in those for leakage."""
    tested: int = 4000
    """Particles that the tests look at, drawn at random. More see weaker heterogeneity."""
    significance: float = 0.01
    """Chance of finding heterogeneity, or a leak, where there is none."""
    states: int = 0
    """Number of states whose populations are stated; 0 takes the classes of RUN/analysis, or as many k-means classes as
    `analyze` makes by itself."""
    level: float = 0.95
    """Confidence level of the intervals of populations."""
    bootstrap: int = 1000
    """Times that particles are drawn anew for those intervals."""
    seed: int = 0
    """Seed of the halves and of every random draw. Change it to see how much of a verdict is chance."""
    keep_halves: bool = False
    """Keep the runs of the two halves, in RUN/validation/half1 and half2, with their particle lists."""

    def __post_init__(self) -> None:
        for name, least in (
            *(("particles", 0), ("nodes", 2), ("permutations", 19), ("tested", 100)),
            *(("states", 0), ("bootstrap", 20)),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        for name in ("significance", "level"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1.")
        if self.significance < 1 / (self.permutations + 1):
            raise ConfigError(
                f"{self.permutations} permutations cannot show a significance of {self.significance:g}; "
                f"ask for at least {round(1 / self.significance) - 1}."
            )
