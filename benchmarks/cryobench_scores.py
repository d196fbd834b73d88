"""CryoBench's scores, as its scripts compute them, and one of our own on the latent space.

Theirs (github.com/ml-struct-bio/CryoBench, metrics/fsc): a curve has one point per shell of one voxel, i − 1 ≤ |k| < i
for i = 1 … D/2 − 1, and a first point of 1, at i / D on an axis that ends under 0.5 (0.484 at a box of 64, 0.492 at
128); the score is the area under its absolute value by trapezoids. No mask, no alignment.

*Per image*: the map at the latent coordinate of every (N // 100)-th image, images in order of their states. *Per
conformation*: for each state the map at the coordinate of the image that is nearest to the mean of the state's images.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.integrate import trapezoid
from scipy.spatial import cKDTree

from cryodrgn_plugin.engine.analysis.truth import Truth

IMAGES = 100
NEIGHBOURS = 10


@dataclass(frozen=True)
class Score:
    """Areas under FSC curves over several maps."""

    mean: float
    sd: float
    maps: int


def fsc_curve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(D // 2,) correlation of two (D, D, D) maps in CryoBench's shells, the first point 1 by definition."""
    box = len(a)
    first, second = np.fft.fftn(a).ravel(), np.fft.fftn(b).ravel()
    shell = _shells(box)

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(shell, values, box)[: box // 2]

    power = sums(np.abs(first) ** 2) * sums(np.abs(second) ** 2)
    cross = sums((first.conj() * second).real)
    curve = np.divide(cross, np.sqrt(power), out=np.ones_like(cross), where=power > 0)
    curve[0] = 1.0
    return curve


@lru_cache(maxsize=2)
def _shells(box: int) -> np.ndarray:
    """(box³,) number i ≥ 1 of the shell with i − 1 ≤ |k| < i of each coefficient of `fftn`."""
    k = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    return np.floor(radius).astype(np.int64).ravel() + 1


def fsc_area(a: np.ndarray, b: np.ndarray) -> float:
    """Area under |FSC| of two (D, D, D) maps; at most (D/2 − 1) / D."""
    curve = fsc_curve(a, b)
    return float(trapezoid(np.abs(curve), np.arange(len(curve)) / len(a)))


def sampled_images(state: np.ndarray, count: int = IMAGES) -> np.ndarray:
    """Rows of every (N // count)-th image, in order of state as CryoBench's sets are."""
    step = max(1, len(state) // count)
    return np.argsort(state, kind="stable")[::step]


def images_at_means(z: np.ndarray, state: np.ndarray) -> np.ndarray:
    """(S,) row of the image of each state whose (Z,) coordinate is nearest to the mean of the state's images."""
    rows = []
    for each in np.unique(state):
        members = np.flatnonzero(state == each)
        distance = np.linalg.norm(z[members] - z[members].mean(axis=0), axis=1)
        rows.append(members[np.argmin(distance)])
    return np.array(rows)


def scored(volumes: Iterable[np.ndarray], rows: np.ndarray, truth: Truth) -> Score:
    """Areas of maps (n, D, D, D) against the true maps of the images `rows`."""
    areas = [fsc_area(truth.maps[truth.state[row]], volume) for volume, row in zip(volumes, rows, strict=True)]
    return Score(round(float(np.mean(areas)), 4), round(float(np.std(areas)), 4), len(areas))


def both_scores(
    z: np.ndarray, volumes_at: Callable[[np.ndarray], np.ndarray], truth: Truth, maps: int = IMAGES
) -> dict[str, dict]:
    """Per-image and per-conformation scores of (N, Z) coordinates and the maps at some of them (rows → maps).

    Of about `maps` images, and of as many states where there are more.
    """
    images, at_means = sampled_images(truth.state, maps), images_at_means(z, truth.state)
    at_means = at_means[:: max(1, len(at_means) // maps)]
    volumes = volumes_at(np.concatenate([images, at_means]))
    return {
        "per_image": vars(scored(volumes[: len(images)], images, truth)),
        "per_conformation": vars(scored(volumes[len(images) :], at_means, truth)),
    }


def told_by_neighbours(z: np.ndarray, truth: Truth) -> float:
    """`share_told` by the ten nearest neighbours of each image in (N, Z) coordinates, itself left out."""
    _, near = cKDTree(z).query(z, NEIGHBOURS + 1)
    shares = np.zeros((len(z), len(truth.maps)))
    np.add.at(shares, (np.arange(len(z))[:, None], truth.state[_without_self(near)]), 1 / NEIGHBOURS)
    return share_told(shares, truth)


def share_told(shares: np.ndarray, truth: Truth) -> float:
    """How much of the variance of the images' true maps is told by (N, S) shares of the states; at most 1.

    An image is predicted by the true maps, averaged with its shares. The mean of all images tells 0, and what is worse
    is negative.
    """
    flat = truth.maps.reshape(len(truth.maps), -1).astype(np.float64)
    flat = flat - flat[truth.state].mean(axis=0)
    gram = flat @ flat.T
    error = shares.copy()
    error[np.arange(len(error)), truth.state] -= 1
    left = np.einsum("ns,st,nt->", error, gram, error, optimize=True)
    return round(float(1 - left / gram.diagonal()[truth.state].sum()), 4)


def _without_self(near: np.ndarray) -> np.ndarray:
    """(N, k) neighbours from (N, k + 1): the image itself is left out, or the last where others lie on its spot."""
    own = near == np.arange(len(near))[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(len(near), -1)
