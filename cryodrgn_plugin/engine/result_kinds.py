"""The kinds of results: which command makes each, which folder of a run holds it, and what its files are called.

A new kind is one entry here; `report_writer.py` writes it and `results.py` reads it. docs/run_folder.md describes each.
"""

from dataclasses import dataclass

CLASS_SERIES, CURVE_SERIES, CONSENSUS_SERIES = "kmeans", "curve", "consensus"
"""Series of maps of an analysis; those along principal components are pc1, pc2, …"""
CLUSTER_SERIES = "clusters"
"""Of a landscape: the average map of each cluster."""
STATE_SERIES, REGRESSION_SERIES = "states", "regression"
"""Of separate states as the classes of an analysis, of a landscape's mixture states, or of the maps of states; and the
latter made by regression."""
OF_CLASSES = (CLASS_SERIES, CLUSTER_SERIES, STATE_SERIES, CONSENSUS_SERIES)
"""The first of these that an analysis or a landscape has holds a map of each of its classes."""
PATH_SERIES = "path"
"""Of a trajectory."""
PLACE_SERIES = "atoms"
"""Of an atomic model: the maps that it was laid into."""


@dataclass(frozen=True)
class ResultKind:
    """One kind of results."""

    name: str
    """What it is called; its index is NAME.json."""
    command: str
    """The command that makes it."""
    folder: str
    """Of the run that holds it; empty for results that are made outside a run."""
    named: bool = False
    """Whether a run may hold several, each in a folder of its own name."""
    arrays: tuple[str, str] = ("", "")
    """Role and file of its arrays; empty where it has none."""
    always: tuple[str, ...] = ()
    """Arrays that are always among them; a file without them is refused."""
    escaped: bool = True
    """Whether its index spells letters beyond ASCII as escapes."""
    schema: int = 1
    """Version of its files; raised when a reader of the old ones would misread the new ones."""

    @property
    def index(self) -> str:
        """The file that names all others."""
        return f"{self.name}.json"


_CONFIDENCE = ("confidence", "confidence.npz")
_GROUPED = ("rows", "labels", "pca")
_SORTED = ("rows", "species", "probability")
_AGREED = ("rows", "species", "agreement")
KINDS = {
    kind.name: kind
    for kind in (
        ResultKind("analysis", "analyze", "analysis", arrays=("embedding", "embedding.npz"), always=_GROUPED),
        ResultKind("landscape", "landscape", "landscape", arrays=("embedding", "landscape.npz"), always=_GROUPED),
        ResultKind("trajectory", "trajectory", "trajectories", True, ("path", "path.npz"), ("z", "nodes")),
        ResultKind("states", "states", "states"),
        ResultKind("atoms", "atoms", "atoms", arrays=("motion", "motion.npz"), always=("rows", "occupancy")),
        ResultKind("validation", "validate", "validation", False, _CONFIDENCE, ("rows", "confidence")),
        ResultKind("species", "abinitio", "species", False, ("particles", "species.npz"), _SORTED),
        ResultKind("agreement", "agreement", "agreement", False, ("per_particle", "agreement.npz"), _AGREED),
        ResultKind("selection", "select", "selections", True, ("arrays", "selection.npz"), ("rows", "selected")),
        ResultKind("export", "export", "exports", True),
        ResultKind("preflight", "preflight", "", escaped=False),
        ResultKind("subtraction", "subtract", "", escaped=False),
        ResultKind("reconstruction", "reconstruct", ""),
    )
}


def half_map_names(map_name: str) -> tuple[str, str]:
    """What the two half-maps beside a map are called: vol_000_half1.mrc and vol_000_half2.mrc beside vol_000.mrc."""
    stem, dot, ending = map_name.rpartition(".")
    return f"{stem}_half1{dot}{ending}", f"{stem}_half2{dot}{ending}"
