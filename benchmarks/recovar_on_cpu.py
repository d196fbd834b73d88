"""RECOVAR 1.0.5 without a graphics card: its commands, with slices where they belong in finer volumes.

    ENV/bin/python benchmarks/recovar_on_cpu.py pipeline PARTICLES -o OUT …

Its mean is summed on a grid twice as fine as the images' frequencies. The CUDA kernels spread slices over that grid;
the code it falls back to elsewhere does not, and the map comes out at twice the size, and all that follows from it is
wrong. Turned planes are linear in the matrix that turns them, so that a matrix multiplied by how much finer the volume
is puts them right; nothing else is changed. Runs in RECOVAR's environment and imports nothing of this package.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from recovar.core import relion_interp


def at_scale(operation: Callable) -> Callable:
    """A projection or its adjoint whose turned planes are as fine as the volume."""

    def scaled(values: Any, rotations: Any, image_shape: tuple, volume_shape: tuple, **kinds: Any) -> Any:
        finer = np.float32(volume_shape[0] // image_shape[0])
        return operation(values, rotations * finer, image_shape, volume_shape, **kinds)

    return scaled


def put_right() -> None:
    """Mend both operations, for this process."""
    relion_interp.project = at_scale(relion_interp.project)
    relion_interp.backproject = at_scale(relion_interp.backproject)


if __name__ == "__main__":
    put_right()
    from recovar.command_line import main_commands

    sys.exit(main_commands())
