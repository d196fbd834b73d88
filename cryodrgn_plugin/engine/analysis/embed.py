"""Two ways to look at latents: principal components (exact, linear) and UMAP (neighbourhoods kept, distances not)."""

import importlib
import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from .. import threads
from ..errors import DataError

MIN_DIST = 0.1
"""How tightly UMAP packs neighbours; cryoDRGN's choice."""
COMPILED = (
    ("umap.umap_", "smooth_knn_dist"),
    ("umap.umap_", "compute_membership_strengths"),
    ("umap.layouts", "_nb_optimize_layout_euclidean_single_epoch"),
)
"""What umap-learn compiles anew in every process, for 6 s, unless it is asked to keep it."""


@dataclass(frozen=True)
class Pca:
    """Principal components of latents z (N, Z), by falling variance; P = Z of them."""

    mean: np.ndarray
    """(Z,)."""
    axes: np.ndarray
    """(P, Z), unit rows; the entry of largest size is positive, so that the sign does not depend on chance."""
    explained: np.ndarray
    """(P,) share of the total variance."""
    scores: np.ndarray
    """(N, P) float32: z in these axes."""


@dataclass(frozen=True)
class UmapEmbedding:
    """Two-dimensional UMAP positions of all particles."""

    positions: np.ndarray
    """(N, 2) float32."""
    fitted_on: int
    """Particles the embedding was fitted on; the others were placed by it."""


def principal_components(z: np.ndarray) -> Pca:
    """PCA of z (N, Z) by the eigenvectors of its covariance, which is exact and quick however many particles there are.

    Raises DataError when z holds a value that is not finite.
    """
    if not np.isfinite(z).all():
        bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
        raise DataError(
            f"The latents of {len(bad):,} of {len(z):,} particles are not finite, the first is particle {bad[0]}; "
            "the training diverged: lower training.learning_rate and train again."
        )
    mean = z.mean(axis=0, dtype=np.float64)
    centred = z - mean
    variance, vectors = np.linalg.eigh(centred.T @ centred / max(len(z), 1))
    variance, axes = np.maximum(variance[::-1], 0), vectors.T[::-1]
    largest = np.argmax(np.abs(axes), axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return Pca(mean, axes, variance / max(variance.sum(), 1e-30), (centred @ axes.T).astype(np.float32))


def umap_embedding(z: np.ndarray, *, neighbors: int, limit: int, seed: int) -> UmapEmbedding:
    """UMAP of z (N, Z), the same for the same seed.

    Above `limit` particles it is fitted on `limit` of them, drawn at random; each of the rest is placed at the mean of
    its `neighbors` nearest among those, weighted by closeness. That is where umap-learn's own `transform` starts; the
    optimisation that follows there takes longer than all else and moves points little.
    """
    n = len(z)
    if n <= 3:
        return UmapEmbedding(np.pad(z[:, :2], ((0, 0), (0, 2 - min(z.shape[1], 2)))).astype(np.float32), n)
    from scipy.spatial import cKDTree
    from umap import UMAP

    _keep_compiled()
    fitted = np.arange(n) if n <= limit else np.sort(np.random.default_rng(seed).choice(n, limit, replace=False))
    k = min(neighbors, len(fitted) - 1)
    tree = cKDTree(z[fitted])
    distances, indices = tree.query(z[fitted], k, workers=threads.available())
    # Exact neighbours from a tree, handed over: the approximate search would have to be compiled on every start.
    # One thread and a fixed state: UMAP's threads race and would give another picture each time.
    mapper = UMAP(
        n_neighbors=k,
        min_dist=MIN_DIST,
        random_state=seed,
        n_jobs=1,
        force_approximation_algorithm=True,
        precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32)),
    )
    positions = np.empty((n, 2), np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="precomputed_knn", category=UserWarning)
        positions[fitted] = mapper.fit_transform(z[fitted])
    rest = np.setdiff1d(np.arange(n), fitted, assume_unique=True)
    if len(rest):
        positions[rest] = _between_neighbours(positions[fitted], *tree.query(z[rest], k, workers=threads.available()))
    return UmapEmbedding(positions, len(fitted))


def _keep_compiled() -> None:
    """Have numba keep what it compiles for UMAP where it keeps our own kernels. Another version of umap-learn may call
    its functions otherwise; then they are compiled as ever."""
    for module, name in COMPILED:
        function = getattr(importlib.import_module(module), name, None)
        if hasattr(function, "enable_caching"):
            with suppress(RuntimeError):  # no folder takes it
                function.enable_caching()


def _between_neighbours(positions: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """(M, 2) means of positions[indices], with weights that fall off from the nearest neighbour on, as UMAP's do."""
    beyond_first = distances - distances[:, :1]
    width = np.maximum(beyond_first.mean(axis=1, keepdims=True), 1e-12)
    weights = np.exp(-beyond_first / width)
    return (positions[indices] * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
