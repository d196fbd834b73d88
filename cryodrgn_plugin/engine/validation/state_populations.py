"""Populations of the states that a run shows, counted and by likelihood, with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from ..analysis.analysis_options import STATES
from ..analysis.classes import separate_states
from ..analysis.found_states import at_states
from ..analysis.latent_clusters import fewer_than_asked, kmeans
from ..analysis.oracle import state_products
from ..analysis.populations import Populations, counted, most_likely
from ..decoders.restore import load_decoder
from ..latents import Latents
from ..likelihood.whitened import WhitenedImages
from ..run import Run
from .tied_images import TiedImages
from .validation_options import ValidateOptions

CLASSES = 10


@dataclass(frozen=True)
class StatePopulations:
    """M states of a run."""

    labels: np.ndarray
    """(N,) state of each particle, from 0."""
    counted: Populations
    """Of the labels, micrographs drawn anew as a whole where they are known."""
    likely: Populations
    """That make the images most likely, given the map of each state: overlap between states does not bias it."""
    membership: np.ndarray
    """(N, M) posterior of each particle over the states, by those populations."""
    mean_map: np.ndarray
    """(D, D, D): the average of the states' maps over those populations."""


def state_populations(
    run: Run, images: WhitenedImages, micrographs: np.ndarray | None, tied: TiedImages, options: ValidateOptions
) -> StatePopulations:
    """Populations of the classes of RUN/analysis, of the separate states that training found, or of as many k-means
    classes as the options say.

    Each image is judged by maps of the half-set it was not in, where the run has them: in a map it went into, it would
    find itself. The images of a particle are judged together and count once, as copies do.
    """
    latents = run.latents()
    labels, centres = _classes(run, latents, options)
    m = len(centres)
    bootstrap: dict[str, Any] = {"level": options.level, "replicates": options.bootstrap, "seed": options.seed}
    bootstrap |= {"shown": tied.shown}
    by_label = counted(labels, m, groups=micrographs, **bootstrap)
    inner, energy, maps = _products(run, images, latents.half, centres)
    known = 1.0 if latents.contrast is None else latents.contrast.astype(np.float64)[:, None]
    scores = tied.totals(known * inner - known**2 * energy / 2)
    likely = most_likely(scores, **bootstrap)
    membership = softmax(scores + np.log(np.maximum(likely.share, 1e-12)), axis=1)
    return StatePopulations(labels, by_label, likely, membership, np.tensordot(likely.share, maps, 1))


def _classes(run: Run, latents: Latents, options: ValidateOptions) -> tuple[np.ndarray, np.ndarray]:
    """(N,) class of each particle, from 0, and the place (M, Z) of each class: that of a separate state, or the mean of
    its particles'."""
    analysed = {} if options.states else run.per_particle("analysis", latents.rows)
    labels = analysed["labels"].astype(np.int64) if analysed else None
    found = separate_states(latents, options.states, STATES)
    if found is not None and (labels is None or np.array_equal(labels, found.labels)):
        return found.labels.astype(np.int64), at_states(found.posterior, latents.z).astype(np.float32)
    if labels is None:
        asked = options.states or CLASSES
        clusters = kmeans(latents.z, asked, seed=options.seed)
        if fewer := fewer_than_asked(len(clusters.centres), asked):
            run.log(f"Populations are of {fewer}")
        labels = clusters.labels.astype(np.int64)
    means = [latents.z[labels == k].mean(axis=0) for k in range(int(labels.max()) + 1)]
    return labels, np.stack(means).astype(np.float32)


def _products(
    run: Run, images: WhitenedImages, half: np.ndarray | None, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, M) products of each image with the map at each centre, `state_products`, and those maps (M, D, D, D)."""
    decoder = load_decoder(run)
    halves = [decoder.half_volumes(centre) for centre in centres]
    if half is None or any(pair is None for pair in halves):
        maps = np.stack([decoder.volume(centre) for centre in centres])
        return *state_products(images, maps), maps
    by_half = [np.stack([pair[k] for pair in halves]) for k in (0, 1)]
    first, second = (state_products(images, maps) for maps in by_half)
    inner, energy = (np.where((half == 0)[:, None], theirs, own) for own, theirs in zip(first, second, strict=True))
    return inner, energy, (by_half[0] + by_half[1]) / 2
