"""A grid of rotations in the parts of slices that quarter turns in the plane keep: all scores, in 3/8 of the products.

For processors, in float32, and of one map.

Half-plane frequencies but k = 0 go in pairs a, b with k_b = σ P k_a, where P is a quarter turn and σ = ±1. The slice at
a rotation that is turned by q quarters in its plane is u_q(k) = u(P^q k), and slices are of real maps, so that with
real parts E and imaginary ones O of u, and X and Y of the image t,

    Re⟨u_0, t⟩ = e₊ + e₋ + o        Re⟨u_2, t⟩ = e₊ + e₋ − o
    Re⟨u_1, t⟩ = e₊ − e₋ + o'       Re⟨u_3, t⟩ = e₊ − e₋ − o'

    e± = Σ (E_a ± E_b)(X_a ± X_b)/2     o = Σ O_a Y_a + O_b Y_b     o' = Σ σ (O_b Y_a − O_a Y_b)

(k = 0 counts in e₊). One product of matrices each, over half and over all of the frequencies, for four rotations;
slices are needed of one rotation in four. |u|² is the same after two turns.

Floor: 3 F T R / 2 operations per image and volume for R rotations and T shifts, where all scores written out take 4.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from .backend import Backend
from .device_tables import made
from .kernels.turned_scores import best_over_shifts, likeliest_shifts, symmetric_parts

IMAGES_AT_ONCE = 8
"""Of each thread: their products stay in a cache."""


def frequency_pairs(lattice: HalfPlane) -> np.ndarray:
    """(3, H) int64. Numbers of the frequencies a and b of each pair, by |k|, and σ."""
    k = lattice.indices
    number = {(int(x), int(y)): place for place, (x, y) in enumerate(k)}
    first = np.flatnonzero((k[:, 0] > 0) & (k[:, 1] >= 0))
    # A quarter turn takes (x, y) to (−y, x), which lies in the half-plane where y = 0; elsewhere its opposite does.
    sign = np.where(k[first, 1] == 0, 1, -1)
    second = [number[int(-s * y), int(s * x)] for (x, y), s in zip(k[first], sign, strict=True)]
    return np.stack([first, np.array(second, np.int64), sign])


@dataclass(frozen=True)
class TurnedSlices:
    """Slices (R of them, of F coefficients in H pairs) of a map as four scores per image and shift are made from."""

    pairs: Tensor
    """(3, H) of `frequency_pairs`."""
    even_sum: Tensor
    """(H + 1, R) E_a + E_b, and E at k = 0."""
    even_difference: Tensor
    """(H, R) E_a − E_b."""
    odd: Tensor
    """(2H, R) O_a, and after them O_b."""
    power: Tensor
    """(F, R) half of |u|² at a, at b and at 0."""

    @classmethod
    def of(cls, backend: Backend, coefs: Tensor, rotations: Tensor, count: int) -> "TurnedSlices":
        """Of a single map, coefs (M, 2, 1), at rotations (R, 3, 3), of `count` coefficients."""
        pairs = made(backend.lattice, "quarter_turns", rotations.device, frequency_pairs)[:, : count // 2]
        real, imaginary = backend.project(coefs, rotations, count)[..., 0].permute(2, 1, 0)
        a, b, zero = pairs[0], pairs[1], pairs.new_zeros(1)
        power = (real.square() + imaginary.square()) / 2
        return cls(
            pairs,
            torch.cat([real[a] + real[b], real[:1]]),
            real[a] - real[b],
            imaginary[torch.cat([a, b])],
            power[torch.cat([a, b, zero])],
        )

    def likeliest(self, targets: Tensor, weights: Tensor, back: Tensor, kept: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best turned rotations of each image.

        Parameters
        ----------
        targets, weights : (B, F) complex64, not moved, and float32.
        back : (T, F) complex64. What moves images back by each shift.

        Returns
        -------
        Of the `kept` best, best first, (B, K) each: score, number (turn · R + rotation) and number of the best shift.
        """
        lots = range(0, len(targets), IMAGES_AT_ONCE * torch.get_num_threads())
        parts = [
            self._of_lot(targets[lot : lot + lots.step], weights[lot : lot + lots.step], back, kept) for lot in lots
        ]
        score, numbers, shifts = (torch.cat(values) for values in zip(*parts, strict=True))
        return score, numbers, shifts

    def _of_lot(self, targets: Tensor, weights: Tensor, back: Tensor, kept: int) -> tuple[Tensor, Tensor, Tensor]:
        n, n_rows, n_pairs = len(targets), len(targets) * len(back), self.pairs.shape[1]
        first, second = self.pairs[0], self.pairs[1]
        sums, differences = torch.empty(n_rows, n_pairs + 1), torch.empty(n_rows, n_pairs)
        odd = torch.empty(2, n_rows, 2 * n_pairs)
        arrays = [tensor.numpy() for tensor in (targets, back, first, second, self.pairs[2].float())]
        symmetric_parts(*arrays, *(tensor.numpy() for tensor in (sums, differences, odd[0], odd[1])))
        products = [torch.mm(sums, self.even_sum), torch.mm(differences, self.even_difference)]
        products += torch.mm(odd.view(2 * n_rows, -1), self.odd).view(2, n_rows, -1).unbind()
        straight, across = (torch.cat(halves) for halves in ((first, second), (second, first)))
        weighed = [torch.cat([weights[:, order], weights[:, :1]], dim=1) for order in (straight, across)]
        power = torch.mm(torch.cat(weighed), self.power).view(2, n, -1)
        best = torch.empty(n, 4, power.shape[2])
        of_products = [product.numpy() for product in products]
        best_over_shifts(*of_products, power.numpy(), best.numpy())
        score, numbers = best.flatten(1).topk(min(kept, best[0].numel()), dim=1)
        shifts = torch.empty_like(numbers)
        likeliest_shifts(*of_products, numbers.numpy(), shifts.numpy())
        return score, numbers, shifts
