"""Targets and weights of images made from what forms them, in one go (numba); `image_formation` is the plain twin.

Phases are taken in turns and in double precision, of which whole ones are left out; sines are polynomials in single
precision, of which the compiler makes vectors. Floor: 8 bytes of spectrum read and 12 written per coefficient. One
thread serves an image.
"""

import math

import numpy as np
from numba import njit, prange

from .trilinear import FAST

S1, S3, S5, S7, S9 = map(np.float32, (6.28318528, -41.34168067, 81.60248074, -76.58128456, 39.76072208))
"""Of t, t³, t⁵, … in sin 2πt, right to 10⁻⁸ up to a quarter of a turn."""
QUARTER = np.float32(0.25)


@njit(inline="always")
def _fraction(turns):
    """What is left of turns without whole ones, between −½ and ½."""
    return np.float32(turns - np.rint(turns))


@njit(inline="always")
def _sine(turn):
    """sin 2πt of −½ ≤ t ≤ ½."""
    size = QUARTER - abs(abs(turn) - QUARTER)
    square = size * size
    value = size * (S1 + square * (S3 + square * (S5 + square * (S7 + square * S9))))
    return math.copysign(value, turn)


@njit(fastmath=FAST)
def _phase(numbers, x, y, phase):
    """What the CTF is the sine of, in turns, at frequencies x, y (F,)."""
    n0, n1, n2, n3, n4 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for f in range(x.shape[0]):
        x2, y2 = x[f] * x[f], y[f] * y[f]
        k2 = x2 + y2
        phase[f] = _fraction(k2 * (n0 + k2 * n3) + (x2 - y2) * n1 + 2 * x[f] * y[f] * n2 + n4)


@njit(fastmath=FAST)
def _ctf(numbers, x, y, phase, ctf):
    """The CTF that eight numbers tell, into `ctf` (F,); `phase` (F,) is overwritten."""
    fall, scale = numbers[5], np.float32(numbers[6])
    _phase(numbers, x, y, phase)
    for f in range(x.shape[0]):
        ctf[f] = _sine(phase[f]) * scale
    if fall != 0:
        for f in range(x.shape[0]):
            ctf[f] *= np.float32(math.exp(-fall * (x[f] * x[f] + y[f] * y[f])))
    if numbers[7] > 0:
        for f in range(x.shape[0]):
            ctf[f] = abs(ctf[f])


@njit(fastmath=FAST)
def _waves(move, x, y, cosine, sine):
    """cos and sin of 2π k·move, (F,) each."""
    along_x, along_y = move[0], move[1]
    for f in range(x.shape[0]):
        sine[f] = _fraction(x[f] * along_x + y[f] * along_y)
    for f in range(x.shape[0]):
        # A quarter of a turn further on.
        cosine[f] = _sine(QUARTER - abs(sine[f]))
    for f in range(x.shape[0]):
        sine[f] = _sine(sine[f])


@njit(parallel=True, cache=True)
def form_images(spectra, numbers, moves, precision, groups, multiplied, freqs, targets, weights):
    """Fold CTF, shift and precision into images.

    Parameters
    ----------
    spectra : (B, F, 2) float32, real and imaginary parts.
    numbers : (B, 8) float64, of the CTFs; moves (B, 2) float64, in boxes.
    precision : (G, F) float32; groups (B,) int64; multiplied (B,) bool.
    freqs : (2, F) float64, whole numbers.
    targets, weights : (B, F, 2) and (B, F) float32, overwritten.
    """
    x, y = freqs[0], freqs[1]
    for b in prange(spectra.shape[0]):
        room = np.empty((3, x.shape[0]), np.float32)
        factor, cosine, sine = room[0], room[1], room[2]
        share, image, target, weight = precision[groups[b]], spectra[b], targets[b], weights[b]
        _ctf(numbers[b], x, y, factor, weight)
        for f in range(x.shape[0]):
            factor[f] = share[f] if multiplied[b] else share[f] * weight[f]
        for f in range(x.shape[0]):
            weight[f] *= share[f] * weight[f]
        if moves[b, 0] != 0 or moves[b, 1] != 0:
            _waves(moves[b], x, y, cosine, sine)
            for f in range(x.shape[0]):
                re, im = image[f, 0] * factor[f], image[f, 1] * factor[f]
                target[f, 0], target[f, 1] = re * cosine[f] - im * sine[f], re * sine[f] + im * cosine[f]
        else:
            for f in range(x.shape[0]):
                target[f, 0], target[f, 1] = image[f, 0] * factor[f], image[f, 1] * factor[f]


@njit(parallel=True, cache=True)
def defocus_slopes(numbers, slowness, freqs, nearest, slopes):
    """By how much of itself each CTF changes with the defocus (`imaging.ctf.defocus_slopes`).

    Parameters
    ----------
    numbers : (B, 8) float64, of the CTFs.
    slowness : (B,) float64; times k² the radians that their phase moves by with the defocus.
    freqs : (2, F) float64, whole numbers.
    nearest : tangents of less than it count as that.
    slopes : (B, F) float32, overwritten.
    """
    x, y = freqs[0], freqs[1]
    for b in prange(numbers.shape[0]):
        phase, rate, least = np.empty(x.shape[0], np.float32), np.float32(slowness[b]), np.float32(nearest)
        _phase(numbers[b], x, y, phase)
        for f in range(x.shape[0]):
            tangent = _sine(phase[f]) / _sine(QUARTER - abs(phase[f]))
            tangent = tangent if abs(tangent) >= least else least
            slopes[b, f] = rate * np.float32(x[f] * x[f] + y[f] * y[f]) / tangent


@njit(parallel=True, cache=True)
def waves(moves, freqs, out):
    """e^{2πi k·move} of moves (n, 2) in boxes, both double, at freqs (2, F), into out (n, F, 2) float32."""
    x, y = freqs[0], freqs[1]
    for b in prange(moves.shape[0]):
        room, wave = np.empty((2, x.shape[0]), np.float32), out[b]
        _waves(moves[b], x, y, room[0], room[1])
        for f in range(x.shape[0]):
            wave[f, 0], wave[f, 1] = room[0, f], room[1, f]
