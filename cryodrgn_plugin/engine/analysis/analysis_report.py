"""`analyze`: everything a finished run can say, in RUN/analysis, with analysis.json naming all of it.

The folder is made beside the old one and takes its place when it is complete, so a reader never meets half of one.
docs/run_folder.md describes its files and the schema of analysis.json.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..io.mrc import write_map
from ..io.writing import replacing, write_text
from ..reconstruction.expectation import Halves
from ..run import Latents, Run
from .analysis_options import AnalysisOptions
from .analysis_parts import LatentView, MadeSeries
from .embed import MIN_DIST, principal_components, umap_embedding
from .entries import numbers, relative, series_entry, write_chimerax
from .latent_clusters import kmeans
from .lists import particle_list, write_lists
from .nearby import NearbyParticles, can_be_measured
from .series import Series, cluster_series, component_series, consensus_series, curve_series
from .volumes import HalfAgreement, MadeMap, TrainedDecoder, make_maps, moving_region

SCHEMA = 1
MOVING_MASK = "volumes/moving_mask.mrc"


def analyze(run: Run, options: AnalysisOptions | None = None, decoder: TrainedDecoder | None = None) -> Path:
    """Analyse a finished run into RUN/analysis; returns the path of analysis.json.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : the run has no latents, they are not finite, or there are fewer different ones than clusters.
    """
    options = options or AnalysisOptions()
    latents = run.latents()
    with run.replacing_folder(run.analysis_dir) as folder:
        view = look_at_latents(run, latents, options) if latents.z.shape[1] else None
        made: list[MadeSeries] = []
        if options.volumes:
            decoder = decoder or _restore(run)
            series = series_of(view, options)
            reference_at = reference_for(run, latents, decoder, series, options)
            made = make_all(run, decoder, series, folder, options, reference_at)
        index = _index(latents, view, made, options)
        if view:
            index |= _write_latents(run, view, folder)
        if made:
            index["files"] |= write_chimerax(made, folder, "volumes.cxc")
            if (folder / MOVING_MASK).exists():
                index["files"]["moving_mask"] = MOVING_MASK
            index["box"], index["pixel_size_ang"] = decoder.box, decoder.pixel_size_ang
        if options.figures:
            from .analysis_figures import draw_all

            index["figures"] = draw_all(run, view, made, folder / "figures", index.get("pixel_size_ang"))
        write_text(folder / "analysis.json", json.dumps(index, indent=2) + "\n")
    _log_findings(run, view, made)
    return run.analysis_dir / "analysis.json"


def look_at_latents(run: Run, latents: Latents, options: AnalysisOptions) -> LatentView:
    """Principal components, clusters and UMAP."""
    stages = 3 if options.umap else 2
    pca = principal_components(latents.z)
    run.progress("latents", 1, stages)
    clusters = kmeans(latents.z, options.clusters, seed=options.seed, along=latents.coordinate)
    run.progress("latents", 2, stages)
    umap = None
    if options.umap:
        umap = umap_embedding(latents.z, neighbors=options.neighbors, limit=options.umap_limit, seed=options.seed)
        run.progress("latents", 3, stages)
        if umap.fitted_on < len(latents.z):
            run.log(f"UMAP was fitted on {umap.fitted_on:,} of {len(latents.z):,} particles; it placed the others.")
    return LatentView(latents, pca, umap, clusters)


def series_of(view: LatentView | None, options: AnalysisOptions) -> list[Series]:
    """The series of maps to make; a homogeneous run has one map."""
    if view is None:
        return [consensus_series()]
    z, coordinate = view.latents.z, view.latents.coordinate
    series = [cluster_series(z, view.clusters)]
    if coordinate is not None:
        series.append(curve_series(z, coordinate, options.steps))
    return series + [component_series(view.pca, c, options.steps) for c in range(min(options.components, z.shape[1]))]


def _restore(run: Run) -> TrainedDecoder:
    from ..decoders.restore import load_decoder

    return load_decoder(run)


def reference_for(
    run: Run, latents: Latents, decoder: TrainedDecoder, series: Sequence[Series], options: AnalysisOptions
) -> Callable[[np.ndarray], Halves] | None:
    """What half-maps of the data alone look like at any z, where the FSC to the truth can be measured with them.

    How many particles they rest on is chosen at points of the first series. None without half-sets, when it was not
    asked for, and when the images are gone, which the log says.
    """
    if not (options.expected and latents.z.shape[1] and can_be_measured(latents, decoder)):
        return None
    try:
        return NearbyParticles(run, latents, decoder, series[0].z, options.seed).reference
    except DataError as error:
        run.log(f"The FSC to the truth is left out, for the images cannot be read: {error}")
        return None


def make_all(
    run: Run,
    decoder: TrainedDecoder,
    series: Sequence[Series],
    folder: Path,
    options: AnalysisOptions,
    reference_at: Callable[[np.ndarray], Halves] | None = None,
) -> list[MadeSeries]:
    """Make the maps of every series. The moving region is where the maps of the first one differ; `reference_at` gives
    half-maps of the data alone, with which the FSC to the truth is measured."""
    moving = moving_region(decoder, series[0].z) if len(series[0].z) > 1 else None
    if moving is not None:
        write_map(folder / MOVING_MASK, moving, decoder.pixel_size_ang)
    made = []
    for one in series:
        maps = make_maps(
            decoder,
            one.z,
            folder / "volumes" / one.name,
            run.progress,
            stage=f"maps {one.name}",
            half_maps=options.half_maps,
            judge=True,
            moving_region=moving,
            reference_at=reference_at,
        )
        maps = list(maps)
        made.append(MadeSeries(one, maps, float(np.median([m.level for m in maps]))))
    return made


# --- what is written ------------------------------------------------------------------------------------------------


def _write_latents(run: Run, view: LatentView, folder: Path) -> dict[str, Any]:
    """embedding.npz and the particle lists; their part of the index."""
    latents, clusters = view.latents, view.clusters
    arrays = {"rows": latents.rows, "labels": clusters.labels, "pca": view.pca.scores}
    if view.umap:
        arrays["umap"] = view.umap.positions
    if latents.coordinate is not None:
        arrays["coordinate"] = latents.coordinate
    with replacing(folder / "embedding.npz") as temporary:
        np.savez(temporary, **arrays)
    table = run.particles()
    frame = particle_list(table, latents.rows, latents.z, clusters.labels, latents.coordinate)
    everything, lists = write_lists(folder, table, frame, len(clusters.centres))
    sizes = clusters.sizes
    entries = [
        {
            "class": c + 1,
            "particles": int(sizes[c]),
            "share": round(float(sizes[c] / sizes.sum()), 5),
            "centre_row": int(latents.rows[centre]),
            "z": numbers(latents.z[centre]),
            "star": relative(lists[c], folder),
        }
        for c, centre in enumerate(clusters.centres)
    ]
    return {"clusters": entries, "files": {"particles": relative(everything, folder), "embedding": "embedding.npz"}}


def _index(
    latents: Latents, view: LatentView | None, made: Sequence[MadeSeries], options: AnalysisOptions
) -> dict[str, Any]:
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "options": dataclasses.asdict(options),
        "particles": len(latents.z),
        "z_dim": latents.z.shape[1],
        "clusters": [],
        "files": {},
        "series": [series_entry(m) for m in made],
        "figures": {},
    }
    if view:
        pca, umap = view.pca, view.umap
        index["pca"] = {
            "explained": numbers(pca.explained),
            "mean": numbers(pca.mean),
            "axes": [numbers(axis) for axis in pca.axes],
        }
        index["umap"] = umap and {
            "neighbors": options.neighbors,
            "min_dist": MIN_DIST,
            "fitted_on": umap.fitted_on,
            "placed": len(latents.z) - umap.fitted_on,
        }
    return index


def _log_findings(run: Run, view: LatentView | None, made: Sequence[MadeSeries]) -> None:
    if view:
        shares = ", ".join(f"{share:.1%}" for share in view.clusters.sizes / len(view.latents.z))
        run.log(f"{len(view.clusters.centres)} classes hold {shares} of {len(view.latents.z):,} particles.")
    for m in made:
        run.log(f"{len(m.maps)} maps {m.series.title}{_reached(m.maps)}.")
    run.log(f"The analysis is in {run.analysis_dir}.")


def _reached(maps: Sequence[MadeMap]) -> str:
    """How far the maps of a series go, in words that follow what they are."""
    whole, moving = (_range([getattr(one, part) for one in maps]) for part in ("whole", "moving"))
    stated = f", {whole} at half-map FSC 0.143{f' ({moving} where they move)' if moving else ''}" if whole else ""
    found = [one.expected_resolution_ang for one in maps], [one.moving_expected_resolution_ang for one in maps]
    whole, moving = (_range(limits) for limits in found)
    if not whole:
        return stated
    return f", FSC 0.5 to the truth expected at {whole}{f' ({moving} where they move)' if moving else ''}{stated}"


def _range(found: Sequence[HalfAgreement | float | None]) -> str:
    limits = [one if isinstance(one, float) else one.resolution_ang["0.143"] for one in found if one is not None]
    ends = dict.fromkeys(f"{limit:#.3g}" for limit in (min(limits), max(limits))) if limits else ()
    return f"{' to '.join(ends)} Å" if ends else ""
