"""`trajectory`: maps and a movie along a path, as results under a name; docs/run_folder.md describes them."""

from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.analysis_parts import MadeSeries
from ..analysis.embed import principal_components
from ..analysis.entries import make_series, series_entry, write_chimerax
from ..analysis.series import Series
from ..analysis.volumes import TrainedDecoder, decoder_of
from ..errors import DataError
from ..latents import Latents
from ..report_writer import Report
from ..result_kinds import PATH_SERIES
from ..run import Run
from .landscape_options import TrajectoryOptions
from .landscape_parts import checked_latents
from .movie import write_movie
from .path_plots import Plane, draw_all
from .paths import PathFound, evenly, find_path
from .representatives import drawn, nearest

SHOWN = 20_000
"""Particles drawn behind a path."""


def trajectory(run: Run, options: TrajectoryOptions | None = None, decoder: TrainedDecoder | None = None) -> Path:
    """Find a path, make maps along it and write both as results; returns the path of their index.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    ConfigError, DataError : no latents, no landscape where one is needed, or no such path; see `find_path`.
    """
    options = options or TrajectoryOptions()
    latents = checked_latents(run)
    path = find_path(latents, options, _space(run, latents) if options.space == "volume" else None)
    if path.bridges:
        run.log(f"The way leaps {path.bridges} times between groups of particles that stand apart.")
    z, along = evenly(path.nodes, options.steps)
    with run.report("trajectory", options, options.name or options.kind) as out:
        out.index |= _entries(latents, path, along, options)
        _write_path(z, path, out)
        made_series = None
        if options.volumes:
            decoder = decoder or decoder_of(run)
            labels = tuple(f"{length:.2f}" for length in along)
            title = f"along the path ({options.kind})"
            series = Series(PATH_SERIES, title, z, labels, along, nearest(latents.z, z))
            made_series = make_series(decoder, series, out, run.progress, stage="maps", half_maps=options.half_maps)
            out.index["series"] = [series_entry(made_series, out)]
            out.index |= {"box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang}
            write_chimerax([made_series], out, "path.cxc")
        _draw(latents, path, z, made_series, out, options)
        told = f"{options.steps} points along a path ({options.kind}) of length {along[-1]:.3g}"
        out.conclusion = f"{told} are in {out.destination}."
    return out.index_file


def _entries(latents: Latents, path: PathFound, along: np.ndarray, options: TrajectoryOptions) -> dict[str, Any]:
    """What the index says of the path."""
    ends = latents.z[path.anchors] if len(path.anchors) else path.nodes
    return {
        "particles": len(latents.z),
        "z_dim": latents.z.shape[1],
        "kind": options.kind,
        "anchors": latents.rows[path.anchors].tolist(),
        "bridges": path.bridges,
        "length": float(along[-1]),
        "straight": float(np.linalg.norm(np.diff(ends, axis=0), axis=1).sum()),
        "series": [],
        "figures": {},
        "files": {},
    }


def _write_path(z: np.ndarray, path: PathFound, out: Report) -> None:
    arrays = {"z": z, "nodes": path.nodes}
    if path.particles is not None:
        arrays["particles"] = path.particles
    out.arrays(**arrays)


def _draw(
    latents: Latents,
    path: PathFound,
    z: np.ndarray,
    made_series: MadeSeries | None,
    out: Report,
    options: TrajectoryOptions,
) -> None:
    """The figures and the movie that were asked for."""
    plane = Plane.of(principal_components(latents.z), latents.z)
    if options.figures:
        draw_all(plane, path, z, latents.z, made_series, out)
    if options.movie and made_series is not None:
        shown = plane.positions[drawn(len(latents.z), SHOWN, 0)]
        write_movie(
            out.file("movie", "movie.gif"), made_series.maps, made_series.level, shown, plane.of_points(z), plane.names
        )


def _space(run: Run, latents: Latents) -> np.ndarray:
    """Components of the volumes of the run's particles."""
    if not run.has_results("landscape"):
        raise DataError(f"{run.path} has no landscape; run landscape on it, or measure distances in the latent space.")
    return run.results("landscape").arrays_of(latents.rows)["pca"]
