"""Positional encodings: the sines and cosines through which the coordinate network sees a spatial frequency.

A wave exp(2πi k·r) over frequencies k is what a point at r contributes to a Fourier transform, so every encoding is a
fixed set of points r, in units of the box. With q = k/D in [−0.5, 0.5]³ the features are cos(w·q) and sin(w·q), where
w = 2π r D.
"""

import math
from dataclasses import dataclass

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


@dataclass(frozen=True)
class EncodedPoints:
    """Points as the network sees them, encoded where and when they are asked for: their encodings are many times as
    large as they are.

    Parameters
    ----------
    points : (V, N, d). Of each of V views, in its d coordinates in 1/(box · pixel).
    waves : (V, d, W). Wave vectors along those coordinates, in radian.
    dtype : of the features; phases are computed in the type of the points.
    """

    points: Tensor
    waves: Tensor
    dtype: torch.dtype

    @property
    def views(self) -> int:
        return len(self.points)

    @property
    def per_view(self) -> int:
        return self.points.shape[1]

    def features(self, views: slice, points: slice) -> Tensor:
        """Cosines and sines of some points of some views, (V', N', 2W). Not differentiable."""
        phases = self._phases(views, points)
        n_waves = phases.shape[-1]
        features = phases.new_empty(*phases.shape[:-1], 2 * n_waves, dtype=self.dtype)
        features[..., :n_waves] = torch.cos(phases)
        features[..., n_waves:] = phases.sin_()
        return features

    def all_features(self) -> Tensor:
        """Those of all points, (V, N, 2W), differentiable in points and waves."""
        phases = self._phases(slice(None), slice(None))
        return torch.cat([torch.cos(phases), torch.sin(phases)], -1).to(self.dtype)

    def _phases(self, views: slice, points: slice) -> Tensor:
        return self.points[views, points] @ self.waves[views]
