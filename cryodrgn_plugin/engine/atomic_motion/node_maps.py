"""The maps of a run at points of its latent space, with their halves, their noise and how the points lie to each
other."""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from ..analysis.classes import classes_of
from ..analysis.metric import LatentMetric
from ..analysis.volumes import TrainedDecoder
from ..geometry.hand import mirrored_map
from ..latents import Latents

NOISE_SHELLS = (2, 10)
"""Between which the noise of maps is measured: where beads, blurred, have their power."""


@dataclass(frozen=True)
class NodeMaps:
    """M maps. With one hand for all: `mirrored` ones are of the other."""

    z: np.ndarray
    """(M, Z) latents."""
    points: np.ndarray
    """(M, P) positions whose distances say how different maps are."""
    share: np.ndarray
    """(M,) of the particles that are nearest to each."""
    volumes: np.ndarray
    """(M, D, D, D) float32."""
    halves: np.ndarray | None
    """(2, M, D, D, D) float32 from halves of the particles; None where the run has none."""

    @property
    def mean(self) -> np.ndarray:
        """(D, D, D) over the particles."""
        return np.tensordot(self.share, self.volumes, axes=1)

    def noise(self) -> float:
        """Power of the noise per voxel at low frequency, of a map of all particles; without halves a hundredth of the
        maps' power there."""
        box = self.volumes.shape[-1]
        if self.halves is None:
            return 0.01 * low_power(self.mean) / box**3
        differences = (self.halves[0] - self.halves[1]) / 2
        return float(np.mean([low_power(one) for one in differences])) / box**3


def node_maps(
    decoder: TrainedDecoder, latents: Latents, metric: LatentMetric, nodes: int, usual: int, seed: int
) -> NodeMaps:
    """Maps at the separate states that training found, or else at centres of k-means clusters of the latents.

    Parameters
    ----------
    nodes : how many; 0 takes the separate states, or else `usual` clusters.
    """
    classes = classes_of(latents, nodes, usual, "states", seed)
    z = np.asarray(classes.points, np.float32)
    if classes.posterior is not None:
        share = classes.posterior.mean(axis=0, dtype=np.float64)
    else:
        share = np.bincount(classes.labels, minlength=len(z)) / len(classes.labels)
    volumes = np.stack([decoder.volume(point) for point in z]).astype(np.float32)
    pairs = [decoder.half_volumes(point) for point in z]
    halves = None if pairs[0] is None else np.stack(pairs, axis=1).astype(np.float32)
    return NodeMaps(z, metric.at(z), share, volumes, halves)


def of_other_hand(maps: NodeMaps) -> NodeMaps:
    """The same maps, mirrored."""
    mirrored = np.stack([mirrored_map(volume) for volume in maps.volumes])
    halves = maps.halves
    if halves is not None:
        halves = np.stack([[mirrored_map(volume) for volume in half] for half in halves])
    return NodeMaps(maps.z, maps.points, maps.share, mirrored, halves)


def low_power(volume: np.ndarray) -> float:
    """Mean |F|² over the shells where noise is measured."""
    box = len(volume)
    full, half = np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1)
    radius = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
    low, high = NOISE_SHELLS
    inside = (radius >= low) & (radius <= min(high, box // 2))
    return float(np.square(np.abs(scipy.fft.rfftn(volume)[inside])).mean())
