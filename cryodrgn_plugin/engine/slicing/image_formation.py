"""Images folded for the likelihood on the device that compares them: CTF and shift are made there of a few numbers.

With y an image moved back to the origin by the wave of its shift, c its CTF and p the precision m / σ² of its optics
group, targets are p c y and weights p c²; of images that were multiplied by their CTF already, targets are p y.

Phases are taken in double precision, in turns, of which whole ones are left out: single precision knows
hundreds of radians to some 10⁻⁵ only. Sines are taken in single. Plain torch anywhere; a kernel where the Triton member
works (`triton_kernels.image_folding`, which equals this), with 8 bytes per coefficient read and 12 written.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .place import Place

AT_ONCE = 32
"""Images whose phases the plain twin holds in double precision at a time."""


@dataclass(frozen=True)
class Observed:
    """B images on F coefficients, and what forms them; all on one device."""

    spectra: Tensor
    """(B, F) complex64."""
    ctf_numbers: Tensor
    """(B, 8) float64; see `data.ctf_numbers`."""
    moves: Tensor
    """(B, 2) float64. Shifts in boxes by which the images are moved back."""
    precision: Tensor
    """(G, F) float32. Of each optics group, 0 beyond its limit."""
    group: Tensor
    """(B,) int64."""
    multiplied: Tensor
    """(B,) bool. Whether an image was multiplied by its CTF already."""


def folded(observed: Observed, freqs: Tensor, place: Place) -> tuple[Tensor, Tensor]:
    """Targets (B, F) complex and weights (B, F), in the precision of the place.

    freqs (F, 2) float32 are the integer frequencies of the coefficients.
    """
    targets = torch.empty(observed.spectra.shape, dtype=place.complex_dtype, device=place.device)
    weights = torch.empty(observed.spectra.shape, dtype=place.dtype, device=place.device)
    freqs = freqs.double()
    for first in range(0, len(targets), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        ctf = place.tensor(_ctf(observed.ctf_numbers[some], freqs))
        precision = place.tensor(observed.precision[observed.group[some]])
        factor = torch.where(observed.multiplied[some, None], 1.0, ctf) * precision
        angle = _sine_angle(observed.moves[some, :1] * freqs[:, 0] + observed.moves[some, 1:] * freqs[:, 1])
        re, im = observed.spectra[some].real * factor, observed.spectra[some].imag * factor
        cos, sin = place.tensor(torch.cos(angle)), place.tensor(torch.sin(angle))
        targets[some] = torch.complex(re * cos - im * sin, re * sin + im * cos)
        weights[some] = precision * ctf * ctf
    return targets, weights


def _ctf(numbers: Tensor, freqs: Tensor) -> Tensor:
    """(B, F) of numbers (B, 8)."""
    kx, ky = freqs.T
    k2 = kx**2 + ky**2
    terms = k2, kx**2 - ky**2, 2 * kx * ky, k2**2, torch.ones_like(k2)
    turns = sum(numbers[:, i, None] * term for i, term in enumerate(terms))
    ctf = torch.sin(_sine_angle(turns)) * (torch.exp(-numbers[:, 5, None] * k2) * numbers[:, 6, None])
    return torch.where(numbers[:, 7, None] > 0, ctf.abs(), ctf)


def _sine_angle(turns: Tensor) -> Tensor:
    """Angles of turns, between −π and π."""
    return 2 * math.pi * (turns - torch.floor(turns + 0.5))
