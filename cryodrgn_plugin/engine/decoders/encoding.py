"""Positional encodings: the sines and cosines through which the coordinate network sees a spatial frequency.

A wave exp(2πi k·r) over frequencies k is what a point at r contributes to a Fourier transform, so every encoding is a
fixed set of points r, in units of the box. With q = k/D in [−0.5, 0.5]³ the features are cos(w·q) and sin(w·q), where
w = 2π r D.
"""

import math

import torch
from torch import Tensor

from ..errors import ConfigError

GAUSSIAN_SPREAD = 0.5
"""Standard deviation of random Fourier features in units of D/2 radian per unit coordinate (cryoDRGN's feat_sigma)."""


def gaussian_waves(box: int, generator: torch.Generator) -> Tensor:
    """Random Fourier features (thesis 3.1.1, after Tancik et al.): 3·D/2 wave vectors from a normal distribution, (W,
    3).
    """
    return torch.randn(3 * (box // 2), 3, generator=generator) * (GAUSSIAN_SPREAD * box / 2)


def geometric_waves(box: int) -> Tensor:
    """D/2 wavelengths per axis in a geometric series, (3·D/2, 3).

    Thesis eq. 3.3, γ(d) = Dπ (2/D)^{d/(D/2−1)}, with all wavelengths 2π times longer, which suits noisy images.
    """
    half = box // 2
    d = torch.arange(half, dtype=torch.float64)
    gamma = box * math.pi * (2.0 / box) ** (d / (half - 1)) / (2 * math.pi)
    waves = torch.zeros(3, half, 3, dtype=torch.float64)
    for axis in range(3):
        waves[axis, :, axis] = gamma
    return waves.reshape(-1, 3).float()


def make_waves(name: str, box: int, generator: torch.Generator) -> Tensor:
    """The wave vectors of encoding `name`, (W, 3) radian per unit coordinate; 2W features."""
    if name == "gaussian":
        return gaussian_waves(box, generator)
    if name == "geometric":
        return geometric_waves(box)
    raise ConfigError(f"decoder.encoding is {name!r}; choose gaussian or geometric.")
