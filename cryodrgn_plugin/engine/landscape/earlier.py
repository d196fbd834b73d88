"""The landscape of another run of the same particles, whose numbers clusters and states may take."""

from dataclasses import replace

import numpy as np

from ..errors import DataError
from ..run import Run
from .label_matching import common_particles, matching_numbers
from .mixture import States
from .volume_clusters import VolumeClusters


def as_numbered_in(
    path: str, rows: np.ndarray, clusters: VolumeClusters, states: States | None
) -> tuple[VolumeClusters, States | None]:
    """Clusters and states of the particles at star rows (N,), with the numbers of the landscape of the run at `path`.

    Raises DataError when that run has no landscape or shares no particle with this one.
    """
    there = Run.open(path).results("landscape").arrays
    own, theirs = common_particles(rows, there["rows"])
    if not len(own):
        raise DataError(f"{path} has no particle in common with this run; match runs of the same star file.")
    numbers = matching_numbers(clusters.labels[own], len(clusters.centres), there["labels"][theirs])
    order = np.argsort(numbers)
    matched = VolumeClusters(
        numbers[clusters.labels].astype(np.int32),
        clusters.centres[order],
        clusters.apart[order],
        None if clusters.posterior is None else clusters.posterior[:, order],
    )
    if states is None or "state" not in there:
        return matched, states
    numbers = matching_numbers(states.labels[own], states.log_likelihoods.shape[1], there["state"][theirs])
    order = np.argsort(numbers)
    labels = numbers[states.labels].astype(np.int32)
    return matched, replace(states, labels=labels, log_likelihoods=states.log_likelihoods[:, order])
