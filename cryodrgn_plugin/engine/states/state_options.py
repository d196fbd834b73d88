"""The settings of `states`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..analysis.analysis_options import GROUPINGS, STATES
from ..config import Settings, require
from ..config.bounds import AtLeast, Means, OneOf

USUAL_STATES = 8
"""k-means centres where nobody says how many and training found no separate states."""


@dataclass(frozen=True, kw_only=True)
class StatesOptions(Settings):
    states: Annotated[int, AtLeast(1), Means(0, "takes the separate states that training found, or else 8")] = 0
    """How many states, unless particles or points are named. More for finer steps, fewer when maps look alike."""
    group_by: Annotated[str, OneOf(*GROUPINGS)] = STATES
    """states: the separate states that training found, where it found as many as are wanted. clusters: always k-means
    centres of the latents, which are particles. Change it when maps of states look alike or one of them seems mixed."""
    particles: str = ""
    """Rows of the star file whose latents are the states, from 0, as 0,17,42 or 0-9; empty for none."""
    points: str = ""
    """File of latent coordinates of the states: .txt, .npy, or .npz with an array z; empty for none."""
    method: Annotated[str, OneOf("decoder", "regression", "both")] = "both"
    """decoder: maps of the run's model, with half-maps where it was solved in closed form. regression: a weighted
    backprojection of the particles nearest in the latent space, which needs no model of the maps. both: the decoder's
    maps and the regression's beside them, and which of them is expected to be nearer to the truth."""
    neighbors: Annotated[int, AtLeast(0)] = 0
    """Particles that a regression's map rests on, as an effective number; 0 chooses by cross-validation on half-sets.
    Lower it for finer states, raise it for less noise."""
    mask: str = ""
    """Map of a soft mask in which everything is judged; empty makes one around each map."""
    bias: bool = True
    """The measurement of what half-maps cannot see, for they share their latents; it reads the images near states."""
    local_resolution: bool = True
    """The maps of local resolution."""
    sharpen: bool = True
    """The sharpened maps."""
    b_factor_ang2: float = 0.0
    """B-factor taken off by sharpening, in Å², such as 80; 0 measures it by Guinier's plot."""
    lowpass_ang: Annotated[float, AtLeast(0)] = 0.0
    """Sharpened maps end at this resolution in Å; 0 takes the one that was measured."""
    figures: bool = True
    """The figures."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of k-means, of the half-sets of a regression and of every random draw."""

    def check_together(self) -> None:
        require(
            not (self.particles and self.points),
            "States are given by particles or by points, not by both; leave one of them empty.",
        )
