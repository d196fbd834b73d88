"""The classes of a job as RELION's 3D classification leaves its own, for the job Subset selection.

RELION 3.1 asks there for run_it000_model.star, RELION 4 and 5 for run_it000_optimiser.star, which names the model; all
find the particles beside it as run_it000_data.star. The number of a class is its place among the rows of the model, and
in rlnClassNumber of the particles. Nothing else of a refinement is told (noise, priors, sampling): Subset selection has
no use for it, and jobs that would go on from a refinement refuse the optimiser file in their first step.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..engine.files import write_star
from .findings import ClassFiles, place
from .output_nodes import OutputNode

_NAME = "run_it000_{}.star"
UNRESOLVED_ANG = 999.0
"""What RELION writes for a class without a resolution."""


def place_class_model(job: Path, classes: Sequence[ClassFiles]) -> list[OutputNode]:
    """Write the three files, of particles.star and the maps that are in the job folder; returns those that are nodes.

    `classes` are in the order of their numbers. Nothing is written where there are no classes, or none has a map.
    """
    if not any(files.star for files in classes) or not all(files.map for files in classes):
        return []
    assert [files.number for files in classes] == list(range(1, len(classes) + 1))
    model, optimiser, data = (job / _NAME.format(kind) for kind in ("model", "optimiser", "data"))
    place(job / "particles.star", data)
    general = {"rlnReferenceDimensionality": 3, "rlnDataDimensionality": 2, "rlnNrClasses": len(classes)}
    write_star(model, {"model_general": _pairs(general), "model_classes": _rows(job, classes)})
    names = {"rlnOutputRootName": job / "run", "rlnModelStarFile": model, "rlnExperimentalDataStarFile": data}
    write_star(optimiser, {"optimiser_general": _pairs({label: str(path) for label, path in names.items()})})
    return [OutputNode(str(model), "class model"), OutputNode(str(optimiser), "class optimiser")]


def _rows(job: Path, classes: Sequence[ClassFiles]) -> pd.DataFrame:
    """A row for each class: its map, its share of the particles and its resolution in angstrom."""
    total = max(sum(files.particles for files in classes), 1)
    return pd.DataFrame(
        {
            "rlnReferenceImage": [f"{job}/{files.map}" for files in classes],
            "rlnClassDistribution": [
                files.particles / total if files.share is None else files.share for files in classes
            ],
            "rlnEstimatedResolution": [_resolution_ang(files) for files in classes],
        }
    )


def _resolution_ang(files: ClassFiles) -> float:
    """Where its FSC to the truth is expected to fall below 0.5; else that of its half-maps below 0.143."""
    half_maps = (files.resolution_ang or {}).get("0.143")
    return float(files.expected_resolution_ang or half_maps or UNRESOLVED_ANG)


def _pairs(values: dict[str, object]) -> pd.DataFrame:
    """A block of one value to a label, without `loop_`."""
    table = pd.DataFrame({label: [value] for label, value in values.items()})
    table.attrs["pairs"] = True
    return table
