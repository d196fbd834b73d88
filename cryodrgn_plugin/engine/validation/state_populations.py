"""Populations of the states that a run shows, counted and by likelihood, with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis.latent_clusters import kmeans
from ..analysis.oracle import state_log_likelihoods
from ..analysis.populations import Populations, counted, most_likely
from ..decoders.restore import load_decoder
from ..likelihood.whitened import WhitenedImages
from ..run import Latents, Run
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


def state_populations(
    run: Run, images: WhitenedImages, micrographs: np.ndarray | None, shown: np.ndarray, options: ValidateOptions
) -> StatePopulations:
    """Populations of the classes of RUN/analysis, or of as many k-means classes as the options say.

    Each image is judged by maps of the half-set it was not in, where the run has them: in a map it went into, it would
    find itself. Copies of an image, which `shown` (N,) gives one number, count once.
    """
    latents = run.latents()
    labels = _labels(run, latents, options)
    m = int(labels.max()) + 1
    centres = np.stack([latents.z[labels == k].mean(axis=0) for k in range(m)]).astype(np.float32)
    bootstrap: dict[str, Any] = {"level": options.level, "replicates": options.bootstrap, "seed": options.seed}
    bootstrap |= {"shown": shown}
    by_label = counted(labels, m, groups=micrographs, **bootstrap)
    return StatePopulations(labels, by_label, most_likely(_scores(run, images, latents.half, centres), **bootstrap))


def _labels(run: Run, latents: Latents, options: ValidateOptions) -> np.ndarray:
    if not options.states and (analysed := run.per_particle("analysis", latents.rows)):
        return analysed["labels"].astype(np.int64)
    most = len(np.unique(latents.z, axis=0))
    return kmeans(latents.z, min(options.states or CLASSES, most), seed=options.seed).labels.astype(np.int64)


def _scores(run: Run, images: WhitenedImages, half: np.ndarray | None, centres: np.ndarray) -> np.ndarray:
    """(N, M) log-likelihood of each image under the map at each centre."""
    decoder = load_decoder(run)
    halves = [decoder.half_volumes(centre) for centre in centres]
    if half is None or any(pair is None for pair in halves):
        return state_log_likelihoods(images, np.stack([decoder.volume(centre) for centre in centres]))
    by_first, by_second = (state_log_likelihoods(images, np.stack([pair[k] for pair in halves])) for k in (0, 1))
    return np.where((half == 0)[:, None], by_second, by_first)
