"""`analyze`: everything a finished run can say, as the results of kind analysis; docs/run_folder.md describes them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.copies import joined
from ..errors import DataError
from ..io.chosen_rows import particle_of_image
from ..latents import Latents
from ..reconstruction.expectation import Halves
from ..report_writer import Report
from ..run import Run
from .analysis_options import USUAL_CLASSES, AnalysisOptions
from .analysis_parts import LatentView, MadeSeries
from .cautions import cautions
from .classes import classes_of, grouping
from .embed import MIN_DIST, principal_components, umap_embedding
from .entries import directions_of, make_series, numbers, series_entry, write_chimerax
from .found_states import posterior_arrays
from .latent_clusters import Clusters, fewer_than_asked
from .lists import listed, particle_list, write_lists
from .nearby import NearbyParticles, can_be_measured
from .populations import effective_counts, label_counts
from .run_particles import particles_of, require_images, shown_by, views_of
from .series import Series, class_series, component_series, consensus_series, curve_series
from .volumes import HalfAgreement, MadeMap, TrainedDecoder, atoms_of, decoder_of, moving_region


def analyze(run: Run, options: AnalysisOptions | None = None, decoder: TrainedDecoder | None = None) -> Path:
    """Analyse a finished run; returns the path of the index.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : the run has no latents, or they are not finite.
    """
    options = options or AnalysisOptions()
    latents = run.latents()
    if latents.z.shape[1]:
        run.particles()  # that the lists can be made should be known before the maps are
    options = _measurable(run, latents, options)
    with run.report("analysis", options) as out:
        view = look_at_latents(run, latents, options) if latents.z.shape[1] else None
        out.index |= {"particles": len(latents.z), "z_dim": latents.z.shape[1], "clusters": []}
        out.index |= {"files": {}, "series": [], "figures": {}, **_view_entries(view, options)}
        made_series: list[MadeSeries] = []
        if view:
            out.index["clusters"] = _write_particles(run, view, out)
        if options.volumes:
            decoder = decoder or decoder_of(run)
            made_series = _make_maps(run, decoder, series_of(view, options), latents, out, options)
            if atoms := atoms_of(decoder):
                from .moved_atoms import describe_atoms

                describe_atoms(atoms, view, [made.series for made in made_series], out)
        directions = directions_of(made_series[0]) if made_series else None
        out.index |= {
            "directions": directions and directions.entry(),
            "cautions": cautions(latents, run.config, made_series),
        }
        if options.figures:
            from .analysis_figures import draw_all

            draw_all(run, view, made_series, out)
        because = [out.index["grouped_because"]] if view else []
        for sentence in (*because, *_findings(view, made_series), *out.index["cautions"]):
            out.say(sentence)
    return out.index_file


def _measurable(run: Run, latents: Latents, options: AnalysisOptions) -> AnalysisOptions:
    """The options without what needs images, where these are gone; the log says so."""
    if not (options.volumes and options.expected and latents.half is not None):
        return options
    try:
        require_images(run)
    except DataError as error:
        run.log(f"The FSC to the truth is left out, for the images cannot be read: {error}")
        return replace(options, expected=False)
    return options


def look_at_latents(run: Run, latents: Latents, options: AnalysisOptions) -> LatentView:
    """Principal components, classes and UMAP."""
    stages = 3 if options.umap else 2
    pca = principal_components(latents.z)
    run.progress("latents", 1, stages)
    clusters = classes_of(latents, options.clusters, USUAL_CLASSES, options.group_by, options.seed)
    run.progress("latents", 2, stages)
    asked = options.clusters or USUAL_CLASSES
    if clusters.posterior is None and (fewer := fewer_than_asked(len(clusters.centres), asked)):
        run.log(f"The analysis has {fewer}")
    umap = None
    if options.umap:
        umap = umap_embedding(latents.z, neighbors=options.neighbors, limit=options.umap_limit, seed=options.seed)
        run.progress("latents", 3, stages)
        if umap.fitted_on < len(latents.z):
            run.log(f"UMAP was fitted on {umap.fitted_on:,} of {len(latents.z):,} particles; it placed the others.")
    return LatentView(latents, pca, umap, clusters, class_counts(run, clusters))


def class_counts(run: Run, clusters: Clusters) -> np.ndarray:
    """(k,) particles of each class; copies of an image are counted once, and so are the tilt images of a particle."""
    particles = particles_of(run)
    shown = joined(shown_by(run, particles), particle_of_image(particles.table)[particles.lines])
    if clusters.posterior is not None:
        return effective_counts(clusters.posterior, shown)
    return label_counts(clusters.labels, len(clusters.centres), shown)


def series_of(view: LatentView | None, options: AnalysisOptions) -> list[Series]:
    """The series of maps to make; a homogeneous run has one map."""
    if view is None:
        return [consensus_series()]
    z, coordinate = view.latents.z, view.latents.coordinate
    series = [class_series(view.clusters)]
    if coordinate is not None:
        series.append(curve_series(z, coordinate, options.steps))
    return series + [component_series(view.pca, c, options.steps) for c in range(min(options.components, z.shape[1]))]


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


def _make_maps(
    run: Run,
    decoder: TrainedDecoder,
    series: Sequence[Series],
    latents: Latents,
    out: Report,
    options: AnalysisOptions,
) -> list[MadeSeries]:
    """The maps of every series. The moving region is where the maps of the first one differ."""
    reference_at = reference_for(run, latents, decoder, series, options)
    moving = moving_region(decoder, series[0].z) if len(series[0].z) > 1 else None
    how = {"half_maps": options.half_maps, "moving_region": moving, "reference_at": reference_at}
    how["views"] = views_of(run)
    made_series = [make_series(decoder, wanted, out, run.progress, **how) for wanted in series]
    out.index["series"] = [series_entry(m, out) for m in made_series]
    write_chimerax(made_series, out, "volumes.cxc")
    if moving is not None:
        out.map("moving_mask", "volumes/moving_mask.mrc", moving, decoder.pixel_size_ang)
    out.index |= {"box": decoder.box, "pixel_size_ang": decoder.pixel_size_ang}
    return made_series


# --- what is written ------------------------------------------------------------------------------------------------


def _write_particles(run: Run, view: LatentView, out: Report) -> list[dict[str, Any]]:
    """The particle lists and the arrays per particle; what the index says of each class."""
    latents, clusters = view.latents, view.clusters
    table = run.particles()
    probability = clusters.probability
    frame = particle_list(table, latents.rows, latents.z, clusters.labels, latents.coordinate, probability)
    lists = write_lists(out, table, frame, len(clusters.centres))
    arrays = {"rows": latents.rows, "labels": clusters.labels, "pca": view.pca.scores}
    arrays |= posterior_arrays(clusters.posterior)
    if view.umap:
        arrays["umap"] = view.umap.positions
    if latents.coordinate is not None:
        arrays["coordinate"] = latents.coordinate
    out.arrays(**arrays)
    return [
        {
            "class": c + 1,
            "particles": listed(table, latents.rows[clusters.labels == c]),
            "count": round(float(view.counts[c]), 1),
            "share": round(float(view.counts[c] / view.counts.sum()), 5),
            "centre_row": int(latents.rows[centre]),
            "z": numbers(clusters.points[c]),
            "star": lists[c],
        }
        for c, centre in enumerate(clusters.centres)
    ]


def _view_entries(view: LatentView | None, options: AnalysisOptions) -> dict[str, Any]:
    """What the index says of the latents as looked at."""
    if view is None:
        return {}
    pca, umap, clusters = view.pca, view.umap, view.clusters
    classes = f"{len(clusters.centres)} classes"
    return {
        **grouping(view.latents, clusters.posterior is not None, classes, "k-means clusters of the latents"),
        "counted": round(float(view.counts.sum())),
        "pca": {
            "explained": numbers(pca.explained),
            "mean": numbers(pca.mean),
            "axes": [numbers(axis) for axis in pca.axes],
        },
        "umap": umap
        and {
            "neighbors": options.neighbors,
            "min_dist": MIN_DIST,
            "fitted_on": umap.fitted_on,
            "placed": len(view.latents.z) - umap.fitted_on,
        },
    }


def _findings(view: LatentView | None, made_series: Sequence[MadeSeries]) -> list[str]:
    """Sentences for the log."""
    sentences = []
    if view:
        total = view.counts.sum()
        shares = ", ".join(f"{share:.1%}" for share in view.counts / total)
        sentences.append(f"{len(view.counts)} classes hold {shares} of {total:,.0f} particles.")
    sentences += [f"{len(m.maps)} maps {m.series.title}{_reached(m.maps)}." for m in made_series]
    directions = directions_of(made_series[0]) if made_series else None
    if directions is not None:
        sentences.append(f"Maps {made_series[0].series.title} by direction: {directions.sentence}.")
    return sentences


def _reached(maps: Sequence[MadeMap]) -> str:
    """How far the maps of a series go, in words that follow what they are."""
    whole, moving = (_range([getattr(made_map, part) for made_map in maps]) for part in ("whole", "moving"))
    stated = f", {whole} at half-map FSC 0.143{f' ({moving} where they move)' if moving else ''}" if whole else ""
    expected = [m.expected_resolution_ang for m in maps], [m.moving_expected_resolution_ang for m in maps]
    whole, moving = (_range(limits) for limits in expected)
    if not whole:
        return stated
    return f", FSC 0.5 to the truth expected at {whole}{f' ({moving} where they move)' if moving else ''}{stated}"


def _range(reached: Sequence[HalfAgreement | float | None]) -> str:
    limits = [
        limit if isinstance(limit, float) else limit.resolution_ang["0.143"] for limit in reached if limit is not None
    ]
    ends = dict.fromkeys(f"{limit:#.3g}" for limit in (min(limits), max(limits))) if limits else ()
    return f"{' to '.join(ends)} Å" if ends else ""
