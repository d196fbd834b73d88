"""Maps from particles with poses: weighted backprojection, half-maps in one pass, and the Wiener filter between them.

The sums and their solution are in `accumulator`; here images are read, once, and shared out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..data.batch import centred
from ..data.half_sets import drawn_halves, tied_images, united
from ..data.loader import BatchLoader
from ..errors import ConfigError, DataError
from ..imaging.noise import NoiseModel
from ..ranks import Ranks
from .accumulator import Accumulator, precision_from_fsc, precision_from_power
from .fsc import fsc
from .masks import spherical_mask

MODES = ("wiener", "bayes", "relion")
BATCH = 256


@dataclass(frozen=True)
class HalfMaps:
    """Two independent maps and what they say together.

    half1, half2 : (D, D, D) float32 without prior. combined : all images, Wiener-filtered by the halves' FSC.
    fsc : (D//2 + 1,) unmasked curve. halves : (n,) int8, 0 or 1 for each particle asked for.
    """

    half1: np.ndarray
    half2: np.ndarray
    combined: np.ndarray
    fsc: np.ndarray
    halves: np.ndarray


def accumulate(
    dataset,
    index: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    noise: NoiseModel | None = None,
    labels: np.ndarray | None = None,
    padding: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> list[Accumulator]:
    """Read the particles once and sum them into one accumulator per label.

    Parameters
    ----------
    dataset : ParticleDataset with poses.
    index : (n,) particles to use, default all; `weights` (n,) and `labels` (n,) ints from 0 go with it.
    noise : variance per optics group and shell; None weights all coefficients alike.
    progress : told (particles done, particles in all) after each batch.
    ranks : processes that share the pass; each has the sums of all.
    """
    dataset.require_poses()
    ranks = ranks or Ranks()
    chosen = np.arange(dataset.n) if index is None else np.asarray(index)
    if not len(chosen):
        raise DataError("There are no particles to reconstruct from.")
    labels = np.zeros(len(chosen), dtype=np.int64) if labels is None else np.asarray(labels)
    weights = np.ones(len(chosen), dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32)
    sums = [Accumulator(dataset.lattice, padding) for _ in range(int(labels.max()) + 1)]
    multiplied = dataset.ctf_multiplied[chosen]
    loader = BatchLoader(dataset.subset(chosen), BATCH, shuffle=False)
    own = ranks.share(len(loader))
    done = own.start * BATCH
    for batch in loader.iterate(0, own.start, own.stop):
        rows = slice(done, done + len(batch))
        done = rows.stop
        spectra = centred(batch)
        variance = None if noise is None else noise.per_coefficient(dataset.lattice, batch.group)
        for label, is_multiplied in np.ndindex(len(sums), 2):
            alike = np.flatnonzero((labels[rows] == label) & (multiplied[rows] == is_multiplied))
            if len(alike):
                sums[label].add(
                    spectra[alike],
                    batch.ctf[alike],
                    batch.pose.rotations[alike, 0],
                    weights[rows][alike],
                    None if variance is None else variance[alike],
                    ctf_multiplied=bool(is_multiplied),
                )
        if progress is not None:
            progress(done, len(chosen))
    ranks.total(*(torch.from_numpy(each.sums) for each in sums))
    return sums


def backproject(
    dataset,
    index: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    noise: NoiseModel | None = None,
    mode: str = "wiener",
    padding: float = 2.0,
) -> np.ndarray:
    """Reconstruct a map from particles with poses, (D, D, D) float32.

    Parameters
    ----------
    index, weights, noise, padding : see `accumulate`.
    mode : wiener: prior from the FSC of interleaved halves. bayes: prior from the map's own power above the noise
        that `noise` predicts. relion: no prior, small weights raised to a thousandth of their shell's mean.
    """
    if mode not in MODES:
        raise ConfigError(f"The reconstruction mode is {mode!r}; choose one of {', '.join(MODES)}.")
    if mode == "bayes" and noise is None:
        raise ConfigError("The bayes mode needs a noise model; estimate one, or choose wiener.")
    if mode == "wiener":
        part = dataset if index is None else dataset.subset(np.asarray(index))
        interleaved = united((np.arange(part.n) % 2).astype(np.int8), tied_images(part))
        halves = accumulate(dataset, index, weights, noise, interleaved, padding)
        return wiener_volume(halves)[0]
    total = accumulate(dataset, index, weights, noise, padding=padding)[0]
    return total.volume(precision_from_power(total) if mode == "bayes" else None)


def half_maps(
    dataset,
    seed: int = 0,
    index: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    noise: NoiseModel | None = None,
    halves: np.ndarray | None = None,
    padding: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> HalfMaps:
    """Maps of two halves and of all particles, reading the images once.

    Parameters
    ----------
    seed : of the random halves; unused when `halves` (n,) of 0 and 1 is given, say those of a gold-standard refinement.
    """
    if halves is None:
        halves = drawn_halves(dataset if index is None else dataset.subset(np.asarray(index)), seed)
    halves = np.asarray(halves, dtype=np.int8)
    sums = accumulate(dataset, index, weights, noise, halves, padding, progress, ranks)
    if len(sums) < 2 or len(halves) < 2:
        raise DataError(
            "Half-maps need particles in both halves; one half is empty. Give more particles (copies count as one)."
        )
    combined, maps, curve = wiener_volume(sums)
    return HalfMaps(maps[0], maps[1], combined, curve, halves)


def wiener_volume(halves: Sequence[Accumulator]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """(Wiener-filtered map of both halves, [map of each without prior], their FSC)."""
    maps = [half.volume() for half in halves]
    box = halves[0].lattice.box
    curve = fsc(*maps, mask=spherical_mask(box))
    total = halves[0] + halves[1]
    return total.volume(precision_from_fsc(curve, total.mean_weight() / 2)), maps, fsc(*maps)
