"""The star file's story of a sample of its images, with all that other stories need to be tried beside it."""

from dataclasses import dataclass, replace

import numpy as np

from ..data.dataset import ParticleDataset
from ..imaging.ctf import evaluate_ctf
from ..imaging.noise import NoiseModel
from .evidence import Evidence, Images, Story, evidence, load_images

SIGNED, FLIPPED, MULTIPLIED = "signed CTF", "phases flipped", "multiplied by CTF"


@dataclass(frozen=True)
class Case:
    """n images, what the file says of them, and how well that explains them."""

    dataset: ParticleDataset
    images: Images
    story: Story
    given: Evidence
    stated: str
    """What the file says of the CTF: SIGNED, FLIPPED or MULTIPLIED."""
    seed: int

    @classmethod
    def of(cls, dataset: ParticleDataset, noise: NoiseModel, halves: np.ndarray, seed: int) -> "Case":
        """Load the images of a (small) dataset with poses; `halves` (n,) are 0 or 1."""
        images = load_images(dataset, noise, halves)
        transfer = dataset.source.ctf(dataset.rows)
        transfer = np.where(dataset.ctf_multiplied[:, None], transfer**2, transfer)
        story = Story(transfer, dataset.rotations)
        return cls(dataset, images, story, evidence(images, story), stated_transfer(dataset), seed)

    def told(self, story: Story, evidence: Evidence) -> "Case":
        """The same images under another story, whose evidence is `evidence`."""
        return replace(self, story=story, given=evidence)

    @property
    def ratio(self) -> np.ndarray:
        """(n,). Extent of the lattice over that of each image: rotations and shifts are scaled by it."""
        return self.dataset.frequency_ratio

    def first(self, count: int) -> "Case":
        """The first `count` images, whose evidence is found anew."""
        few = np.arange(min(count, self.dataset.n))
        images, story = self.images.first(len(few)), self.story.first(len(few))
        return Case(self.dataset.subset(few), images, story, evidence(images, story), self.stated, self.seed)

    def ctf(self, pixel_factor: float = 1.0) -> np.ndarray:
        """(n, F) float32. The CTF with its sign, if pixels were larger by this factor; 0 where images are unknown."""
        ratio = self.ratio
        one_extent = bool((ratio == ratio[0]).all())
        freqs = self.images.freqs_per_ang * (ratio[0] if one_extent else ratio[:, None, None]) / pixel_factor
        return evaluate_ctf(self.dataset.ctf_params, freqs) * self.known

    @property
    def known(self) -> np.ndarray:
        """(n, F) float32. 1 up to the frequency limit of each image's optics group, 0 beyond."""
        reach = self.dataset.source.reach[self.dataset.optics_group]
        return (np.arange(self.images.lattice.size) < reach[:, None]).astype(np.float32)


def stated_transfer(dataset: ParticleDataset) -> str:
    """What the file, or the settings in its place, say was done about the CTF to most of the images."""
    if dataset.ctf_multiplied.mean() > 0.5:
        return MULTIPLIED
    return FLIPPED if dataset.source.phase_flipped[dataset.rows].mean() > 0.5 else SIGNED
