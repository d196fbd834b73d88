"""The average of some of a set's images. Free of any window."""

import mrcfile
import numpy as np
from pwem.objects import SetOfParticles

from ..engine.errors import DataError

IMAGES = 300


def average_image(particles: SetOfParticles, count: int = IMAGES) -> np.ndarray:
    """(D, D) the mean of `count` images spread over the set, each moved back by its shift in whole pixels.

    Raises DataError where they are no MRC stacks, or cannot be read.
    """
    step = max(particles.getSize() // count, 1)
    stacks: dict[str, np.ndarray] = {}
    total, taken = None, 0
    try:
        for place, particle in enumerate(particles.iterItems()):
            if place % step:
                continue
            index, name = particle.getLocation()
            if name not in stacks:
                stacks[name] = mrcfile.mmap(name, mode="r", permissive=True).data
            stack = stacks[name]
            image = np.asarray(stack if stack.ndim == 2 else stack[max(index - 1, 0)], np.float64)
            total = _centred(image, particle) + (0 if total is None else total)
            taken += 1
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"The images of this set cannot be averaged: {error}") from None
    if total is None:
        raise DataError("The set of particles is empty; choose one that has particles.")
    return total / taken


def _centred(image: np.ndarray, particle) -> np.ndarray:
    if not particle.hasTransform():
        return image
    x, y = np.linalg.inv(particle.getTransform().getMatrix())[:2, 3]
    return np.roll(image, (-round(y), -round(x)), axis=(0, 1))
