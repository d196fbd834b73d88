"""What a pose search compares images with: the decoder itself, or maps rendered from it at a few places of the latent
space. A map costs a network one evaluation per voxel and then serves every image and pose, by matrix products.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from sklearn.cluster import KMeans

from .. import threads
from ..decoders.decoder import Decoder
from ..imaging.lattice import HalfPlane
from ..likelihood.decoder_score import DecoderScore
from ..likelihood.linear_model import LinearModel
from ..likelihood.linear_score import LinearScore, SliceBank
from ..likelihood.whitened import WhitenedBatch
from ..poses.inference import Score
from ..ranks import Ranks
from ..slicing.compute import Compute
from ..slicing.sphere import HalfSphere


class SearchVolumes(Protocol):
    """Volumes for N images."""

    volume: np.ndarray
    """(N,) int. Images whose numbers differ cannot share a score."""

    def score(self, images: WhitenedBatch, members: np.ndarray) -> Score:
        """The score of whitened images (B), which are the `members` (B,) and share a volume number."""


class RenderedVolumes:
    """Maps of a decoder at the centres of clusters of z; each image is compared with its cluster's.

    Parameters
    ----------
    z : (N, Z), or None without latent: one map.
    count : how many maps at most.
    padding : oversampling of the Fourier grid that slices are interpolated on.
    radius : highest frequency asked for.
    compute : the device that images are on.
    ranks : processes that render some of the maps each; all have all of them.
    """

    def __init__(
        self,
        decoder: Decoder,
        z: np.ndarray | None,
        n_images: int,
        count: int,
        lattice: HalfPlane,
        extent_ang: float,
        padding: float,
        radius: float,
        seed: int,
        compute: Compute,
        ranks: Ranks | None = None,
    ):
        centres: list[np.ndarray | None] = [None]
        self.volume = np.zeros(n_images, dtype=np.int64)
        if z is not None:
            with threads.sums_in_one_order():
                clusters = KMeans(min(count, n_images), n_init=1, random_state=seed).fit(z)
            centres, self.volume = list(clusters.cluster_centers_.astype(np.float32)), clusters.labels_
        self._extent_ang = extent_ang
        backend = compute.backend(HalfSphere(decoder.box, padding, radius), lattice)
        maps = _rendered(decoder, centres, ranks or Ranks())
        self._banks = [SliceBank(LinearModel.of(backend, volume[None])) for volume in maps]

    def score(self, images: WhitenedBatch, members: np.ndarray) -> Score:
        bank = self._banks[self.volume[members[0]]]
        return LinearScore(bank, images.targets, images.weights, self._extent_ang)


def _rendered(decoder: Decoder, centres: list[np.ndarray | None], ranks: Ranks) -> Iterable[np.ndarray]:
    """The map (D, D, D) at each of the centres; of one process they are made one by one, as they are taken."""
    if ranks.alone:
        return map(decoder.volume, centres)
    maps = np.zeros((len(centres), *[decoder.box] * 3), np.float32)
    for number in ranks.share(len(centres)):
        maps[number] = decoder.volume(centres[number])
    ranks.total(torch.from_numpy(maps))
    return maps


class DecodedVolumes:
    """The decoder's own slices at every image's z (N, Z): exact, and slow for networks."""

    def __init__(
        self,
        decoder: Decoder,
        z: np.ndarray | None,
        n_images: int,
        lattice: HalfPlane,
        pixel_size_ang: float,
        device: torch.device,
    ):
        self.volume = np.zeros(n_images, dtype=np.int64)
        self._decoder, self._lattice, self._pixel_size_ang, self._device = decoder, lattice, pixel_size_ang, device
        self._z = None if z is None else torch.as_tensor(z, dtype=torch.float32, device=device)

    def score(self, images: WhitenedBatch, members: np.ndarray) -> Score:
        z = None if self._z is None else self._z[torch.as_tensor(members, device=self._device)]
        return DecoderScore(self._decoder, images, self._lattice, self._pixel_size_ang, z, self._device)
