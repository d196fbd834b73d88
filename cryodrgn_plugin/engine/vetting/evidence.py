"""How well a story about images explains them: the map of one half of the images, tried on those of the other.

A story says which transfer function and which pose each image has. Under it, both halves are backprojected, each map is
scaled per shell by the FSC of the two (the Wiener filter of a half-map), and the log-likelihood that it adds to the
images of the *other* half is summed, image by image. A wrong story gives a blurred map that explains unseen images
less; and as every image is judged under both stories, their difference has a standard error.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..data.batch import centred
from ..data.dataset import ParticleDataset
from ..geometry.shifts import shift_phases
from ..imaging.lattice import HalfPlane
from ..imaging.noise import NoiseModel
from ..imaging.preprocess import soft_window
from ..reconstruction.accumulator import Accumulator
from ..reconstruction.fsc import fsc
from ..slicing.compute import Compute
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere

PADDING = 1.5


@dataclass(frozen=True)
class Images:
    """n images in memory, with their noise and the half each belongs to."""

    lattice: HalfPlane
    spectra: np.ndarray
    """(n, F) complex64, moved back by the shifts of the star file."""
    variance: np.ndarray
    """(n, F) float32. Noise variance of each coefficient, before the circular window."""
    halves: np.ndarray
    """(n,) 0 or 1."""
    freqs_per_ang: np.ndarray
    """(F, 2)."""

    def first(self, count: int) -> "Images":
        """The first `count` images."""
        return replace(self, spectra=self.spectra[:count], variance=self.variance[:count], halves=self.halves[:count])


@dataclass(frozen=True)
class Story:
    """What each of n images is said to be: a slice at `rotations`, moved, times `transfer`."""

    transfer: np.ndarray
    """(n, F) float32."""
    rotations: np.ndarray
    """(n, 3, 3) float32, scaled as a dataset's."""
    moved_ang: np.ndarray | None = None
    """(n, 2). Where the particle is, counted from where the star file says; None for just there."""

    def first(self, count: int) -> "Story":
        """Of the first `count` images."""
        moved = None if self.moved_ang is None else self.moved_ang[:count]
        return Story(self.transfer[:count], self.rotations[:count], moved)


@dataclass(frozen=True)
class Evidence:
    """What a story gives."""

    gains: np.ndarray
    """(n,) float64. Log-likelihood that the other half's map adds to each image, in nats."""
    fsc: np.ndarray
    """(D//2 + 1,) unmasked FSC of the halves."""

    def over(self, other: "Evidence") -> float:
        """By how many standard errors this story explains the images better than `other` does."""
        difference = self.gains - other.gains
        error = difference.std() / np.sqrt(len(difference))
        return float(difference.mean() / error) if error > 0 else 0.0


def load_images(dataset: ParticleDataset, noise: NoiseModel, halves: np.ndarray) -> Images:
    """All images of a (small) dataset; `halves` (n,) are 0 or 1."""
    independent = float((soft_window(dataset.box, dataset.config.window) ** 2).mean())
    batch = dataset.batch(np.arange(dataset.n))
    variance = noise.per_coefficient(dataset.lattice, dataset.optics_group) / np.float32(independent)
    return Images(dataset.lattice, centred(batch), variance, np.asarray(halves), dataset.freqs_per_ang)


def evidence(images: Images, story: Story) -> Evidence:
    """Try a story on these images."""
    lattice = images.lattice
    spectra = images.spectra
    if story.moved_ang is not None:
        spectra = spectra * shift_phases(-story.moved_ang, images.freqs_per_ang)
    maps = []
    for half in (0, 1):
        own = images.halves == half
        sums = Accumulator(lattice, PADDING)
        sums.add(spectra[own], story.transfer[own], story.rotations[own], noise_variance=images.variance[own])
        maps.append(sums.volume())
    curve = fsc(*maps)
    gains = np.empty(len(spectra))
    for half, volume in enumerate(maps):
        others = images.halves != half
        gains[others] = _explained(images, story, spectra, volume, curve, others)
    return Evidence(gains, curve)


def _explained(
    images: Images, story: Story, spectra: np.ndarray, volume: np.ndarray, curve: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """(m,) float64. Σ m (Re(û* x) − |û|²/2)/σ² of the images `which`, û the transfer times the filtered map's slice."""
    lattice, compute = images.lattice, Compute()
    sphere = HalfSphere(lattice.box, PADDING, lattice.radius)
    filtered = np.append(np.clip(curve, 0, 1), np.zeros(sphere.n_shells)).astype(np.float32)
    backend = compute.backend(sphere, lattice)
    coefs = backend.coefficients(compute.tensor(volume[None])) * compute.tensor(filtered[sphere.shells])[:, None, None]
    weights = lattice.multiplicity / images.variance[which] * story.transfer[which]
    data = spectra[which] * weights, weights * story.transfer[which], story.rotations[which]
    gram, inner = backend.compress(coefs, *map(compute.tensor, data))
    return on_host(inner[:, 0] - gram[:, 0, 0] / 2)
