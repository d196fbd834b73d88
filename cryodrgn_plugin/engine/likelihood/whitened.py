"""Images as the likelihood sees them: CTF, shift, noise and multiplicity folded in once.

With y the image moved back to the origin, c its CTF and σ² the noise variance, the log-likelihood of a slice u is, up
to a constant, Σ_f Re(u* t) − ½ w |u|² with targets t = m c y / σ² and weights w = m c² / σ² (m is the lattice's
multiplicity).

The circular window takes part of the noise away and ties neighbouring coefficients together in the same measure: a
window of mean square a leaves a F independent coefficients of variance a σ². σ² here is therefore that of the noise
before the window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..data.batch import ImageBatch, centred
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader
from ..data.tilt_series import SeriesDataset, TiltSeries
from ..imaging.lattice import HalfPlane
from ..imaging.noise import NoiseModel
from ..imaging.preprocess import soft_window

BYTES_PER_COEFFICIENT = 12
SAMPLE = 500
"""Images per optics group whose CTFs are averaged."""


@dataclass(frozen=True)
class WhitenedBatch:
    """`index` (B,) int64, `targets` (B, F) complex64, `weights` (B, F) float32, `rotations` (B, 3, 3) float32.

    Without poses targets are not moved and `rotations` (B, 0, 3, 3) are none.
    """

    index: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    rotations: np.ndarray

    def at(self, places: np.ndarray) -> "WhitenedBatch":
        """The images at these places of the batch."""
        return WhitenedBatch(self.index[places], self.targets[places], self.weights[places], self.rotations[places])

    def leading(self, count: int) -> "WhitenedBatch":
        """The same with the first `count` coefficients only."""
        targets = np.ascontiguousarray(self.targets[:, :count])
        return WhitenedBatch(self.index, targets, np.ascontiguousarray(self.weights[:, :count]), self.rotations)


class WhitenedImages:
    """Repeated passes over a dataset in its order, whitened; kept in memory up to its cache size, else streamed.

    Parameters
    ----------
    series : particles with several images each. Batches then hold all images of some of them, one particle's after the
        other's, in the order of the particles.
    """

    def __init__(
        self, dataset: ParticleDataset, noise: NoiseModel, batch_size: int = 256, series: TiltSeries | None = None
    ) -> None:
        self._dataset = dataset
        self._precision = _precision(dataset, noise)
        self._multiplied = dataset.table.flag("rlnCtfDataAreCtfPremultiplied")[dataset.rows]
        if series is None:
            self._loader = BatchLoader(dataset, batch_size, shuffle=False)
            self.n_batches = ceil(dataset.n / batch_size)
        else:
            at_once = max(1, batch_size // series.images.shape[1])
            self._loader = BatchLoader(SeriesDataset(dataset, series), at_once, shuffle=False)
            self.n_batches = ceil(series.n / at_once)
        size = dataset.n * dataset.lattice.size * BYTES_PER_COEFFICIENT
        self._keeps = size <= dataset.config.cache_mb * 2**20
        self._kept: list[WhitenedBatch] = []

    @property
    def lattice(self) -> HalfPlane:
        return self._dataset.lattice

    @property
    def n(self) -> int:
        return self._dataset.n

    @property
    def wait_seconds(self) -> float:
        """Time spent waiting for images, over all passes."""
        return self._loader.wait_seconds

    def passes(self, count: int) -> Iterator[WhitenedBatch]:
        """One pass in order, with the first `count` coefficients of each image."""
        if self._keeps and not self._kept:
            self._kept = [self._whiten(raw, self.lattice.size) for raw in self._loader.iterate(0)]
        if self._kept:
            yield from (batch.leading(count) for batch in self._kept)
        else:
            yield from (self._whiten(raw, count) for raw in self._loader.iterate(0))

    def of(self, index: np.ndarray, count: int) -> WhitenedBatch:
        """The images `index` (B,) with their first `count` coefficients."""
        return self._whiten(self._dataset.batch(index), count)

    def _whiten(self, raw: ImageBatch, count: int) -> WhitenedBatch:
        precision = self._precision[raw.group, :count]
        weighted = raw.ctf[:, :count] * precision
        # Images already multiplied by their CTF are targets as they are.
        multiplied = self._multiplied[raw.index][:, None]
        targets = centred(raw)[:, :count] * np.where(multiplied, precision, weighted)
        rotations = np.empty((len(raw), 0, 3, 3), np.float32)
        if raw.pose is not None:
            rotations = np.ascontiguousarray(raw.pose.rotations[:, 0], dtype=np.float32)
        return WhitenedBatch(raw.index, targets.astype(np.complex64), weighted * raw.ctf[:, :count], rotations)


def _precision(dataset: ParticleDataset, noise: NoiseModel) -> np.ndarray:
    """(G, F) float32. m / σ² of each optics group, σ² before the window, and before images were multiplied by their
    CTF: what is measured of these is the noise after it.
    """
    independent = float((soft_window(dataset.box, dataset.config.window) ** 2).mean())
    variance = noise.per_coefficient(dataset.lattice, np.arange(len(noise.sigma2)))
    precision = dataset.lattice.multiplicity * independent / variance
    multiplied = dataset.table.flag("rlnCtfDataAreCtfPremultiplied")[dataset.rows]
    for group in np.unique(dataset.optics_group[multiplied]):
        members = np.flatnonzero(multiplied & (dataset.optics_group == group))
        precision[group] *= _mean_ctf2(dataset, members)
    return precision.astype(np.float32)


def _mean_ctf2(dataset: ParticleDataset, members: np.ndarray) -> np.ndarray:
    """(F,) mean CTF² of some particles, the same all over a shell."""
    sample = members[np.linspace(0, len(members) - 1, min(len(members), SAMPLE)).astype(int)]
    mean = np.square(dataset.batch(sample).ctf, dtype=np.float64).mean(0)
    return dataset.lattice.shell_mean(mean)[dataset.lattice.shells]
