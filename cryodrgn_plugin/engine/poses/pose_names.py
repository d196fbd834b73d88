"""Numbers drawn for poses by what they are, and not by their place in a list.

Which poses a search keeps, and in which order, rounding decides where two are about as likely. A number drawn for the
third of a list would then belong to another pose; one drawn for a pose stays with it.
"""

import numpy as np
import torch
from torch import Tensor

from ..slicing.place import on_host


def named(numbers: Tensor, shifts_ang: Tensor) -> Tensor:
    """(B, P) int64 names of poses where a rotation is proposed with several shifts: rotations `numbers` (B, P) of one
    level of a grid, and shifts (B, P, 2) float32, which are sums of the same steps wherever a pose is met."""
    bits = (shifts_ang.float() + 0.0).contiguous().view(torch.int32).long()  # + 0: there is no −0
    return _mixed(numbers + _mixed(bits[..., 0] + _mixed(bits[..., 1])))


def gumbel(names: Tensor, particles: np.ndarray, seed: list[int]) -> np.ndarray:
    """(B, P) float64 from Gumbel's distribution, one for each pose `names` (B, P) of each of the particles (B,)."""
    base = int(np.random.default_rng(seed).integers(2**62))
    of_particles = _mixed(torch.as_tensor(particles, dtype=torch.int64) + base)
    mixed = _mixed(names.cpu() + of_particles[:, None])
    uniform = (on_host(mixed).view(np.uint64) >> np.uint64(11)).astype(np.float64) + 0.5
    return -np.log(-np.log(uniform / 2**53))


def _mixed(values: Tensor) -> Tensor:
    """Each int64 as another one that looks drawn (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + _signed(0x9E3779B97F4A7C15)
    values = (values ^ _shifted(values, 30)) * _signed(0xBF58476D1CE4E5B9)
    values = (values ^ _shifted(values, 27)) * _signed(0x94D049BB133111EB)
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """To the right, zeros coming in."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
