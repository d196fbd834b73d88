"""The landscape of any decoder, by the route of Zhong's thesis (chapter 6): a sketch of volumes, their PCA, and φ.

Volumes are made at the particles nearest to k-means centres of z; inside the mask their principal components span the
space; φ learns from further volumes to place every particle in it. The sketch is kept in a scratch file while the
landscape is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..analysis.volumes import TrainedDecoder
from .landscape_options import LandscapeOptions
from .phi import HeldOut, learn_phi
from .region import region_of_interest
from .representatives import nearest, on_data_centres
from .space import Places, Progress, require_differences

SCRATCH = "sketch.npy"


@dataclass(frozen=True)
class Sketch:
    """Volumes at chosen particles."""

    particles: np.ndarray
    """(M,) indices."""
    volumes: np.ndarray
    """(M, D, D, D) float32, on disk."""


@dataclass(frozen=True)
class Averages:
    """Makes averages of the sketch's volumes; does what `TrainedDecoder` does, with group numbers in the place of z."""

    sketch: Sketch
    groups: Sequence[np.ndarray]
    """Members of each group among the sketch."""
    pixel_size_ang: float

    @property
    def box(self) -> int:
        return self.sketch.volumes.shape[-1]

    def volume(self, number: np.ndarray) -> np.ndarray:
        """(D, D, D) float32: the average of group `number` (1,)."""
        return np.mean([self.sketch.volumes[k] for k in self.groups[int(number[0])]], axis=0)

    def half_volumes(self, number: np.ndarray) -> None:
        """A sketch has no halves."""


@dataclass(frozen=True)
class SketchedSpace:
    """All particles as φ places them."""

    decoder: TrainedDecoder
    mask: np.ndarray
    scores: np.ndarray
    explained: np.ndarray
    z: np.ndarray
    sketch: Sketch
    mapped: int
    judged: HeldOut
    method: str = "sketch"

    def averages(self, members: Sequence[np.ndarray], posterior: np.ndarray | None = None) -> Places:
        """The average of the sketch's volumes in each group; where the sketch has none, its member nearest to it."""
        centres = np.stack([self.scores[index].mean(axis=0) for index in members])
        own = self.scores[self.sketch.particles]
        inside = [np.flatnonzero(np.isin(self.sketch.particles, index)) for index in members]
        # `held` are the volumes of the sketch that lie in the group, as positions in the sketch.
        groups = [
            held if len(held) else nearest(own, centre[None]) for held, centre in zip(inside, centres, strict=True)
        ]
        particles = nearest(self.scores, centres)
        maker = Averages(self.sketch, groups, self.decoder.pixel_size_ang)
        return Places(maker, np.arange(len(groups))[:, None], self.z[particles], particles)

    def walk(self, component: int, scores: np.ndarray) -> Places:
        """At the particles nearest to the axis: sums of a network's volumes fade where a particle moves."""
        on_axis = np.zeros((len(scores), self.scores.shape[1]))
        on_axis[:, component] = scores
        particles = nearest(self.scores, on_axis)
        return Places(self.decoder, self.z[particles], self.z[particles], particles)


def sketched_space(
    decoder: TrainedDecoder, z: np.ndarray, options: LandscapeOptions, scratch: Path, report: Progress
) -> SketchedSpace:
    """Sketch, mask, PCA and φ; the sketch's volumes are written to `scratch`.

    Raises DataError where the volumes do not differ.
    """
    sketch = _sketched(decoder, z, on_data_centres(z, options.sketch, options.seed), scratch / SCRATCH, report)
    # Every volume of the sketch as a group of its own.
    singles = np.arange(len(sketch.particles))[:, None]
    mask = region_of_interest(options.mask, Averages(sketch, singles, decoder.pixel_size_ang), singles, report)
    mean, axes, explained = _components(sketch, mask, options.components)
    rest = np.setdiff1d(np.arange(len(z)), sketch.particles)
    more = np.random.default_rng(options.seed).permutation(rest)[: options.mapped]
    weight = mask[mask > 0]

    def placed(volume: np.ndarray) -> np.ndarray:
        return (volume[mask > 0] * weight - mean) @ axes.T

    pairs = [placed(volume) for volume in sketch.volumes]
    for done, index in enumerate(more, start=1):
        pairs.append(placed(decoder.volume(z[index])))
        report("volumes for phi", done, len(more))
    taught = np.concatenate([sketch.particles, more])
    phi, judged = learn_phi(z[taught], np.array(pairs), options.seed, report)
    return SketchedSpace(decoder, mask, phi(z), explained, z, sketch, len(more), judged)


def _sketched(decoder: TrainedDecoder, z: np.ndarray, particles: np.ndarray, file: Path, report: Progress) -> Sketch:
    shape = (len(particles), *(decoder.box,) * 3)
    volumes = np.lib.format.open_memmap(file, "w+", np.float32, shape)
    for done, index in enumerate(particles, start=1):
        volumes[done - 1] = decoder.volume(z[index])
        report("sketch", done, len(particles))
    return Sketch(particles, volumes)


def _components(sketch: Sketch, mask: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (V,), axes (P, V) and explained shares (P,) of the sketch's volumes in the V voxels of the mask."""
    from sklearn.decomposition import PCA

    inside = mask > 0
    masked = np.stack([volume[inside] * mask[inside] for volume in sketch.volumes])
    require_differences(float(masked.var(axis=0).sum()), float(np.square(masked[0]).sum()))
    pca = PCA(min(components, len(masked)), svd_solver="full")
    pca.fit(masked)
    return pca.mean_, pca.components_, pca.explained_variance_ratio_
