"""Targets and weights of images made from what forms them; see `image_formation`.

Floor: 8 bytes of spectrum read and 12 written per coefficient; a sine, a cosine and an exponential of each are less.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..image_formation import Observed
from .geometry import launch, single, sized
from .image_sums import TWO_PI
from .points import frequencies
from .products import read_complex

POINTS = sized(256, interpreted=1024)
"""Coefficients of a program."""
N_NUMBERS = tl.constexpr(8)


def fold(observed: Observed, freqs: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) complex64 and (B, F) float32; see `image_formation.folded`."""
    n, count = observed.spectra.shape
    targets = torch.empty(n, count, 2, dtype=torch.float32, device=freqs.device)
    weights = torch.empty(n, count, dtype=torch.float32, device=freqs.device)
    arrays = single(observed.spectra, observed.ctf_numbers, observed.moves, observed.precision, observed.group)
    launch(
        _fold, (n, triton.cdiv(count, POINTS)), *arrays, observed.multiplied.to(torch.int8), freqs.contiguous(),
        targets, weights, count,
        POINTS=POINTS,
    )  # fmt: skip
    return torch.view_as_complex(targets), weights


@triton.jit
def _fold(
    spectra, numbers, moves, precision, groups, multiplied, freqs, targets, weights, count, POINTS: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    points = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    mask = points < count
    kx, ky = frequencies(freqs, points, mask)
    ctf = ctf_values(numbers + image * N_NUMBERS, kx, ky)
    share = tl.load(precision + tl.load(groups + image) * count + points, mask=mask, other=0.0)
    factor = tl.where(tl.load(multiplied + image) != 0, 1.0, ctf) * share
    turns = kx.to(tl.float64) * tl.load(moves + 2 * image) + ky.to(tl.float64) * tl.load(moves + 2 * image + 1)
    angle = sine_angle(turns)
    cos, sin = tl.cos(angle), tl.sin(angle)
    at = image * count + points
    re, im = read_complex(spectra, at, mask)
    re, im = re * factor, im * factor
    tl.store(targets + 2 * at, re * cos - im * sin, mask=mask)
    tl.store(targets + 2 * at + 1, re * sin + im * cos, mask=mask)
    tl.store(weights + at, share * ctf * ctf, mask=mask)


@triton.jit
def ctf_values(numbers, kx, ky):
    """The CTF that eight numbers of an image tell, at integer frequencies."""
    x, y = kx.to(tl.float64), ky.to(tl.float64)
    k2 = x * x + y * y
    turns = k2 * (tl.load(numbers) + k2 * tl.load(numbers + 3)) + tl.load(numbers + 4)
    turns += (x * x - y * y) * tl.load(numbers + 1) + 2 * x * y * tl.load(numbers + 2)
    envelope = tl.exp((-k2 * tl.load(numbers + 5)).to(tl.float32)) * tl.load(numbers + 6).to(tl.float32)
    ctf = tl.sin(sine_angle(turns)) * envelope
    return tl.where(tl.load(numbers + 7) > 0, tl.abs(ctf), ctf)


@triton.jit
def sine_angle(turns):
    """Angles of turns in double precision, between −π and π in single."""
    return (turns - tl.floor(turns + 0.5)).to(tl.float32) * TWO_PI
