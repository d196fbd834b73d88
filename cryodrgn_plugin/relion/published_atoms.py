"""What a job publishes that laid an atomic model into maps: the models, the maps, and the map without motion."""

from pathlib import Path

from ..engine.result_kinds import PLACE_SERIES
from ..engine.run import Run
from .findings import place
from .output_nodes import OutputNode
from .published import Published
from .published_maps import place_map

_CORRECTED = {
    "corrected": ("run_corrected.mrc", "map"),
    "corrected_half1": ("run_half1_corrected_unfil.mrc", "half-map"),
    "corrected_half2": ("run_half2_corrected_unfil.mrc", "half-map"),
    "corrected_mask": ("run_corrected_mask.mrc", "mask"),
}
"""Role of a file to its name in the job folder and its kind."""


def publish_atoms(run: Run, job: Path) -> Published:
    """The models in one file, each with its map, the map without motion, and what is said of the parts."""
    results = run.results("atoms")
    index = results.index
    nodes = [OutputNode(f"{job}/logfile.pdf", "log")]
    place(results.file("trajectory"), job / "run_models.cif")
    nodes.append(OutputNode(f"{job}/run_models.cif", "model"))
    for role, (name, kind) in _CORRECTED.items():
        if file := results.file(role):
            place(file, job / name)
            nodes.append(OutputNode(f"{job}/{name}", kind))
    for number, entry in enumerate(results.series(PLACE_SERIES), start=1):
        nodes += place_map(results, entry, f"model{number:03d}", job)
    facts = [
        ("Particles", f"{index['particles']:,}"),
        ("Model", f"{index['options']['model']}, {index['beads']}"),
        ("Maps", f"box {index['box']}, {index['pixel_size_ang']:.4g} Å per pixel, protein white"),
        *(("Found", sentence) for sentence in index["sentences"]),
    ]
    heads = ["part", "residues", "of the mass", "turns", "moves", "occupancy"]
    rows = [
        [
            str(part["part"]),
            part["residues"],
            f"{part['share']:.0%}",
            f"{part['turns_deg'][0]:.1f} to {part['turns_deg'][1]:.1f}°",
            f"{part['moves_ang']:.1f} Å",
            f"{part['occupancy']:.2f}",
        ]
        for part in index["parts"]
    ]
    details = {name: index[name] for name in ("fit", "parts", "sentences")} | {"bias": index.get("bias")}
    figures = [("", file) for file in results.figures.values()]
    return Published(nodes, facts, [heads, *rows], figures, details)
