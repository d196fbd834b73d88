"""`landscape`: every particle in the space of volumes, in RUN/landscape, with landscape.json naming all of it.

The folder is made beside the old one and takes its place when it is complete. docs/run_folder.md describes its files.
"""

import json
from pathlib import Path

import numpy as np

from ..analysis.analysis_parts import MadeSeries
from ..analysis.entries import write_chimerax
from ..analysis.populations import counted, most_likely
from ..analysis.series import PERCENTILES, Series
from ..analysis.volumes import make_maps
from ..errors import DataError
from ..io.mrc import write_map
from ..io.particles import ParticleTable
from ..io.writing import write_text
from ..run import Latents, Run
from .earlier import as_numbered_in
from .landscape_index import landscape_index, write_particles
from .landscape_options import LandscapeOptions
from .landscape_parts import Landscape, checked_latents
from .mixture import mixture_states
from .sketch import SCRATCH, sketched_space
from .space import LandscapeDecoder, Places, VolumeSpace, exact_space
from .volume_clusters import cluster_volumes

INDEX = "landscape.json"
MICROGRAPH = "rlnMicrographName"


def landscape(run: Run, options: LandscapeOptions | None = None, decoder: LandscapeDecoder | None = None) -> Path:
    """Make the landscape of a finished run into RUN/landscape; returns the path of landscape.json.

    `decoder` is what the run's model.pt holds unless given.

    Raises
    ------
    DataError : no latents or a single latent point, an exact landscape of a decoder without bases, a bad mask, or
        nothing to match with.
    """
    options = options or LandscapeOptions()
    latents, table = checked_latents(run), run.particles()
    decoder = decoder or _restore(run)
    with run.replacing_folder(run.landscape_dir) as folder:
        space = _space(decoder, latents.z, options, folder, run)
        found = explore(run, latents, space, table, options)
        write_map(folder / "mask.mrc", space.mask, decoder.pixel_size_ang)
        made = make_all(run, found, folder, options) if options.volumes else []
        (folder / SCRATCH).unlink(missing_ok=True)
        index = landscape_index(found, made, decoder, options)
        index["files"] |= write_particles(table, found, folder)
        if made:
            index["files"] |= write_chimerax(made, folder, "landscape.cxc")
        if options.figures:
            from .landscape_figures import draw_all

            index["figures"] = draw_all(found, made, folder / "figures", decoder.pixel_size_ang)
        write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    _log_findings(run, found)
    return run.landscape_dir / INDEX


def explore(
    run: Run, latents: Latents, space: VolumeSpace, table: ParticleTable, options: LandscapeOptions
) -> Landscape:
    """Clusters, states and populations in the space of volumes."""
    n = len(latents.z)
    run.progress("landscape", 1, 3)
    clusters = cluster_volumes(space.scores, min(options.clusters, n), options.linkage, options.seed)
    run.progress("landscape", 2, 3)
    states = None
    if options.states != "0":
        states = mixture_states(space.scores, space.explained, options.states, options.most_states, options.seed)
    run.progress("landscape", 3, 3)
    if options.match:
        clusters, states = as_numbered_in(options.match, latents.rows, clusters, states)
    resampled = {"replicates": options.bootstrap, "seed": options.seed}
    shares = counted(clusters.labels, len(clusters.centres), groups=_micrographs(table, latents.rows), **resampled)
    return Landscape(
        latents, space, clusters, shares, states, states and most_likely(states.log_likelihoods, **resampled)
    )


def make_all(run: Run, found: Landscape, folder: Path, options: LandscapeOptions) -> list[MadeSeries]:
    """The average map of each cluster and state, and maps along the first components."""
    space = found.space
    made = [_group_series(run, found, "clusters", found.clusters.labels, "cluster", folder)]
    if found.states is not None and found.states.labels.max() > 0:
        made.append(_group_series(run, found, "states", found.states.labels, "state", folder))
    for component in range(min(options.walks, space.scores.shape[1])):
        scores = np.linspace(*np.percentile(space.scores[:, component], PERCENTILES), options.steps)
        labels = tuple(f"PC{component + 1} = {score:.3g}" for score in scores)
        name, title = f"pc{component + 1}", f"along volume PC{component + 1}"
        made.append(_made(run, space.walk(component, scores), name, title, labels, scores, folder))
    return made


def _group_series(run: Run, found: Landscape, name: str, labels: np.ndarray, word: str, folder: Path) -> MadeSeries:
    numbers = np.unique(labels)
    places = found.space.averages([np.flatnonzero(labels == number) for number in numbers])
    captions = tuple(f"{word} {number + 1}" for number in numbers)
    return _made(run, places, name, f"averages of {name}", captions, numbers + 1.0, folder)


def _made(
    run: Run, places: Places, name: str, title: str, labels: tuple[str, ...], positions: np.ndarray, folder: Path
) -> MadeSeries:
    series = Series(name, title, places.z, labels, positions, places.particles)
    into = folder / "volumes" / name
    maps = list(make_maps(places.maker, places.coordinates, into, run.progress, stage=f"maps {name}", judge=True))
    return MadeSeries(series, maps, float(np.median([one.level for one in maps])))


def _restore(run: Run) -> LandscapeDecoder:
    from ..decoders.restore import load_decoder

    return load_decoder(run)


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


def _log_findings(run: Run, found: Landscape) -> None:
    explained = found.space.explained
    run.log(
        f"{len(explained)} components of the volumes ({found.space.method}) hold {explained.sum():.0%} of the variance."
    )
    sizes, apart = found.clusters.sizes, found.clusters.apart
    smallest = int(np.argmin(sizes))
    run.log(
        f"{len(sizes)} clusters, {apart.sum()} of which stand apart; the smallest, cluster {smallest + 1}, has "
        f"{sizes[smallest]:,} of {sizes.sum():,} particles."
    )
    run.log(f"The landscape is in {run.landscape_dir}.")
