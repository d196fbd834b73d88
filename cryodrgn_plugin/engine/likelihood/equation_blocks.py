"""Which equations of volumes are held at a time: all of them, or those of runs of shells that memory has room for."""

from dataclasses import dataclass

import torch

from ..config.memory_estimate import equation_bytes, map_bytes
from ..imaging.lattice import HalfPlane
from ..slicing.backend import Backend
from ..slicing.sphere import HalfSphere
from ..slicing.sphere_block import SphereBlock, evenly, run_from
from .whitened import ALL, WhitenedImages


@dataclass(frozen=True)
class Block:
    """Shells up to before `stop`, which `some` of the images' coefficients add to."""

    sphere: HalfSphere
    """The whole, or a `SphereBlock`."""
    lattice: HalfPlane
    some: slice
    stop: int


@dataclass(frozen=True)
class Blocks:
    """Blocks of so many stored voxels each, at the most."""

    images: WhitenedImages
    whole: HalfSphere
    count: int
    """Leading coefficients of the images that are used."""
    most_voxels: float

    @classmethod
    def of(cls, images: WhitenedImages, whole: HalfSphere, count: int, n_channels: int, n_halves: int) -> "Blocks":
        """As few as memory has room for, in all processes that share the images the same; says so of several."""
        of_voxel, beside = equation_bytes(n_channels, n_halves), whole.n_voxels * map_bytes(n_channels, n_halves)
        most = images.memory.for_equations(images.compute.device, beside) / of_voxel
        if not images.ranks.alone:
            most = float(images.ranks.gathered(torch.tensor([most], dtype=torch.float64)).min())
        if most >= whole.n_voxels:
            return cls(images, whole, count, most)
        blocks = cls(images, whole, count, evenly(whole, most))
        number, first = 0, 0
        while first < whole.n_shells:
            number, first = number + 1, blocks._stop(first)
        images.memory.say(
            f"The equations of {n_channels} maps up to shell {whole.radius:.0f} are solved in {number} blocks of "
            f"shells of about {blocks.most_voxels * of_voxel / 2**30:.2g} GB; all at once they would take "
            f"{whole.n_voxels * of_voxel / 2**30:.2g} GB."
        )
        return blocks

    def starting(self, first: int) -> Block:
        """The block from shell `first` on."""
        stop, lattice = self._stop(first), self.images.lattice
        if first == 0 and stop == self.whole.n_shells:
            return Block(self.whole, lattice, ALL, stop)
        sphere = SphereBlock.of(self.whole, first, stop)
        ring = sphere.ring(lattice, *self.images.ratios)
        return Block(sphere, ring, slice(min(ring.first, self.count), min(ring.stop, self.count)), stop)

    def backend(self, block: Block) -> Backend:
        """What adds images to it."""
        return self.images.compute.backend(block.sphere, block.lattice)

    def _stop(self, first: int) -> int:
        """Smaller ones where memory ran out; of several processes one cannot choose them for all."""
        pieces = self.images.memory.pieces if self.images.ranks.alone else 1
        most = min(self.most_voxels, self.whole.n_voxels) if pieces > 1 else self.most_voxels
        return run_from(self.whole, first, most / pieces)
