"""`trajectory`: maps and a movie along a path, in RUN/trajectories/NAME, with trajectory.json naming all of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.analysis_parts import MadeSeries
from ..analysis.embed import principal_components
from ..analysis.entries import series_entry, write_chimerax
from ..analysis.series import Series
from ..analysis.volumes import TrainedDecoder, make_maps
from ..errors import DataError
from ..io.arrays import read_arrays
from ..io.writing import replacing, write_text
from ..run import Latents, Run
from .earlier import EMBEDDING
from .landscape_options import TrajectoryOptions
from .landscape_parts import checked_latents
from .movie import write_movie
from .path_plots import Plane, draw_all
from .paths import PathFound, evenly, find_path
from .representatives import drawn, nearest

SCHEMA = 1
INDEX = "trajectory.json"
SHOWN = 20_000
"""Particles drawn behind a path."""


def trajectory(run: Run, options: TrajectoryOptions | None = None, decoder: TrainedDecoder | None = None) -> Path:
    """Find a path, make maps along it and write both into RUN/trajectories/NAME; returns the path of trajectory.json.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    ConfigError, DataError : no latents, no landscape where one is needed, or no such path; see `find_path`.
    """
    options = options or TrajectoryOptions()
    latents = checked_latents(run)
    found = find_path(latents, options, _space(run, latents) if options.space == "volume" else None)
    if found.bridges:
        run.log(f"The way leaps {found.bridges} times between groups of particles that stand apart.")
    z, along = evenly(found.nodes, options.steps)
    target = run.trajectory_dir(options.name or options.kind)
    with run.replacing_folder(target) as folder:
        index = _index(latents, found, along, options)
        _write_path(folder / "path.npz", z, found)
        made = None
        if options.volumes:
            decoder = decoder or _restore(run)
            made = _maps(run, decoder, latents, z, along, folder, options)
            index["series"] = [series_entry(made)]
            index["box"], index["pixel_size_ang"] = decoder.box, decoder.pixel_size_ang
            index["files"] |= write_chimerax([made], folder, "path.cxc")
        _draw(latents, found, z, made, folder, index)
        write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    run.log(f"{options.steps} points along a path ({options.kind}) of length {along[-1]:.3g} are in {target}.")
    return target / INDEX


def _index(latents: Latents, found: PathFound, along: np.ndarray, options: TrajectoryOptions) -> dict[str, Any]:
    ends = latents.z[found.anchors] if len(found.anchors) else found.nodes
    return {
        "schema": SCHEMA,
        "options": dataclasses.asdict(options),
        "particles": len(latents.z),
        "z_dim": latents.z.shape[1],
        "kind": options.kind,
        "anchors": latents.rows[found.anchors].tolist(),
        "bridges": found.bridges,
        "length": float(along[-1]),
        "straight": float(np.linalg.norm(np.diff(ends, axis=0), axis=1).sum()),
        "series": [],
        "figures": {},
        "files": {"path": "path.npz"},
    }


def _write_path(file: Path, z: np.ndarray, found: PathFound) -> None:
    arrays = {"z": z, "nodes": found.nodes}
    if found.particles is not None:
        arrays["particles"] = found.particles
    with replacing(file) as temporary:
        np.savez(temporary, **arrays)


def _maps(
    run: Run,
    decoder: TrainedDecoder,
    latents: Latents,
    z: np.ndarray,
    along: np.ndarray,
    folder: Path,
    options: TrajectoryOptions,
) -> MadeSeries:
    labels = tuple(f"{length:.2f}" for length in along)
    series = Series("path", f"along the path ({options.kind})", z, labels, along, nearest(latents.z, z))
    into = folder / "volumes" / series.name
    made = make_maps(decoder, z, into, run.progress, stage="maps", half_maps=options.half_maps, judge=True)
    maps = list(made)
    return MadeSeries(series, maps, float(np.median([one.level for one in maps])))


def _draw(
    latents: Latents, found: PathFound, z: np.ndarray, made: MadeSeries | None, folder: Path, index: dict[str, Any]
) -> None:
    """The figures and the movie that were asked for, into `folder` and `index`."""
    pca, wanted = principal_components(latents.z), index["options"]
    plane = Plane.of(pca, latents.z)
    if wanted["figures"]:
        index["figures"] = draw_all(plane, found, z, latents.z, made, folder / "figures", index.get("pixel_size_ang"))
    if wanted["movie"] and made is not None:
        shown = plane.positions[drawn(len(latents.z), SHOWN, 0)]
        write_movie(folder / "movie.gif", made.maps, made.level, shown, plane.of_points(z), plane.names)
        index["files"]["movie"] = "movie.gif"


def _space(run: Run, latents: Latents) -> np.ndarray:
    """Components of the volumes of the run's particles."""
    file = run.landscape_dir / EMBEDDING
    if not file.exists():
        raise DataError(f"{run.path} has no landscape; run landscape on it, or measure distances in the latent space.")
    stored = read_arrays(file, "rows", "pca")
    if not np.array_equal(stored["rows"], latents.rows):
        raise DataError(f"The landscape of {run.path} is of other particles; run landscape again.")
    return stored["pca"]


def _restore(run: Run) -> TrainedDecoder:
    from ..decoders.restore import load_decoder

    return load_decoder(run)
