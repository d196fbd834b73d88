"""Images as the likelihood sees them: CTF, shift, noise and multiplicity folded in once.

With y the image moved back to the origin, c its CTF and σ² the noise variance, the log-likelihood of a slice u is, up
to a constant, Σ_f Re(u* t) − ½ w |u|² with targets t = m c y / σ² and weights w = m c² / σ² (m is the lattice's
multiplicity).

The circular window takes part of the noise away and ties neighbouring coefficients together in the same measure: a
window of mean square a leaves a F independent coefficients of variance a σ². σ² here is therefore that of the noise
before the window.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.batch import ImageBatch
from ..data.dataset import ParticleDataset
from ..data.loader import BatchLoader, in_background
from ..data.tilt_series import SeriesDataset, TiltSeries
from ..imaging.lattice import HalfPlane
from ..imaging.noise import NoiseModel
from ..ranks import Ranks
from ..slicing.backend import Backend
from ..slicing.compute import Compute
from ..slicing.device_tables import table
from ..slicing.sphere import HalfSphere
from .folding import Folding
from .image_precision import precision_of
from .waves import phases, product
from .working_memory import WorkingMemory

BYTES_PER_COEFFICIENT = 12
BYTES_PER_SLOPE = 4
ANG_PER_MICROMETRE = 1e4
ALL = slice(None)


@dataclass(frozen=True)
class PosedImages:
    """B images on the first F coefficients, on one device, as they are added up."""

    targets: Tensor
    """(B, F) complex. Not moved where there are no poses."""
    weights: Tensor
    """(B, F)."""
    rotations: Tensor
    """(B, 3, 3); without poses (B, 0, 3, 3), none."""

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class WhitenedBatch(PosedImages):
    """Images of a dataset. Which ones they are, the host knows."""

    index: np.ndarray
    """(B,) int64."""
    defocus_slopes: Tensor | None = None
    """(B, F) by how much of itself the CTF changes per micrometre of defocus, where that is asked for."""

    def at(self, members: np.ndarray) -> "WhitenedBatch":
        """Some of the images, by their numbers in the batch."""
        rows = torch.as_tensor(members, device=self.targets.device)
        slopes = None if self.defocus_slopes is None else self.defocus_slopes[rows]
        return WhitenedBatch(self.targets[rows], self.weights[rows], self.rotations[rows], self.index[members], slopes)

    def leading(self, count: int) -> "WhitenedBatch":
        """The same with the first `count` coefficients only."""
        return self.part(slice(count))

    def part(self, some: slice) -> "WhitenedBatch":
        """The same with some of the coefficients only."""
        targets, weights = self.targets[:, some].contiguous(), self.weights[:, some].contiguous()
        slopes = None if self.defocus_slopes is None else self.defocus_slopes[:, some].contiguous()
        return replace(self, targets=targets, weights=weights, defocus_slopes=slopes)

    def in_parts(self, count: int) -> "list[WhitenedBatch]":
        """So many batches with a share of the images each, or one for each image if there are fewer."""
        shares = np.array_split(np.arange(len(self)), min(count, len(self)))
        return [self] if count == 1 else [self.at(rows) for rows in shares]

    def counted(
        self, image: Tensor, rotations: Tensor, moves: Tensor, share: Tensor, lattice: HalfPlane
    ) -> PosedImages:
        """Images that count for poses of their own, each in its share: a row for every pair of image and pose.

        Parameters
        ----------
        image : (n,) int64. Number in the batch.
        rotations, moves : (n, 3, 3), (n, 2). Moves are shifts in boxes by which the image is moved back.
        share : (n,).
        """
        back = phases(moves, lattice, self.targets.shape[1], self.targets.dtype) * share[:, None]
        weights = self.weights[image] * share[:, None]
        return PosedImages(product(self.targets[image], back), weights, rotations.to(weights.dtype))


class WhitenedImages:
    """Repeated passes over a dataset in its order, whitened; kept in memory up to its cache size, else streamed.

    Parameters
    ----------
    series : particles with several images each. Batches then hold all images of some of them, one particle's after the
        other's, in the order of the particles.
    compute : the device that images come to, and what computes with them there.
    with_defocus : batches have the slopes of their CTFs by the defocus; the images must have CTFs.
    ranks : the processes that share the passes. Each goes over its own batches only, and what it makes of them has to
        be made common (`Ranks.total`).
    passed : counts the "images" that are passed over.
    memory : what passes may take.
    """

    def __init__(
        self,
        dataset: ParticleDataset,
        noise: NoiseModel,
        batch_size: int = 256,
        series: TiltSeries | None = None,
        compute: Compute | None = None,
        with_defocus: bool = False,
        ranks: Ranks | None = None,
        passed: Counter | None = None,
        memory: WorkingMemory | None = None,
    ) -> None:
        self.memory = memory or WorkingMemory()
        self.ranks = ranks or Ranks()
        self._passed = passed if passed is not None else Counter()
        self.compute = compute or Compute()
        self._dataset = dataset
        self._folding = Folding(dataset, precision_of(dataset, noise), self.compute)
        source = self._folding.source
        if series is None:
            self._loader = BatchLoader(source, batch_size, shuffle=False)
        else:
            at_once = max(1, batch_size // series.images.shape[1])
            self._loader = BatchLoader(SeriesDataset(source, series), at_once, shuffle=False)
        self._share = self.ranks.share(len(self._loader))
        self.n_batches = len(self._share)
        self.with_defocus = with_defocus
        views = 1 if series is None else series.images.shape[1]
        self._most = min(dataset.n, self.n_batches * self._loader.batch_size * views)
        size = self._most * dataset.lattice.size * (BYTES_PER_COEFFICIENT + with_defocus * BYTES_PER_SLOPE)
        self._keeps = size <= dataset.config.cache_mb * 2**20
        self._kept: list[WhitenedBatch] = []
        self._noise_seed: int | None = None

    def of_noise(self, seed: int) -> "WhitenedImages":
        """Images of nothing: poses and weights are the same, targets noise of the same variance, in copies the same."""
        if self._keeps and not self._kept:
            self._kept = self._all()
        images = copy(self)
        images._noise_seed = seed
        return images

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

    @property
    def ratios(self) -> tuple[float, float]:
        """The least and the largest scale of rotations."""
        ratio = self._dataset.frequency_ratio
        return float(ratio.min()), float(ratio.max())

    def backend(self, sphere: HalfSphere) -> Backend:
        """What compares these images with volumes on a sphere."""
        return self.compute.backend(sphere, self.lattice)

    def passes(self, count: int, some: slice = ALL) -> Iterator[WhitenedBatch]:
        """One pass in order, with the first `count` coefficients of each image, or `some` of them."""
        if self._keeps and not self._kept:
            self._kept = self._all()
        noise, (first, stop, _) = self._noise_seed is not None, some.indices(count)
        read = slice(count) if noise else slice(first, stop)
        if self._kept:
            batches = (batch.part(read) for batch in self._kept)
        else:
            batches = (self._whiten(raw, read.stop, read.start or 0) for raw in self._own(read.stop))
        for batch in batches:
            whole = self._nothing(batch).part(slice(first, stop)) if noise else batch
            for part in whole.in_parts(self.memory.pieces):
                self._passed["images"] += len(part)
                yield part

    def _nothing(self, batch: WhitenedBatch) -> WhitenedBatch:
        """The batch with noise for targets, E|t|² = m w; the same whenever it is asked for."""
        multiplicity = table(self.lattice, "multiplicity", batch.weights.device, batch.weights.dtype)
        copies, seed, shape = self._dataset.copies, self._noise_seed * self.n, (*batch.targets.shape, 2)
        parts = [(shape, batch.index[0])]
        if copies.any:
            parts = [((1, *shape[1:]), image) for image in copies.shown[batch.index]]
        noise = torch.cat([_normal(part, seed + int(first), batch.weights.dtype) for part, first in parts])
        sd = (multiplicity[: batch.targets.shape[1]] * batch.weights / 2).sqrt()
        return replace(batch, targets=torch.view_as_complex(noise.to(sd.device)) * sd)

    def by_halves(self, count: int, half: np.ndarray | None, some: slice = ALL) -> Iterator[tuple[int, WhitenedBatch]]:
        """One pass over the images, those of each half-set by themselves: the one way to go over them by halves.

        Parameters
        ----------
        half : (N,) int, 0 or 1; images at other numbers are left out. None puts all into half 0.
        some : as of `passes`.

        Yields
        ------
        The half, and images of it; never none.
        """
        for batch in self.passes(count, some):
            for part in range(1 if half is None else 2):
                members = None if half is None else np.flatnonzero(half[batch.index] == part)
                if members is None or len(members) == len(batch):
                    yield part, batch
                elif len(members):
                    yield part, batch.at(members)

    def _all(self) -> list[WhitenedBatch]:
        """All batches, as parts of one piece of memory: kept one by one among what comes and goes while they are made,
        they would leave holes as large as themselves."""
        shape, device = (self._most, self.lattice.size), self.compute.device
        targets = torch.empty(shape, dtype=self.compute.complex_dtype, device=device)
        weights = torch.empty(shape, dtype=self.compute.dtype, device=device)
        slopes = torch.empty_like(weights) if self.with_defocus else None
        batches: list[WhitenedBatch] = []
        done = 0
        for raw in self._own():
            batch = self._whiten(raw, self.lattice.size)
            rows = slice(done, done + len(batch))
            targets[rows], weights[rows] = batch.targets, batch.weights
            kept = replace(batch, targets=targets[rows], weights=weights[rows])
            if slopes is not None:
                slopes[rows] = batch.defocus_slopes
                kept = replace(kept, defocus_slopes=slopes[rows])
            batches.append(kept)
            done += len(batch)
        return batches

    def _own(self, count: int | None = None) -> Iterator[ImageBatch]:
        """The batches of this process, as they are read, with their first `count` coefficients."""
        return self._loader.iterate(0, self._share.start, self._share.stop, count)

    def of(self, index: np.ndarray, count: int) -> WhitenedBatch:
        """The images `index` (B,) with their first `count` coefficients."""
        return self._whiten(self._folding.source.batch(index, count), count)

    def of_each(self, lots: Iterable[np.ndarray], count: int) -> Iterator[WhitenedBatch]:
        """As `of`, one lot of images after the other, the next ones read in the background."""
        read = in_background(lambda: (self._folding.source.batch(index, count) for index in lots))
        return (self._whiten(raw, count) for raw in read)

    def _whiten(self, raw: ImageBatch, count: int, first: int = 0) -> WhitenedBatch:
        """The coefficients `first` to before `count`."""
        targets, weights = self._folding(raw, slice(first, count))
        rotations = weights.new_empty(len(raw), 0, 3, 3)
        if raw.pose is not None:
            rotations = self.compute.tensor(raw.pose.rotations[:, 0])
        return WhitenedBatch(targets, weights, rotations, raw.index, self._slopes(raw.index, count, first))

    def _slopes(self, index: np.ndarray, count: int, first: int) -> Tensor | None:
        """(B, F) per micrometre."""
        if not self.with_defocus:
            return None
        return self._folding.slopes(index, slice(first, count)) * ANG_PER_MICROMETRE


def _normal(shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
