"""How far in frequency poses are compared, stage by stage, where there is one molecule or several."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Frequency limits, in 1/(box · pixel), as far as the box allows."""

    settled: int
    """Up to which maps settle."""
    sorted: int
    """Of sorting, of new starts that are judged, and of the first round over all images."""
    first: tuple[int, int]
    """Of the first grid, in the first and the last round over all images: a grid at too low a frequency loses the right
    pose of every tenth noisy image, and a rough map has nothing to say at a higher one."""


OF_ONE = Limits(settled=8, sorted=12, first=(7, 10))
"""Of one molecule and its conformers."""
OF_SEVERAL = Limits(settled=10, sorted=20, first=(10, 10))
"""Of several molecules: what tells those of one mass apart in noise as of ice lies far out. True maps of seven such
name half of their images right up to 12, seven in ten up to 16 and nine in ten up to 20."""
