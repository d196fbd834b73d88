"""Zernike polynomials in RELION's order, of spatial frequencies in 1/angstrom that are not normalised.

Z_mn(x, y) = R_mn(r) cos(m φ) for m ≥ 0 and R_−mn(r) sin(−m φ) for m < 0, with n even for terms that are the same on
both sides of the origin and odd for those that change their sign. Terms are listed by n, then by m = −n, −n + 2, …, n.
"""

from math import factorial, isqrt

import numpy as np


def even_terms(count: int) -> list[tuple[int, int]]:
    """(m, n) of the first `count` symmetric terms: (0, 0), (−2, 2), (0, 2), (2, 2), (−4, 4), …"""
    return [(2 * (i - isqrt(i) * (isqrt(i) + 1)), 2 * isqrt(i)) for i in range(count)]


def odd_terms(count: int) -> list[tuple[int, int]]:
    """(m, n) of the first `count` antisymmetric terms: (−1, 1), (1, 1), (−3, 3), (−1, 3), (1, 3), (3, 3), …"""
    lists = [[(m, n) for m in range(-n, n + 1, 2)] for n in range(1, 2 * count + 1, 2)]
    return [term for terms in lists for term in terms][:count]


def zernike_values(terms: list[tuple[int, int]], freqs_per_ang: np.ndarray) -> np.ndarray:
    """(..., T, F) float64. Each of T terms (m, n) at (..., F, 2) frequencies (x, y)."""
    x, y = freqs_per_ang[..., 0].astype(np.float64), freqs_per_ang[..., 1].astype(np.float64)
    radius2, upon = x**2 + y**2, x + 1j * y
    values = [_value(m, n, radius2, upon) for m, n in terms]
    return np.stack(values, axis=-2) if values else np.zeros((*x.shape[:-1], 0, x.shape[-1]))


def _value(m: int, n: int, radius2: np.ndarray, upon: np.ndarray) -> np.ndarray:
    """One term; r^|m| times cos and sin of |m| φ are the parts of (x + iy)^|m|, so that no angle is needed."""
    order = abs(m)
    radial = np.zeros_like(radius2)
    for k in range((n - order) // 2 + 1):
        shares = factorial(k) * factorial((n + order) // 2 - k) * factorial((n - order) // 2 - k)
        radial += (-1) ** k * factorial(n - k) / shares * radius2 ** ((n - order) // 2 - k)
    around = upon**order
    return radial * (around.real if m >= 0 else around.imag)
