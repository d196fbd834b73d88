"""What a pose search compares images with: the decoder itself, or maps rendered from it at a few places of the latent
space. A map costs a network one evaluation per voxel and then serves every image and pose, by matrix products.
"""

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
    ):
        centres: list[np.ndarray | None] = [None]
        self.volume = np.zeros(n_images, dtype=np.int64)
        if z is not None:
            with threads.sums_in_one_order():
                clusters = KMeans(min(count, n_images), n_init=1, random_state=seed).fit(z)
            centres, self.volume = list(clusters.cluster_centers_.astype(np.float32)), clusters.labels_
        self._extent_ang = extent_ang
        backend = compute.backend(HalfSphere(decoder.box, padding, radius), lattice)
        models = (LinearModel.of(backend, decoder.volume(centre)[None]) for centre in centres)
        self._banks = [SliceBank(model) for model in models]

    def score(self, images: WhitenedBatch, members: np.ndarray) -> Score:
        bank = self._banks[self.volume[members[0]]]
        return LinearScore(bank, images.targets, images.weights, self._extent_ang)


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
