"""What kernels need to know of a half-sphere and a half-plane on a device, and the one way to launch a kernel there."""

import os
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...imaging.lattice import HalfPlane
from ..device_tables import made, table
from ..sphere import HalfSphere
from .half_storage import in_half

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether kernels run in Triton's interpreter, where every operation of a program costs as much as a large one."""
SMALLEST_PRODUCT = 16
"""Rows and columns that a matrix product of a kernel has at least."""


@dataclass(frozen=True)
class Geometry:
    """A storage and a lattice on a device."""

    sphere: HalfSphere
    lattice: HalfPlane
    device: torch.device
    half: bool = False
    """Whether volumes are read in half precision."""

    def stored(self, coefs: Tensor) -> tuple[Tensor, Tensor]:
        """What kernels read of coefs (M, 2, C), and what they multiply its slices by, (C,)."""
        if self.half:
            return in_half(coefs.detach())
        return coefs.detach().contiguous(), torch.ones(coefs.shape[2], device=coefs.device)

    @property
    def freqs(self) -> Tensor:
        """(F, 2) float32. Frequencies of the half-plane in 1/box."""
        return table(self.lattice, "indices", self.device, torch.float32)

    @property
    def of_storage(self) -> tuple[Tensor, int, float, float]:
        """Row starts (2H + 1, 2H + 1) int32, H, grid steps per 1/box, and the limit of |q|² in grid steps."""
        sphere = self.sphere
        starts = table(sphere, "row_start", self.device, torch.int32)
        return starts, sphere.half_width, float(sphere.step), limit(sphere)

    @property
    def number_of_frequency(self) -> Tensor:
        """(R + 1, 2R + 1) int32, indexed [kx, ky + R]: which coefficient of the half-plane that is, −1 for none."""
        return made(self.lattice, "number_of_frequency", self.device, _numbers)


def limit(sphere: HalfSphere) -> float:
    """The largest |q|² of a slice, in grid steps, with room for rounding."""
    return float((sphere.radius * sphere.step) ** 2 * (1 + 1e-5))


def _numbers(lattice: HalfPlane) -> np.ndarray:
    kx, ky = lattice.indices.T
    reach = int(lattice.radius)
    numbers = np.full((reach + 1, 2 * reach + 1), -1, dtype=np.int32)
    numbers[kx, ky + reach] = np.arange(lattice.size)
    return numbers


def padded(n_channels: int) -> int:
    """Columns of a kernel's tile for so many channels: a power of two, and enough for a matrix product if over four."""
    power = 1 << max(n_channels - 1, 0).bit_length()
    return power if power <= 4 else max(power, SMALLEST_PRODUCT)


def sized(on_gpu: int, interpreted: int) -> int:
    """How much a program does at a time."""
    return interpreted if INTERPRETED else on_gpu


def launch(kernel, grid: tuple[int, ...], *arguments, **options) -> None:
    """Run a kernel on the device of its first tensor; a grid without programs is no launch."""
    if 0 in grid:
        return
    device = next(each for each in arguments if isinstance(each, Tensor)).device
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        # Loads in stages would take the shared memory that lets several programs stand on a multiprocessor.
        kernel[grid](*arguments, **{"enable_fp_fusion": True, "num_stages": 1} | options)


def single(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Contiguous tensors of what kernels read: real numbers, complex ones as pairs of them."""
    plain = (tensor.detach().resolve_conj() for tensor in tensors)
    return tuple((torch.view_as_real(each) if each.is_complex() else each).contiguous() for each in plain)
