"""What a run and its analysis have found, put into the job folder under the names a RELION user expects."""

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..engine.analysis.lists import COORDINATE, latent_column, listed
from ..engine.files import CLASS, ParticleTable, set_file, write_map, write_particles, write_set_of
from ..engine.result_kinds import CLUSTER_SERIES
from ..engine.results import Results
from ..engine.run import Run
from .output_nodes import OutputNode

_INITIAL_MAPS = {
    "": ("run_initial{:03d}.mrc", "map"),
    "other_hand": ("run_initial{:03d}_other_hand.mrc", "map"),
    "half1": ("run_half1_initial{:03d}_unfil.mrc", "half-map"),
    "half2": ("run_half2_initial{:03d}_unfil.mrc", "half-map"),
}
"""Which map of a species to its name in the job folder and its kind."""


@dataclass
class ClassFiles:
    """One cluster or species with its files, relative to the job folder. A homogeneous run has a single one."""

    number: int
    particles: int
    """In its particle file."""
    share: float | None = None
    """Of the particles, copies of an image counted once and separate states by their posteriors."""
    star: str = ""
    map: str = ""
    half_maps: list[str] = field(default_factory=list)
    resolution_ang: dict[str, float] | None = None
    """Resolution of the half-maps at FSC 0.5 and 0.143."""
    expected_resolution_ang: float | None = None
    """Where the FSC to the truth is expected to fall below 0.5, where that was measured."""


def place_particles(run: Run, results: Results | None, job: Path) -> list[ClassFiles]:
    """particles.star with everything that is known of each particle, and one star file per cluster."""
    if results is None or not results.clusters:
        return _place_without_clusters(run, job)
    place_list(results.folder / results.index["files"]["particles"], job / "particles.star")
    classes = []
    for cluster in results.clusters:
        star = f"particles_class{cluster['class']:03d}.star"
        place_list(results.folder / cluster["star"], job / star)
        classes.append(ClassFiles(cluster["class"], cluster["particles"], cluster["share"], star))
    return classes


def place_maps(run: Run, results: Results | None, job: Path, classes: list[ClassFiles]) -> None:
    """run_class001.mrc, … and, where the recipe makes them, half-maps under the names of a RELION refinement.

    The clusters of a landscape are averages of volumes, which no one latent point makes: they have no half-maps.
    """
    series = results.class_series if results else None
    if results is None or series is None:
        return
    has_halves = series["name"] != CLUSTER_SERIES and all(entry["fsc"] is not None for entry in series["maps"])
    decoder = _decoder(run) if has_halves else None
    for files, entry in zip(classes, series["maps"], strict=True):
        files.map = f"run_class{files.number:03d}.mrc"
        files.resolution_ang = entry["resolution_ang"]
        files.expected_resolution_ang = entry["expected_resolution_ang"]
        place(results.folder / entry["file"], job / files.map)
        if decoder is None:
            continue
        for half, volume in enumerate(decoder.half_volumes(np.array(entry["z"], np.float32)), start=1):
            name = f"run_half{half}_class{files.number:03d}_unfil.mrc"
            write_map(job / name, np.asarray(volume, np.float32), decoder.pixel_size_ang)
            files.half_maps.append(name)


def particle_nodes(job: Path, name: str) -> list[OutputNode]:
    """The nodes of a particle file in the job folder: itself and, of tilt series, the optimisation set beside it."""
    beside = set_file(job / name)
    sets = [OutputNode(f"{job}/{beside.name}", "optimisation set")] if beside.is_file() else []
    return [OutputNode(f"{job}/{name}", "particles"), *sets]


def remove_stale(job: Path) -> None:
    """Remove what an earlier run of this job has made; it may have had more clusters."""
    for pattern in (
        "particles*.star",
        "run_*.mrc",
        "run_*.star",
        "run_*.cif",
        "logfile.pdf",
        "job.json",
        "movie.gif",
        "validation.html",
    ):
        for file in job.glob(pattern):
            file.unlink()


def place_initial_maps(run: Run, job: Path) -> list[tuple[str, str]]:
    """The maps that poses were found with, each followed by its other hand and its half-maps; (name, kind) of all."""
    placed = []
    for number in _maps_of_species(run):
        for which, (name, kind) in _INITIAL_MAPS.items():
            if run.found_map_file(number, which).exists():
                placed.append((name.format(number), kind))
                place(run.found_map_file(number, which), job / placed[-1][0])
    return placed


def _place_without_clusters(run: Run, job: Path) -> list[ClassFiles]:
    """particles.star with the latents alone, rlnClassNumber as it was; one more file per species, if there are any."""
    table, frame = place_latents(run, job)
    if not run.poses_file.exists() or run.config.ab_initio.species == 1:
        return [ClassFiles(1, listed(table, np.asarray(run.latents().rows)))]
    members_of = {int(number): members for number, members in frame.groupby(CLASS)}
    maps, reached = _maps_of_species(run), _reached_by_species(run)
    classes = []
    for number in sorted({*members_of, *maps}):
        files = ClassFiles(number, 0, map=maps.get(number, ""), resolution_ang=reached.get(number))
        if number in members_of:
            files.star, files.particles = f"particles_class{number:03d}.star", len(members_of[number])
            write_particles(job / files.star, table, members_of[number].reset_index(drop=True))
        classes.append(files)
    return classes


def _maps_of_species(run: Run) -> dict[int, str]:
    """Number of each species that has a map to the name of that map in the job folder."""
    there = itertools.takewhile(lambda number: run.found_map_file(number).exists(), itertools.count(1))
    return {number: _INITIAL_MAPS[""][0].format(number) for number in there}


def _reached_by_species(run: Run) -> dict[int, dict[str, float]]:
    """Resolution of the half-maps of each species that has particles, by its number."""
    told = run.results("species").index["species"] if run.has_results("species") else []
    return {kind["species"]: {"0.143": kind["resolution_ang"]} for kind in told if kind["particles"]}


def place_latents(
    run: Run, job: Path, more: Mapping[str, np.ndarray] | None = None
) -> tuple[ParticleTable, pd.DataFrame]:
    """particles.star with the latents and the columns `more`, (N,) values in their order; returns what it holds."""
    table, latents = run.particles(), run.latents()
    order = np.argsort(latents.rows, kind="stable")
    columns = {} if latents.coordinate is None else {COORDINATE: latents.coordinate[order]}
    columns |= {latent_column(axis + 1): latents.z[order, axis] for axis in range(latents.z.shape[1])}
    columns |= {name: values[order] for name, values in (more or {}).items()}
    frame = table.frame.iloc[latents.rows[order]].reset_index(drop=True).assign(**columns)
    write_particles(job / "particles.star", table, frame)
    return table, frame


def place_list(source: Path, target: Path) -> None:
    """As `place`, a particle file; of tilt series with an optimisation set of its own."""
    place(source, target)
    write_set_of(source, target)


def _decoder(run: Run):
    from ..engine.decoders.restore import load_decoder

    return load_decoder(run)


def place(source: Path, target: Path) -> None:
    """The same content under another name, without using the disk twice where the file system allows it."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
