"""RELION_OUTPUT_NODES.star: what an External job tells RELION it has made.

RELION reads this file when it finds the success marker, so it must be complete before that. RELION 3.1 knows a node by
a whole number, 4 by a label, 5 by a label and a display depth; between 4 and 5 the labels of particles, of
optimiser files and of optimisation sets of tilt series differ. A kind that a version has no type for is left out there:
3.1 knows no such sets and no atomic models, and takes classes from their model file, 4 and 5 from their optimiser file.
"""

from dataclasses import dataclass
from pathlib import Path

OUTPUT_NODES = "RELION_OUTPUT_NODES.star"

_TYPE_NUMBERS = {
    "particles": 3,
    "map": 6,
    "mask": 7,
    "class model": 8,
    "half-map": 10,
    "local resolution": 12,
    "log": 13,
}
_TYPE_LABELS = {
    "particles": "ParticleGroupMetadata.star.relion",
    "map": "DensityMap.mrc",
    "mask": "Mask3D.mrc",
    "half-map": "DensityMap.mrc.halfmap",
    "local resolution": "Image3D.mrc.relion.localresmap",
    "log": "LogFile.pdf.relion",
    "model": "AtomCoords.cif",
    "class optimiser": "OptimiserData.star.relion",
    "optimisation set": "TomoOptimisationSet.star.relion",
}
_LABELS_IN_4 = {
    "particles": "ParticlesData.star.relion",
    "class optimiser": "ProcessData.star.relion.optimiser",
    "optimisation set": "ProcessData.star.relion.tomo.optimisation_set",
}


@dataclass(frozen=True)
class OutputNode:
    """One file that RELION may use as the input of later jobs."""

    path: str
    """Relative to the project."""
    kind: str
    """particles, map, mask, half-map, local resolution, log, model (of atoms), class model, class optimiser or
    optimisation set."""


def output_nodes_text(nodes: list[OutputNode], version: str) -> str:
    """The text of RELION_OUTPUT_NODES.star for RELION 3.1, 4 or 5."""
    names = ["_rlnPipeLineNodeName", *_TYPE_COLUMNS[version]]
    columns = [f"{name} #{number}" for number, name in enumerate(names, start=1)]
    types = _TYPE_NUMBERS if version == "3.1" else _TYPE_LABELS
    known = [node for node in nodes if node.kind in types]
    rows = [" ".join([node.path, *_type_values(node.kind, version)]) for node in known]
    return "\n".join(["", "# version 30001", "", "data_output_nodes", "", "loop_", *columns, *rows, "", ""])


def write_output_nodes(job_folder: Path, nodes: list[OutputNode], version: str) -> None:
    """Write the node file in one step, so that RELION never sees half of it."""
    unfinished = job_folder / (OUTPUT_NODES + ".part")
    unfinished.write_text(output_nodes_text(nodes, version), encoding="utf-8")
    unfinished.replace(job_folder / OUTPUT_NODES)


_TYPE_COLUMNS = {
    "3.1": ["_rlnPipeLineNodeType"],
    "4": ["_rlnPipeLineNodeTypeLabel"],
    "5": ["_rlnPipeLineNodeTypeLabel", "_rlnPipeLineNodeTypeLabelDepth"],
}


def _type_values(kind: str, version: str) -> list[str]:
    if version == "3.1":
        return [str(_TYPE_NUMBERS[kind])]
    if version == "4":
        return [_LABELS_IN_4.get(kind, _TYPE_LABELS[kind])]
    return [_TYPE_LABELS[kind], "1"]
