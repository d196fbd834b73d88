"""The plain backend: every operation written out in torch, for any device and precision. Slow, and what others equal.

Images are taken in blocks whose temporary tensors stay below `BLOCK` numbers. Sums over coefficients are torch's own,
in an order that may depend on how many images there are: an image alone may differ from itself in a batch by rounding.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .backend import N_ERRORS, N_MOMENTS, N_PARAMETERS, Backend
from .device_tables import table
from .torch_slices import Corners, Hermitian, slice_channels, slice_weighted, summed_pairs

BLOCK = 2**24
"""Numbers that a temporary tensor may hold."""


class TorchBackend(Backend):
    """See `Backend`."""

    def coefficients(self, volumes: Tensor) -> Tensor:
        sphere, grid = self.sphere, self.sphere.grid
        corrected = volumes / self._gridding
        x, y, z = self._indices.T
        low = grid // 2 - sphere.box // 2
        inside = slice(low, low + sphere.box)
        out = corrected.new_empty(sphere.n_voxels, 2, len(volumes))
        for channel, volume in enumerate(corrected):
            padded = volume.new_zeros(grid, grid, grid)
            padded[inside, inside, inside] = volume
            spectrum = torch.fft.rfftn(padded)
            values = spectrum[z % grid, y % grid, x.clamp(max=grid // 2)] * (self._signs * self._within_grid)
            out[:, 0, channel], out[:, 1, channel] = values.real, values.imag
        return out

    def volumes(self, coefs: Tensor, convolve: bool = True) -> Tensor:
        sphere, grid = self.sphere, self.sphere.grid
        inside_limit = (self._indices**2).sum(1) <= (sphere.radius * sphere.step) ** 2 + 1e-6
        keep = inside_limit & self._within_grid
        x, y, z = self._indices[keep].T
        values = torch.complex(coefs[keep, 0], coefs[keep, 1]) * self._signs[keep, None]
        low = grid // 2 - sphere.box // 2
        inside = slice(low, low + sphere.box)
        out = coefs.new_empty(coefs.shape[2], sphere.box, sphere.box, sphere.box)
        for channel in range(coefs.shape[2]):
            spectrum = values.new_zeros(grid, grid, grid // 2 + 1)
            spectrum[z % grid, y % grid, x] = values[:, channel]
            out[channel] = torch.fft.irfftn(spectrum, s=(grid, grid, grid))[inside, inside, inside]
        return out * self._gridding if convolve else out / self._gridding

    def project(self, coefs: Tensor, rotations: Tensor, count: int) -> Tensor:
        out = coefs.new_empty(len(rotations), count, 2, coefs.shape[2])
        for some in _blocks(len(rotations), count * coefs.shape[2]):
            out[some] = torch.view_as_real(self._slices(coefs, rotations[some], count)).movedim(3, 2)
        return out

    def mix(self, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, count: int) -> Tensor:
        freqs = self._freqs(count)
        return slice_weighted(Hermitian.apply(coefs, self.sphere), amplitudes, rotations, self.sphere, freqs)

    def compress(self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        return self._compressed(self._slices, coefs.shape[2], coefs, targets, weights, rotations)

    def compress_near(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, slopes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        n_channels = coefs.shape[2] - N_MOMENTS + (N_PARAMETERS if slopes is None else N_ERRORS)
        of_each = () if slopes is None else (slopes,)
        return self._compressed(self._slices_near, n_channels, coefs, targets, weights, rotations, *of_each)

    def _compressed(self, slices, c, coefs, targets, weights, rotations, *of_each) -> tuple[Tensor, Tensor]:
        """A (B, C, C) and b (B, C) of the C channels that `slices` makes of coefs at some rotations, and of what else
        there is `of_each` image."""
        n, count = targets.shape
        gram = coefs.new_empty(n, c, c, dtype=torch.float64)
        inner = coefs.new_empty(n, c, dtype=torch.float64)
        for some in _blocks(n, count * c):
            u = slices(coefs, rotations[some], count, *(values[some] for values in of_each))
            products = torch.einsum("bfc,bf,bfd->bcd", u.conj(), weights[some].to(u.dtype), u).real.double()
            gram[some] = (products + products.mT) / 2
            inner[some] = torch.einsum("bfc,bf->bc", u.conj(), targets[some]).real.double()
        return gram, inner

    def _slices_near(
        self, coefs: Tensor, rotations: Tensor, count: int, defocus_slopes: Tensor | None = None
    ) -> Tensor:
        """(B, F, C + 5): slices of all volumes of coefs (M, 2, C + 3) but the last three, which are the moments of the
        first, and the derivatives of the first by its pose; with slopes (B, F) one more, by the defocus."""
        u = self._slices(coefs, rotations, count)
        volumes, slopes = u[..., :-N_MOMENTS], -2j * math.pi * u[..., -N_MOMENTS:]
        turned = torch.einsum("bfj,bfij->bfi", slopes, self._moved_places(rotations, count).to(u.dtype))
        near = [volumes, turned, self._shifted(u[..., 0])]
        if defocus_slopes is not None:
            near.append((defocus_slopes * u[..., 0])[..., None])
        return torch.cat(near, -1)

    def match(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, centres: Tensor, pattern: Tensor
    ) -> tuple[Tensor, Tensor]:
        (n, count), p, c = targets.shape, rotations.shape[1], coefs.shape[2]
        lower = torch.tril_indices(c, c, device=coefs.device)
        waves = self._waves(pattern.to(coefs.dtype), count)
        gram, inner = coefs.new_empty(n, p, lower.shape[1]), coefs.new_empty(n, p, c, len(pattern))
        for some in _blocks(n, count * p * c):
            u = self._slices(coefs, rotations[some].flatten(0, 1), count).unflatten(0, (-1, p))
            moved = targets[some, None] * self._waves(centres[some], count)
            products = torch.einsum("bpfc,bf,bpfd->bpcd", u.conj(), weights[some].to(u.dtype), u).real
            gram[some] = products[..., lower[0], lower[1]]
            inner[some] = torch.einsum("bpfc,bpf,tf->bpct", u.conj(), moved, waves).real
        return gram, inner

    def evidence(self, gram: Tensor, inner: Tensor) -> Tensor:
        c = inner.shape[1]
        lower = torch.tril_indices(c, c, device=gram.device)
        full = gram.new_zeros(len(gram), c, c, dtype=torch.float64)
        full[:, lower[0], lower[1]] = full[:, lower[1], lower[0]] = gram.double()
        value = inner[:, 0].double() - full[:, 0, :1] / 2
        factor = torch.linalg.cholesky(full[:, 1:, 1:] + torch.eye(c - 1, dtype=torch.float64, device=gram.device))
        residual = inner[:, 1:].double() - full[:, 1:, :1]
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1, keepdim=True)
        return (value + (white**2).sum(1) / 2 - log_det).to(inner.dtype)

    def expand(
        self,
        coefs: Tensor,
        sets: Tensor,
        amplitudes: Tensor,
        targets: Tensor,
        weights: Tensor,
        rotations: Tensor,
        shifts: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, count = targets.shape
        options = {"dtype": torch.float64, "device": coefs.device}
        value = torch.empty(n, **options)
        gradient, curvature = (
            torch.empty(n, N_PARAMETERS, **options),
            torch.empty(n, N_PARAMETERS, N_PARAMETERS, **options),
        )
        for some in _blocks(n, 8 * count * coefs.shape[2]):
            u, jacobian = self._derivatives(coefs, sets[some], amplitudes[some], rotations[some], count)
            y, w = targets[some] * self._waves(shifts[some], count), weights[some]
            value[some] = ((u.conj() * y).real - w * u.abs() ** 2 / 2).sum(1).double()
            gradient[some] = torch.einsum("bfi,bf->bi", jacobian.conj(), y - w * u).real.double()
            bend = torch.einsum("bfi,bf,bfj->bij", jacobian.conj(), w.to(u.dtype), jacobian)
            curvature[some] = bend.real.double()
        return value, gradient, curvature

    def _derivatives(self, coefs, sets, amplitudes, rotations, count) -> tuple[Tensor, Tensor]:
        """Slices u (B, F) and their derivatives by the five parameters of a pose, (B, F, 5)."""
        sphere = self.sphere
        corners = Corners.of(rotations, sphere, self._freqs(count))
        parts = coefs[corners.voxels + (sets * sphere.n_voxels)[:, None, None]]  # (B, F, 8, 2, C)
        mixed = (parts * amplitudes[:, None, None, None]).sum(-1)
        values = torch.complex(mixed[..., 0], mixed[..., 1])
        u = (values * corners.weights).sum(-1)
        u = torch.where(corners.flipped, u.conj(), u)
        by_place = self._moved_places(rotations, count) * sphere.step
        turned = torch.einsum("bfj,bfij->bfi", corners.slopes(values), by_place.to(values.dtype))
        return u, torch.cat([turned, self._shifted(u)], -1)

    def _moved_places(self, rotations: Tensor, count: int) -> Tensor:
        """(B, F, 3, 3). How turns about the view's axes i move the place of each coefficient in the volume, in 1/box: a
        turn ω takes Aᵀ k to Aᵀ (k + k × ω)."""
        freqs = self._freqs(count)
        k = torch.cat([freqs, torch.zeros_like(freqs[:, :1])], 1)
        axes = torch.eye(3, dtype=k.dtype, device=k.device)
        moved = torch.linalg.cross(k[:, None].expand(-1, 3, -1), axes.expand(len(k), -1, -1))  # (F, 3, 3)
        return torch.einsum("fim,bmj->bfij", moved, rotations)

    def _shifted(self, u: Tensor) -> Tensor:
        """(B, F, 2). Derivatives of slices u (B, F) by shifts along x and y, in boxes."""
        return -2j * math.pi * self._freqs(u.shape[1]) * u[..., None]

    def accumulate(
        self,
        lhs: Tensor,
        rhs: Tensor,
        weights: Tensor,
        moments: Tensor,
        targets: Tensor,
        amplitudes: Tensor,
        rotations: Tensor,
    ) -> None:
        for some in _blocks(len(targets), targets.shape[1] * lhs.shape[1]):
            corners = Corners.of(rotations[some], self.sphere, self._freqs(targets.shape[1]))
            values = torch.where(corners.flipped, targets[some].conj(), targets[some])
            parts = torch.view_as_real(values)[..., None] * amplitudes[some, None, None]
            products = weights[some, :, None] * moments[some, None]
            _spread(rhs.flatten(1), corners, parts.flatten(2))
            _spread(lhs, corners, products)

    def accumulate_near(
        self,
        rhs: Tensor,
        moving: Tensor,
        weights: Tensor,
        corrections: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
    ) -> None:
        count = weights.shape[1]
        for some in _blocks(len(weights), count * (rhs.shape[2] + 8 * N_ERRORS)):
            corners = Corners.of(rotations[some], self.sphere, self._freqs(count))
            own = None if slopes is None else slopes[some]
            jacobian = self._slices_near(moving, rotations[some], count, own)[..., 1:] * weights[some, :, None]
            values = torch.einsum("bfj,bjc->bfc", jacobian, corrections[some].to(jacobian.dtype))
            values = torch.where(corners.flipped[..., None], values.conj(), values)
            _spread(rhs.flatten(1), corners, -torch.cat([values.real, values.imag], -1))

    def completed(self, lhs: Tensor, rhs: Tensor) -> tuple[Tensor, Tensor]:
        own, partner = (torch.as_tensor(index, device=lhs.device) for index in self.sphere.plane)
        whole = lhs.clone()
        whole[own] = lhs[own] + lhs[partner]
        return whole, summed_pairs(rhs, self.sphere)

    def solve(
        self, lhs: Tensor, rhs: Tensor, precision: Tensor, *, with_variance: bool = True
    ) -> tuple[Tensor, Tensor]:
        m, _, c = rhs.shape
        lower = torch.tril_indices(c, c, device=lhs.device)
        solution, variance = torch.empty_like(rhs), rhs.new_empty(m * with_variance, c)
        for some in _blocks(m, c * c):
            full = lhs.new_zeros(len(lhs[some]), c, c, dtype=torch.float64)
            full[:, lower[0], lower[1]] = full[:, lower[1], lower[0]] = lhs[some].double()
            full.diagonal(dim1=1, dim2=2).add_(precision.double()[self.shells[some]])
            factor = torch.linalg.cholesky(full)
            solution[some] = torch.cholesky_solve(rhs[some].double().mT, factor).mT.to(rhs.dtype)
            if with_variance:
                variance[some] = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2).to(rhs.dtype)
        return solution, variance

    def backproject(self, sums: Tensor, data: Tensor, power: Tensor, weights: Tensor, rotations: Tensor) -> None:
        for some in _blocks(len(data), 8 * data.shape[1]):
            corners = Corners.of(rotations[some], self.sphere, self._freqs(data.shape[1]))
            values = torch.where(corners.flipped, data[some].conj(), data[some])
            triple = torch.stack([values.real, values.imag, power[some]], -1) * weights[some, None, None]
            _spread(sums, corners, triple)

    # --- tables ---------------------------------------------------------------------------------------------------

    def _slices(self, coefs: Tensor, rotations: Tensor, count: int) -> Tensor:
        return slice_channels(coefs, rotations, self.sphere, self._freqs(count))

    def _freqs(self, count: int) -> Tensor:
        return table(self.lattice, "indices", self.compute.device, self.compute.dtype)[:count]

    def _waves(self, shifts: Tensor, count: int) -> Tensor:
        """e^{2πi k·shift} of shifts (…, 2) in boxes, (…, F) complex."""
        angle = 2 * math.pi * shifts @ self._freqs(count).T
        return torch.polar(torch.ones_like(angle), angle)

    @property
    def _indices(self) -> Tensor:
        """(M, 3) int64. Grid frequencies x, y, z of the voxels."""
        return table(self.sphere, "indices", self.compute.device)

    @property
    def _signs(self) -> Tensor:
        """(M,). What moves the origin from the first voxel to the centre."""
        return (1 - 2 * (self._indices.sum(1) % 2)).to(self.compute.dtype)

    @property
    def _within_grid(self) -> Tensor:
        """(M,) bool. Without padding the rim leaves the grid."""
        return (self._indices.abs() <= self.sphere.grid // 2).all(1)

    @property
    def _gridding(self) -> Tensor:
        """(D, D, D). sinc² of the interpolation; see `HalfSphere.gridding`."""
        x = (torch.arange(self.sphere.box, device=self.compute.device) - self.sphere.box // 2) / self.sphere.grid
        line = torch.sinc(x.to(self.compute.dtype)) ** 2
        return line[:, None, None] * line[:, None] * line


def _spread(target: Tensor, corners: Corners, values: Tensor) -> None:
    """target (M, K) += trilinear weight · values (B, F, K) at the eight voxels around every point, in place."""
    weights = corners.weights
    for i in range(8):
        share = weights[..., i, None] * values
        target.index_add_(0, corners.voxels[..., i].flatten(), share.flatten(0, 1))


def _blocks(n: int, numbers: int) -> Iterator[slice]:
    """Runs of n images (or voxels) whose temporary tensors of `numbers` each stay within bounds."""
    size = max(1, BLOCK // max(4 * numbers, 1))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
