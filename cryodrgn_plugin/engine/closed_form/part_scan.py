"""Is some small part of the molecule there in one particle and not in another? Asked of each, by a single number.

A direction that may be anywhere in the molecule has thousands of coefficients, in which noise looks like one as well,
so a small part that few particles lack drowns. A piece of the consensus, the density around some place, is a direction
without any coefficient: all there is to know is the variance v of its amplitude. With A_i and b_i what image i tells of
that amplitude once the mean, the directions known, contrast and pose errors are integrated out, and v = 0,

    Z = Σ (b_i² − A_i) / √(2 Σ A_i²)  ~  N(0, 1),

the score test of a variance component (Rao, Mathematical Proceedings of the Cambridge Philosophical Society 44, 1948,
50); with a variance it is v √(½ Σ A_i²) on average. Pieces of several sizes are tried all over the molecule.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..likelihood.linear_model import LinearModel
from ..likelihood.near_images import ImagesApart, compressed_apart
from ..likelihood.nuisances import Nuisances
from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host
from .directions import Band, Directions
from .local_parts import LocalParts
from .node_images import of_particles, one_of_each

WIDTHS = (1.4, 2.4)
"""Of pieces, standard deviations of Gaussians in voxels of the band; the narrowest is about as fine as the band is."""
SPACING = 2.0
"""Of the places of pieces, in widths."""
DENSE = 0.25
"""Pieces lie where the blurred density is this share of what it is in the core."""
MOST_PIECES = 400
"""Of one width: of a larger molecule the narrowest pieces are wider."""
AT_ONCE = 40
"""Pieces whose images are made together."""
LOOKED_AT, STEP = 8, 0.8
"""The pieces that stand out most are tried again moved by so many widths along each axis, to the corners of a cube as
well: Z falls with the square of what a piece has in common with the part."""
SURE = 4.5
"""Standard deviations by which a piece must stand out from noise, of which a few hundred pieces reach 3; and from the
bulk of the pieces, which whatever is wrong with all of the images raises."""
SCAN_TAKES = 1.4
"""What a part must be worth over the formula of `needed_information` to be found nearly always (`benchmarks/power.py
--calibrate`)."""


@dataclass(frozen=True)
class Pieces:
    """Parts of a body (D, D, D): `places` (P, 3) their voxels, `widths` (P,) in voxels."""

    body: np.ndarray
    places: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, body: np.ndarray) -> "Pieces":
        """Of every width, all over a density (D, D, D) that is nowhere negative."""
        smooth = ndimage.gaussian_filter(body, 1.0)
        dense = smooth > DENSE * np.quantile(smooth[body > 0], 0.9)
        places, widths = [], []
        for width in WIDTHS:
            width = max(width, float(np.cbrt(dense.sum() / MOST_PIECES)) / SPACING)
            if width in widths:
                continue
            at = _lattice(dense, SPACING * width)
            places.append(at)
            widths.append(width)
        return cls(body, np.concatenate(places), np.repeat(widths, [len(each) for each in places]))

    def __len__(self) -> int:
        return len(self.places)

    def at(self, some: np.ndarray) -> "Pieces":
        """Some of them."""
        return Pieces(self.body, self.places[some], self.widths[some])

    def around(self, some: np.ndarray) -> "Pieces":
        """Those that lie about some of these, with them."""
        ways = np.stack(np.meshgrid(*[(-STEP, 0, STEP)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        places = self.places[some, None] + ways * self.widths[some, None, None]
        return Pieces(self.body, places.reshape(-1, 3), np.repeat(self.widths[some], len(ways)))

    def volumes(self, some: slice) -> np.ndarray:
        """(n, D, D, D) float32."""
        grid = np.indices(self.body.shape, dtype=np.float32)
        far = [((grid - place[:, None, None, None]) ** 2).sum(0) for place in self.places[some]]
        falling = [np.exp(-each / (2 * width**2)) for each, width in zip(far, self.widths[some], strict=True)]
        return (self.body * np.stack(falling)).astype(np.float32)


def _lattice(dense: np.ndarray, spacing: float) -> np.ndarray:
    """(P, 3) the nodes of a cubic lattice, moved to the nearest voxel, where `dense` (D, D, D) is true; a voxel of it
    where it lies between all nodes."""
    axis = np.rint(np.arange(spacing / 2, len(dense), spacing)).astype(int)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = nodes[(nodes < len(dense)).all(1)]
    within = nodes[dense[tuple(nodes.T)]]
    return within if len(within) else np.argwhere(dense)[:1]


@dataclass(frozen=True)
class Scan:
    """What all images together say of P pieces: `z` (P,), and `variance` (P,) of their amplitudes."""

    pieces: Pieces
    z: np.ndarray
    variance: np.ndarray
    limit: float = SURE
    """What `z` must exceed."""

    @property
    def limit_of_bulk(self) -> float:
        """The lower half of the pieces tells how far the bulk of them strays."""
        middle, low = np.quantile(self.z, (0.5, 0.16))
        return max(SURE, float(middle + SURE * (middle - low)))

    def standing_out(self, most: int, apart: float, taken: LocalParts | None = None) -> np.ndarray:
        """(n,) numbers of the surest pieces, at most so many, whose places lie `apart` of their widths from others' and
        outside of the parts that are `taken`."""
        chosen: list[int] = []
        free = np.ones(len(self.z), bool) if taken is None else ~taken.hold(self.pieces.places / len(self.pieces.body))
        for number in np.argsort(-self.z, kind="stable"):
            if len(chosen) == most or self.z[number] < self.limit:
                break
            if not free[number]:
                continue
            away = np.linalg.norm(self.pieces.places[chosen] - self.pieces.places[number], axis=1)
            if (away > apart * (self.pieces.widths[chosen] + self.pieces.widths[number])).all():
                chosen.append(int(number))
        return np.array(chosen, int)


def needed_information(parts: np.ndarray, body: np.ndarray, n_particles: int) -> np.ndarray:
    """(n,) what an image must tell of the presence of each of the parts (n, D, D, D) of a body, θ of `detectable`, for
    the best piece about its middle to stand out: it has so much of θ as it has in common with the part.
    """
    pieces = Pieces.of(body)
    in_common = []
    for part in parts:
        middle = np.array(ndimage.center_of_mass(part))
        widths = np.unique(pieces.widths)
        best = Pieces(body, np.repeat(middle[None], len(widths), axis=0), widths).volumes(slice(None))
        shared = (best * part).sum((1, 2, 3)) ** 2 / (best**2).sum((1, 2, 3)) / (part**2).sum()
        in_common.append(shared.max())
    return SCAN_TAKES * SURE * np.sqrt(2 / n_particles) / np.maximum(in_common, 1e-6)


def scanned(
    images: WhitenedImages,
    dataset: ParticleDataset,
    series: TiltSeries,
    band: Band,
    model: LinearModel,
    found: Directions,
) -> Scan:
    """Every piece of the consensus; `model` is the mean and the directions known, in the frame of `found`."""
    own = torch.as_tensor(one_of_each(dataset, series), device=images.compute.device)

    def scan(pieces: Pieces) -> Scan:
        scores = [_scores(*each, own) for each in said_of(images, series, band, model, found, pieces)]
        z, variance = (np.concatenate(values) for values in zip(*scores, strict=True))
        return Scan(pieces, z, variance)

    everywhere = scan(Pieces.of(np.maximum(model.mean_map(), 0) * band.mask))
    closer = scan(everywhere.pieces.around(np.argsort(-everywhere.z, kind="stable")[:LOOKED_AT]))
    return replace(closer, limit=everywhere.limit_of_bulk)


def _scores(told: Tensor, precision: Tensor, own: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """`z` and `variance` (n,) of some pieces."""
    score, square = (told[own] ** 2 - precision[own]).sum(0), (precision[own] ** 2).sum(0)
    # Of a piece outside of the body images tell nothing, and 0 / 0 must not stand out.
    z, variance = (values.nan_to_num(nan=0.0) for values in (score / (2 * square).sqrt(), score / square))
    return on_host(z), on_host(variance)


def said_of(
    images: WhitenedImages, series: TiltSeries, band: Band, model: LinearModel, found: Directions, pieces: Pieces
) -> Iterator[tuple[Tensor, Tensor]]:
    """b and A (N, n) of the N images, some pieces at a time, each image's and all of its particle's together."""
    for start in range(0, len(pieces), AT_ONCE):
        of_pieces = LinearModel.of(model.backend, pieces.volumes(slice(start, start + AT_ONCE))).coefs
        both = LinearModel(model.backend, torch.cat([model.coefs, of_pieces], 2))
        told = images.compute.double(torch.zeros(images.n, of_pieces.shape[2]))
        precision = torch.zeros_like(told)
        for rows, apart in compressed_apart(both, of_pieces.shape[2], images, band.count, band.moving):
            told[rows], precision[rows] = left_of_pieces(apart, found.nuisances.at(rows))
        images.ranks.total(told, precision)
        told, precision = of_particles(told, precision, series)
        average = (told.sum(0) / precision.sum(0)).nan_to_num(nan=0.0)
        yield told - precision * average, precision  # what the mean has too little of does not vary


def left_of_pieces(images: ImagesApart, nuisances: Nuisances) -> tuple[Tensor, Tensor]:
    """b and A (N, n) of the amplitudes of pieces, around 0, each by itself: those of the other volumes are of unit
    variance, but for the mean's."""
    n_errors = len(nuisances.pose_sd)
    n_bases = images.inner.shape[1] - 1 - n_errors
    sd = torch.cat([nuisances.pose_sd.new_full((1,), nuisances.contrast_sd), nuisances.pose_sd]).clamp(min=1e-9)
    sd = torch.cat([sd[:1], sd.new_ones(n_bases), sd[1:]])
    pull = images.inner - images.gram[:, 0]
    pull[:, 1 + n_bases :] -= nuisances.moved * nuisances.pose_sd.clamp(min=1e-9) ** -2
    among = images.gram + (sd**-2).diag()
    taken = torch.linalg.solve(among, torch.cat([images.shared, pull[:, :, None]], 2))
    told = images.told - images.shared[:, 0] - (images.shared * taken[:, :, -1:]).sum(1)
    return told, images.own - (images.shared * taken[:, :, :-1]).sum(1)
