"""How well a run recovered a planted truth: coordinate, maps, and maps where things move.

For simulated sets. Every figure has its yardstick beside it: the oracle's coordinate, the consensus map, class averages
with the true labels, and the same map solution given the true coordinates.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from ..errors import DataError
from ..io.arrays import read_arrays
from ..io.mrc import read_map
from ..likelihood.equations import accumulate, of_amplitudes
from ..likelihood.linear_model import fit_volumes, soft_ball, sphere_at
from ..likelihood.whitened import WhitenedImages
from ..reconstruction.adaptive import local_wiener
from ..reconstruction.fsc import fsc, fsc_area
from ..slicing.fine import cropped_volume
from ..slicing.place import on_host

MOVING_SHARE = 0.05
"""Share of the box that counts as moving: where the true maps differ most."""


@dataclass(frozen=True)
class Truth:
    """A simulated set's truth: `state` (N,), `coordinate` (N,), `maps` (S, D, D, D)."""

    state: np.ndarray
    coordinate: np.ndarray
    maps: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> "Truth":
        """Read truth.npz and maps/ beside the simulated star file."""
        try:
            stored = read_arrays(folder / "truth.npz", "state", "coordinate")
        except FileNotFoundError:
            raise DataError(f"{folder} has no truth.npz; give the folder that the simulation wrote.") from None
        state, coordinate = stored["state"].astype(np.int64), stored["coordinate"]
        maps = np.stack([read_map(path)[0] for path in sorted((folder / "maps").glob("state_*.mrc"))])
        return cls(state, coordinate, maps)

    def at_box(self, box: int) -> "Truth":
        """The same truth with maps Fourier-cropped to `box`, in the grey scale of images cropped to it."""
        full = self.maps.shape[1]
        if box == full:
            return self
        return replace(self, maps=np.stack([cropped_volume(volume, box) * (full / box) for volume in self.maps]))

    def moving_mask(self) -> np.ndarray:
        """(D, D, D) float32. Soft mask of the voxels that differ most between states."""
        spread = gaussian_filter(self.maps.std(0), 1.5)
        return gaussian_filter((spread > np.quantile(spread, 1 - MOVING_SHARE)).astype(np.float32), 1.5)


@dataclass(frozen=True)
class MapQuality:
    """Mean area under the FSC to the true maps over sampled images, over the box and inside the moving mask."""

    box: float
    moving: float


def rank_correlation(found: np.ndarray, true: np.ndarray) -> float:
    """|Spearman|; 0 for a coordinate that does not vary."""
    value = spearmanr(found, true).correlation
    return 0.0 if np.isnan(value) else abs(float(value))


def map_quality(volumes: np.ndarray, truth: Truth, sample: np.ndarray) -> MapQuality:
    """Per-image FSC areas (Zhong's thesis, 4.4.7): volumes (n, D, D, D) against true maps of sampled images."""
    mask = truth.moving_mask()
    pairs = [(volume, truth.maps[truth.state[i]]) for volume, i in zip(volumes, sample, strict=True)]
    last = len(mask) // 2 - 1
    whole = [fsc_area(fsc(a, b), last) for a, b in pairs]
    moving = [fsc_area(fsc(a, b, mask), last) for a, b in pairs]
    return MapQuality(float(np.mean(whole)), float(np.mean(moving)))


def class_averages(images: WhitenedImages, box: int, padding: float, truth: Truth, sample: np.ndarray) -> np.ndarray:
    """(n, D, D, D): the reconstruction from the images of the true state of each sampled image."""
    averages = {}
    for state in np.unique(truth.state[sample]):
        member = (truth.state == state).astype(np.float64)
        averages[state] = _solve(images, box, padding, member[:, None], None)[0]
    return np.stack([averages[truth.state[i]] for i in sample])


def consensus(images: WhitenedImages, box: int, padding: float) -> np.ndarray:
    """(D, D, D): one map from all images."""
    return _solve(images, box, padding, np.ones((images.n, 1)), None)[0]


def maps_at_true_coordinates(
    images: WhitenedImages,
    box: int,
    padding: float,
    truth: Truth,
    n_functions: int,
    sample: np.ndarray,
    half: np.ndarray,
) -> np.ndarray:
    """(n, D, D, D): the run's own map solution, given the true coordinate of every image instead of the found one.

    The functions are cosines of the rank of the coordinate, as many as the run has harmonics.
    """
    rank = np.argsort(np.argsort(truth.coordinate, kind="stable")) / len(truth.coordinate)
    waves = np.cos(np.pi * np.arange(n_functions + 1) * rank[:, None])
    halves = _solve(images, box, padding, waves, half)
    joined = np.stack([local_wiener(a, b) for a, b in zip(*halves, strict=True)])
    return np.tensordot(waves[sample], joined, (1, 0))


def _solve(images: WhitenedImages, box: int, padding: float, amplitudes: np.ndarray, half: np.ndarray | None):
    """Volumes (C, D, D, D) for given amplitudes (N, C): of all images, or one set per half."""
    sphere = sphere_at(box, padding, images.lattice.radius)

    moments = of_amplitudes(images.compute.double(amplitudes))
    equations = accumulate(images, sphere, images.lattice.size, moments, half)
    volumes = [on_host(model.volumes()) for model in fit_volumes(equations, soft_ball(box))]
    return volumes[0] if half is None else volumes
