"""`landscape`: every particle in the space of volumes, as results; docs/run_folder.md describes them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.analysis_options import USUAL_CLASSES
from ..analysis.analysis_parts import MadeSeries
from ..analysis.cautions import cautions
from ..analysis.classes import separate_states
from ..analysis.entries import make_series, series_entry, write_chimerax
from ..analysis.populations import Populations, counted, expected, most_likely
from ..analysis.series import PERCENTILES, Series
from ..analysis.volumes import decoder_of
from ..data.copies import joined, listed_copies
from ..errors import DataError
from ..io.chosen_rows import particle_of_image
from ..io.particles import ParticleTable
from ..known_copies import known_copies
from ..latents import Latents
from ..report_writer import Report
from ..result_kinds import CLUSTER_SERIES, STATE_SERIES
from ..run import Run
from .earlier import as_numbered_in
from .landscape_index import landscape_entries, write_particles
from .landscape_options import LandscapeOptions
from .landscape_parts import Landscape, checked_latents
from .mixture import mixture_states
from .sketch import SCRATCH, sketched_space
from .space import LandscapeDecoder, Places, VolumeSpace, exact_space
from .volume_clusters import VolumeClusters, cluster_volumes, state_clusters

MICROGRAPH = "rlnMicrographName"


def landscape(run: Run, options: LandscapeOptions | None = None, decoder: LandscapeDecoder | None = None) -> Path:
    """Make the landscape of a finished run; returns the path of its index.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : no latents or a single latent point, volumes that do not differ, an exact landscape of a decoder without
        bases, a bad mask, or nothing to match with.
    """
    options = options or LandscapeOptions()
    options = replace(options, mask=options.mask or run.config.closed_form.focus)
    latents, table = checked_latents(run), run.particles()
    decoder = decoder or decoder_of(run)
    with run.report("landscape", options) as out:
        space = _space(decoder, latents.z, options, out.folder, run)
        explored = explore(run, latents, space, table, options)
        out.index |= landscape_entries(explored, decoder, options)
        out.index["cautions"] = cautions(latents, run.config, ())
        out.map("mask", "mask.mrc", space.mask, decoder.pixel_size_ang)
        write_particles(table, explored, out)
        made_series = make_all(run, explored, out, options) if options.volumes else []
        (out.folder / SCRATCH).unlink(missing_ok=True)
        if options.figures:
            from .landscape_figures import draw_all

            draw_all(explored, made_series, out)
        for sentence in (*_findings(explored), *out.index["cautions"]):
            out.say(sentence)
    return out.index_file


def explore(
    run: Run, latents: Latents, space: VolumeSpace, table: ParticleTable, options: LandscapeOptions
) -> Landscape:
    """Clusters, states and populations in the space of volumes."""
    run.progress("landscape", 1, 3)
    clusters = _clusters(latents, space, options)
    run.progress("landscape", 2, 3)
    states = None
    if options.states != "0" and not (options.states == "auto" and clusters.posterior is not None):
        states = mixture_states(space.scores, space.explained, options.states, options.most_states, options.seed)
    run.progress("landscape", 3, 3)
    if options.match:
        clusters, states = as_numbered_in(options.match, latents.rows, clusters, states)
    by_name = listed_copies(table, latents.rows).shown
    shown = joined(known_copies(run, latents.rows), by_name, particle_of_image(table)[latents.rows])
    resampled = {"replicates": options.bootstrap, "seed": options.seed, "shown": shown}
    shares = _shares(clusters, _micrographs(table, latents.rows), resampled)
    return Landscape(
        latents, space, clusters, shares, states, states and most_likely(states.log_likelihoods, **resampled)
    )


def _clusters(latents: Latents, space: VolumeSpace, options: LandscapeOptions) -> VolumeClusters:
    """The separate states that training found, or what lies together in the space of volumes."""
    found = separate_states(latents, options.clusters, options.group_by)
    if found is not None:
        return state_clusters(space.scores, found)
    count = min(options.clusters or USUAL_CLASSES, len(latents.z))
    return cluster_volumes(space.scores, count, options.linkage, options.seed)


def _shares(clusters: VolumeClusters, micrographs: np.ndarray | None, resampled: dict[str, Any]) -> Populations:
    """Populations of the clusters; of separate states those that posteriors give."""
    if clusters.posterior is not None:
        return expected(clusters.posterior, **resampled)
    return counted(clusters.labels, len(clusters.centres), groups=micrographs, **resampled)


def make_all(run: Run, explored: Landscape, out: Report, options: LandscapeOptions) -> list[MadeSeries]:
    """The average map of each cluster and state, and maps along the first components."""
    made_series = []
    for places, series in _series(explored, options):
        made_series.append(make_series(places.maker, series, out, run.progress, coordinates=places.coordinates))
    out.index["series"] = [series_entry(m, out) for m in made_series]
    write_chimerax(made_series, out, "landscape.cxc")
    return made_series


def _series(explored: Landscape, options: LandscapeOptions) -> Iterator[tuple[Places, Series]]:
    space = explored.space
    clusters = explored.clusters
    word = "cluster" if clusters.posterior is None else "state"
    yield _group_series(explored, CLUSTER_SERIES, clusters.labels, word, clusters.posterior)
    if explored.states is not None and explored.states.labels.max() > 0:
        yield _group_series(explored, STATE_SERIES, explored.states.labels, "state")
    for component in range(min(options.walks, space.scores.shape[1])):
        scores = np.linspace(*np.percentile(space.scores[:, component], PERCENTILES), options.steps)
        labels = tuple(f"PC{component + 1} = {score:.3g}" for score in scores)
        name, title = f"pc{component + 1}", f"along volume PC{component + 1}"
        places = space.walk(component, scores)
        yield places, Series(name, title, places.z, labels, scores, places.particles)


def _group_series(
    explored: Landscape, name: str, labels: np.ndarray, word: str, posterior: np.ndarray | None = None
) -> tuple[Places, Series]:
    numbers = np.unique(labels)
    places = explored.space.averages([np.flatnonzero(labels == number) for number in numbers], posterior)
    captions = tuple(f"{word} {number + 1}" for number in numbers)
    title = f"averages of {name}" if posterior is None else "of separate states"
    return places, Series(name, title, places.z, captions, numbers + 1.0, places.particles)


def _space(decoder: LandscapeDecoder, z: np.ndarray, options: LandscapeOptions, folder: Path, run: Run) -> VolumeSpace:
    linear = bool(decoder.linear())
    if options.method == "exact" and not linear:
        raise DataError("This run's decoder is a network, not made of bases: its landscape must be a sketch.")
    if linear and options.method != "sketch":
        return exact_space(decoder, z, options, run.progress)
    return sketched_space(decoder, z, options, folder, run.progress)


def _micrographs(table: ParticleTable, rows: np.ndarray) -> np.ndarray | None:
    """What was drawn together: the micrograph of each particle, where the star file names several."""
    frame = table.frame
    if MICROGRAPH not in frame or frame[MICROGRAPH].nunique() < 2:
        return None
    return frame[MICROGRAPH].to_numpy()[rows]


def _findings(explored: Landscape) -> list[str]:
    """Sentences for the log."""
    explained = explored.space.explained
    return [
        (
            f"{len(explained)} components of the volumes ({explored.space.method}) "
            f"hold {explained.sum():.0%} of the variance."
        ),
        explored.grouping["grouped_because"],
        _about_sizes(explored),
    ]


def _about_sizes(explored: Landscape) -> str:
    sizes, apart, shares = explored.clusters.sizes, explored.clusters.apart, explored.shares
    if explored.clusters.posterior is not None:
        held = ", ".join(f"{share:.1%}" for share in shares.share)
        return f"{len(sizes)} states hold {held} of {shares.particles:,} particles."
    smallest = int(np.argmin(sizes))
    return (
        f"{len(sizes)} clusters, {apart.sum()} of which stand apart; the smallest, cluster {smallest + 1}, has "
        f"{sizes[smallest]:,} of {sizes.sum():,} particles."
    )
