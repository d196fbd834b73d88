"""Scores of a rotation and of the same one turned in its plane by 90, 180 and 270 degrees, from four products (numba).

See `slicing.turned_slices` for what the products are. Floor of `best_over_shifts`: each product is read once.
"""

import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def symmetric_parts(targets, back, first, second, sign, even_sum, even_difference, odd, odd_turned):
    """What the images moved back by every shift are in the parts that quarter turns keep.

    Parameters
    ----------
    targets, back : (B, F), (T, F) complex64.
    first, second, sign : (H,) int64, int64 and float32. The pairs of frequencies; all but the first one are in a pair.
    even_sum : (B T, H + 1) float32, overwritten, and so are even_difference (B T, H), odd and odd_turned (B T, 2H).
    """
    n_pairs, n_shifts = len(first), len(back)
    for image in prange(len(targets)):
        for shift in range(n_shifts):
            row = image * n_shifts + shift
            target, wave = targets[image], back[shift]
            even_sum[row, n_pairs] = target[0].real * wave[0].real - target[0].imag * wave[0].imag
            for pair in range(n_pairs):
                a, b = first[pair], second[pair]
                real = target[a].real * wave[a].real - target[a].imag * wave[a].imag
                real_turned = target[b].real * wave[b].real - target[b].imag * wave[b].imag
                imaginary = target[a].real * wave[a].imag + target[a].imag * wave[a].real
                imaginary_turned = target[b].real * wave[b].imag + target[b].imag * wave[b].real
                even_sum[row, pair] = np.float32(0.5) * (real + real_turned)
                even_difference[row, pair] = np.float32(0.5) * (real - real_turned)
                odd[row, pair], odd[row, n_pairs + pair] = imaginary, imaginary_turned
                odd_turned[row, pair] = -sign[pair] * imaginary_turned
                odd_turned[row, n_pairs + pair] = sign[pair] * imaginary


@njit(parallel=True, cache=True, fastmath={"nnan", "nsz"})
def best_over_shifts(even_sum, even_difference, odd, odd_turned, power, best):
    """best (B, 4, R) float32, overwritten: the score at the likeliest of T shifts, after no turn, one, two and three.

    The products are (B T, R) float32, and power (2, B, R) has half the slices' power, of even and of odd turns.
    """
    n_shifts = len(even_sum) // len(best)
    for image in prange(len(best)):
        own = best[image]
        own[:] = -np.inf
        for row in range(image * n_shifts, (image + 1) * n_shifts):
            for r in range(best.shape[2]):
                straight = even_sum[row, r] + even_difference[row, r]
                across = even_sum[row, r] - even_difference[row, r]
                own[0, r] = max(own[0, r], straight + odd[row, r])
                own[1, r] = max(own[1, r], across + odd_turned[row, r])
                own[2, r] = max(own[2, r], straight - odd[row, r])
                own[3, r] = max(own[3, r], across - odd_turned[row, r])
        for r in range(best.shape[2]):
            own[0, r] -= power[0, image, r]
            own[1, r] -= power[1, image, r]
            own[2, r] -= power[0, image, r]
            own[3, r] -= power[1, image, r]


@njit(parallel=True, cache=True)
def likeliest_shifts(even_sum, even_difference, odd, odd_turned, numbers, shifts):
    """shifts (B, K) int64, overwritten: the likeliest shift of rotations `numbers` (B, K), turn · R + rotation."""
    n_shifts, n_rotations = len(even_sum) // len(numbers), even_sum.shape[1]
    for image in prange(len(numbers)):
        for place in range(numbers.shape[1]):
            turn, r = numbers[image, place] // n_rotations, numbers[image, place] % n_rotations
            best = np.float32(-np.inf)
            for shift in range(n_shifts):
                row = image * n_shifts + shift
                half_turn = np.float32(1.0) if turn < 2 else np.float32(-1.0)
                if turn % 2 == 0:
                    score = even_sum[row, r] + even_difference[row, r] + half_turn * odd[row, r]
                else:
                    score = even_sum[row, r] - even_difference[row, r] + half_turn * odd_turned[row, r]
                if score > best:
                    best = score
                    shifts[image, place] = shift
