"""Particles at the centres of the classes that were found in a run. Free of any window."""

from dataclasses import dataclass

from ..convert import object_ids
from ..engine.run import Run


@dataclass(frozen=True)
class Centre:
    """The particle at the centre of a class."""

    object_id: int
    label: str


def class_centres(run: Run) -> list[Centre]:
    """Centres of the classes of the run's analysis, then of its landscape's clusters; none without either."""
    ids = object_ids(run.given_file)
    centres = []
    for word, kind in (("class", "analysis"), ("landscape cluster", "landscape")):
        for cluster in run.results(kind).clusters if run.has_results(kind) else []:
            object_id = int(ids[cluster["centre_row"]])
            share = f"{cluster['share']:.0%} of the particles"
            centres.append(Centre(object_id, f"particle {object_id}: {word} {cluster['class']}, {share}"))
    return centres
