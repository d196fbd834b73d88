"""The settings of `select`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings, require
from ..config.bounds import AtLeast, FolderName


@dataclass(frozen=True, kw_only=True)
class SelectOptions(Settings):
    name: Annotated[str, FolderName()] = "selected"
    """Name of the selection: its folder in RUN/selections."""
    clusters: str = ""
    """Classes of RUN/analysis to take, as 1,3 or 2-5."""
    where: str = ""
    """A rule on the columns of the particles, such as "z1 > 0 and confidence > 0.8". The columns: z1, z2, …, pc1, …,
    umap1, umap2, coordinate, uncertainty, cluster; volume_cluster, state, vpc1, … of a landscape; confidence,
    likelihood, outlier, row, and every column of the star file (rlnDefocusU, …)."""
    lasso: str = ""
    """File with a polygon drawn around the particles to take: {"space": "umap", "polygon": [[x, y], …]}; the space is
    umap, or pca with "components": [1, 2]."""
    listed: str = ""
    """File that lists the particles to take: their rows in the run's star file, from 0 and one per line."""
    junk: bool = False
    """Take away the particles that the maps do not explain: noise, other molecules, off-centre ones."""
    junk_cut: Annotated[float, AtLeast(0)] = 0.0
    """Outlier score, in standard deviations of good particles, above which a particle is junk; 0 takes the cut that the
    data suggest."""
    rounds: Annotated[int, AtLeast(1)] = 2
    """Rounds of junk removal: the maps are made anew from what is left, and all particles judged again."""
    random: Annotated[int, AtLeast(0)] = 0
    """Take this many of what is left at random; 0 takes all."""
    once: bool = False
    """Take one of each image that stands in the set more than once: by name, at one place of a micrograph, or pixel for
    pixel. Of a symmetry-expanded set this is one row per image."""
    invert: bool = False
    """Take what would have been left out, and the other way round."""
    original: str = ""
    """Star file of the same particles at full size: what is selected is then given in its rows and columns, so that it
    points to the unbinned stack."""
    same_order: bool = False
    """The original has the same particles in the same order, though neither coordinates nor image names say so."""
    annotate: bool = False
    """Add columns of what the run knows of each particle (latents, class, confidence, outlier score) after the
    original's own."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of every random draw."""

    def check_together(self) -> None:
        require(
            any((self.clusters, self.where, self.lasso, self.listed, self.junk, self.once, self.random)),
            "Say which particles to select: by clusters, where, lasso, listed, junk, once or random.",
        )
