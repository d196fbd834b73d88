"""What a job publishes that laid an atomic model into maps: the models, the maps, the map without motion, and the
particles with how the parts lie in each."""

from pathlib import Path

import numpy as np

from ..engine.result_kinds import PLACE_SERIES
from ..engine.run import Run
from .findings import particle_nodes, place, place_latents
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
TURN, OCCUPANCY = "cryodrgnTurn", "cryodrgnOccupancy"
"""Columns of particles, with the number of a part."""


def publish_atoms(run: Run, job: Path) -> Published:
    """The models in one file, each with its map, the map without motion, the particles, and what is said of the
    parts."""
    results = run.results("atoms")
    index = results.index
    place_latents(run, job, _of_parts(results.arrays_of(run.latents().rows)))
    nodes = [OutputNode(f"{job}/logfile.pdf", "log"), *particle_nodes(job, "particles.star")]
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


def _of_parts(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of the particles: the turn of each part against the first, and how much of each part is there."""
    turns = {f"{TURN}{part + 1}": turn for part, turn in enumerate(arrays["turns_deg"].T) if part}
    return turns | {f"{OCCUPANCY}{part + 1}": there for part, there in enumerate(arrays["occupancy"].T)}
