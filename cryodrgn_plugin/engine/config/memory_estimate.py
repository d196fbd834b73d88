"""How much memory a training takes, told before it begins from its settings and the size of its set.

Every term was measured by the largest resident size of whole runs, which run.json has beside the estimate. They are
those of `fast`; of other recipes nothing is said.
"""

import math
from dataclasses import dataclass

from .machine_memory import MB
from .run_config import RunConfig

LIBRARIES_MB = 780.0
"""The program itself, with its kernels; 540 to 780 by the versions of libraries, where kernels are compiled already."""
ROW_BYTES = 1200.0
"""A row of the star file, and what is known of each particle whatever the recipe."""
LARGEST_DEFAULT_BOX = 128
SPECTRUM_BYTES, WHITENED_BYTES = 8, 16
"""Of one coefficient in memory: its spectrum; target, weight and slope by the defocus."""
READ_AHEAD = 8 * 256
"""Images that are on their way while they stream from disk."""
SINGLE_BYTES = 4
MAPS_HELD, SPHERE_BYTES = 4.5, 72.0
"""Half-set maps of all channels that are held once the equations are solved, and what else a stored voxel takes."""
AT_LEAST_MB, FREE_SHARE = 512, 0.8
"""Equations may take so much, or as much as the maps that are solved from them: what follows takes that as well. But no
more than that share of what is free: something else may want memory, too."""
LEAST_BLOCK = 0.1
"""Of all equations, about what those of the outermost shell take."""
COMPRESSED_HELD, NUISANCES = 4.3, 6
"""Matrices of an image, over the amplitudes and the errors of its pose and defocus, that are held at the most."""
LARGE_SHARE = 0.9
"""Share of a machine's memory beyond which a training is warned of."""


@dataclass(frozen=True)
class MemoryNeeds:
    """Megabytes (2²⁰ bytes) of each part; those of maps and of compressed images are not needed at one time."""

    program: float
    rows: float
    images: float
    compressed: float
    maps: float
    """With the equations that they are solved from, as many of those as are held at a time."""

    @property
    def total(self) -> float:
        """The largest that is held at any time."""
        return self.program + self.rows + self.images + max(self.compressed, self.maps)

    def sentence(self) -> str:
        """For the log, before the training."""
        parts = {"images": self.images, "maps": self.maps, "particles": self.rows + self.compressed}
        listed = ", ".join(f"{size / 1024:.1f} GB for {name}" for name, size in parts.items() if size > 100)
        return f"About {self.total / 1024:.1f} GB of memory will be needed{': ' * bool(listed)}{listed}."

    def warning(self, machine_mb: float) -> str:
        """A sentence where a machine has hardly that much, and what to do; else nothing."""
        if self.total < LARGE_SHARE * machine_mb:
            return ""
        lower = (
            "data.box or z_dim" if self.maps > self.compressed else "closed_form.n_components, or use fewer particles"
        )
        return (
            f"The training needs about {self.total / 1024:.1f} GB of memory, and this machine has "
            f"{machine_mb / 1024:.1f} GB; lower {lower}."
        )


def memory_needs(
    config: RunConfig, particles: int, stored_box: int, machine_mb: float = math.inf
) -> MemoryNeeds | None:
    """Of a training of `particles` images of `stored_box` pixels on a machine that has so much memory; None where the
    recipe's are not known."""
    if config.recipe != "fast" or not config.z_dim or config.device not in ("auto", "cpu"):
        return None
    box = config.data.box or min(stored_box, LARGEST_DEFAULT_BOX)
    used = min(particles, config.data.max_particles or particles)
    channels = 1 + max(config.z_dim, config.closed_form.n_components)
    coefficients = math.pi / 2 * (box / 2 - 1) ** 2
    compressed = COMPRESSED_HELD * 8 * (channels + NUISANCES) ** 2
    rows, images = particles * ROW_BYTES / MB, _images_mb(config, used, coefficients)
    voxels = _voxels(box, config.decoder.padding) / MB
    left_mb = machine_mb - LIBRARIES_MB - rows - images - voxels * SPHERE_BYTES
    asked_mb = config.closed_form.equations_mb or usual_mb(voxels * map_bytes(channels, 2), left_mb)
    every_mb = voxels * equation_bytes(channels, 2)
    equations_mb = min(every_mb, max(asked_mb, LEAST_BLOCK * every_mb))
    solving = voxels * map_bytes(channels, 2) + equations_mb
    maps = voxels * SPHERE_BYTES + max(solving, voxels * MAPS_HELD * map_bytes(channels, 1))
    return MemoryNeeds(LIBRARIES_MB, rows, images, used * compressed / MB, maps)


def usual_mb(maps_mb: float, free_mb: float) -> float:
    """What equations take where nobody says, and the maps so much."""
    return max(min(max(AT_LEAST_MB, maps_mb), FREE_SHARE * free_mb - maps_mb), 0)


def equation_bytes(channels: int, halves: int) -> float:
    """Of a voxel's normal equations in all half-sets, with a solution of each."""
    triangle, both_parts = channels * (channels + 1) / 2, 2 * channels
    return SINGLE_BYTES * halves * (triangle + 2 * both_parts)


def map_bytes(channels: int, halves: int) -> float:
    """Of a voxel of the maps of all half-sets."""
    return SINGLE_BYTES * halves * 2 * channels


def _images_mb(config: RunConfig, used: int, coefficients: float) -> float:
    """Spectra and whitened images, each where they are kept in memory, or those on their way."""
    limit_mb = config.data.cache_mb
    spectra, whitened = (used * coefficients * each / MB for each in (SPECTRUM_BYTES, WHITENED_BYTES))
    streamed = min(READ_AHEAD, used) * coefficients * WHITENED_BYTES / MB
    cached = spectra if spectra <= limit_mb else limit_mb * (config.data.store == "off")
    return cached + (whitened if whitened <= limit_mb else streamed)


def _voxels(box: int, padding: float) -> float:
    """About as many as a half-sphere up to the last limit stores."""
    return 2 / 3 * math.pi * ((box / 2 - 1) * padding + 2) ** 3
