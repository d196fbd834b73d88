"""The backend of the CPU in float32: fused numba kernels, whose tensors share their memory with numpy arrays.

Floors, per image of F coefficients with C channels: a gather reads 8 · 2C floats per coefficient, so at D = 128 (F ≈
6,300) and C = 17 that is 6.8 MB; at 10 GB/s and core, 0.7 ms. Scatter kernels read and write the same amount. With
every cache line read once a slice is 2.4 MB, or 4.6 MB at padding 1.5: 0.13 and 0.25 ms at 18 GB/s. The forward kernel
takes 0.47 and 0.85 CPU-ms, torch's embedding_bag 1.5 and 1.9, or 0.75 and 1.1 with its places and weights ready
(`benchmarks/slicing_speed.py`): eight times faster than that would be below the floor, unless images share lines.

Measured at D = 64 with C = 9, on one thread, beside the floors at 31 GB/s (`benchmarks/near_poses.py`; ms per image up
to shell 14, 31): `compress` 0.014, 0.083 (0.006, 0.028), with derivatives by the poses 0.022, 0.136 (0.008, 0.037);
`accumulate` 0.022, 0.131 (0.040, 0.196: what falls into one cell is added once), `accumulate_near` 0.020, 0.102 (0.014,
0.069).
"""

from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor

from .backend import N_ERRORS, N_MOMENTS, N_PARAMETERS, Backend
from .fused_slice import FusedSlice
from .kernels.gather import compress_images, project_channels
from .kernels.local import expand_poses
from .kernels.map_scatter import scatter
from .kernels.matching import log_evidence, match_poses
from .kernels.near import compress_images_apart, compress_near_images
from .kernels.one_volume import match_one_volume
from .kernels.ordered_scatter import scatter_equations, scatter_near
from .kernels.voxels import solve_voxels
from .sphere_block import SphereBlock


class NumbaBackend(Backend):
    """See `Backend`."""

    shares_memory = True

    def coefficients(self, volumes: Tensor) -> Tensor:
        return torch.from_numpy(self.sphere.from_volumes(volumes.numpy()))

    def volumes(self, coefs: Tensor, convolve: bool = True) -> Tensor:
        return torch.from_numpy(self.sphere.to_volumes(coefs.numpy(), convolve))

    def project(self, coefs: Tensor, rotations: Tensor, count: int) -> Tensor:
        out = torch.empty(len(rotations), count, 2, coefs.shape[2])
        project_channels(*_arrays(coefs, rotations), self._freqs(count), *self._geometry, out.numpy())
        return out

    def mix(self, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, count: int) -> Tensor:
        freqs = torch.from_numpy(self._freqs(count))
        return FusedSlice.apply(coefs, amplitudes.float(), rotations.float(), self.sphere, freqs)

    def compress(self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        return self._compressed(compress_images, coefs.shape[2], coefs, targets, weights, rotations)

    def match(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, centres: Tensor, pattern: Tensor
    ) -> tuple[Tensor, Tensor]:
        count, c = targets.shape[1], coefs.shape[2]
        indices, freqs = self.lattice.indices[:count], self._freqs(count)
        angle = 2 * np.pi * indices @ pattern.numpy().T.astype(np.float64)
        waves = np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32)
        gram = torch.empty(*rotations.shape[:2], c * (c + 1) // 2)
        inner = torch.empty(*rotations.shape[:2], c, len(pattern))
        # Either kernel wants its innermost loop's numbers side by side.
        kernel, axes, ordered = (match_one_volume, (0, 2, 1), freqs.T) if c == 1 else (match_poses, (1, 0, 2), freqs)
        kernel(
            *_arrays(coefs, targets, weights, rotations, centres),
            np.ascontiguousarray(waves.transpose(axes)),
            indices,
            np.ascontiguousarray(ordered),
            *self._geometry,
            gram.numpy(),
            inner.numpy(),
        )
        return gram, inner

    def evidence(self, gram: Tensor, inner: Tensor) -> Tensor:
        out = torch.empty(inner.shape[0], inner.shape[2])
        log_evidence(*_arrays(gram, inner), out.numpy())
        return out

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
        n, size, options = len(targets), N_PARAMETERS, {"dtype": torch.float64}
        value, gradient = torch.empty(n, **options), torch.empty(n, size, **options)
        curvature = torch.empty(n, size, size, **options)
        begins = sets.numpy() * self.sphere.n_voxels
        volumes, s, t, w, turned, moved = _arrays(coefs, amplitudes, targets, weights, rotations, shifts)
        indices, out = self.lattice.indices[: targets.shape[1]], (value.numpy(), gradient.numpy(), curvature.numpy())
        expand_poses(volumes, begins, s, t, w, turned, moved, indices, *self._geometry, *out)
        return value, gradient, curvature

    def compress_near(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, slopes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        n_errors = N_PARAMETERS if slopes is None else N_ERRORS
        given = _given(slopes, weights)
        n_channels = coefs.shape[2] - N_MOMENTS + n_errors
        return self._compressed(compress_near_images, n_channels, coefs, targets, weights, rotations, given)

    def compress_apart(
        self,
        coefs: Tensor,
        targets: Tensor,
        weights: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
        *,
        n_apart: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        n, rows = len(targets), coefs.shape[2] - n_apart - N_MOMENTS + (N_PARAMETERS if slopes is None else N_ERRORS)
        shapes = (rows, rows), (rows,), (rows, n_apart), (n_apart,), (n_apart,)
        gram, inner, shared, own, told = (torch.empty(n, *shape, dtype=torch.float64) for shape in shapes)
        images = _arrays(coefs, targets, weights, rotations, _given(slopes, weights))
        out = gram.numpy(), inner.numpy(), shared.numpy(), own.numpy(), told.numpy()
        compress_images_apart(*images, self._freqs(targets.shape[1]), *self._geometry, *out)
        return gram, inner, shared, own, told

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
        w, m, t, s, turned = _arrays(weights, moments, targets, amplitudes, rotations)
        freqs, sums = self._freqs(t.shape[1]), (lhs.numpy(), rhs.numpy())
        scatter_equations(w, m, t, s, turned, freqs, *self._geometry, *sums, numba.get_num_threads(), self._reached)

    def accumulate_near(
        self,
        rhs: Tensor,
        moving: Tensor,
        weights: Tensor,
        corrections: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
    ) -> None:
        volumes, w, s, turned, given = _arrays(moving, weights, corrections, rotations, _given(slopes, weights))
        freqs, threads = self._freqs(w.shape[1]), numba.get_num_threads()
        scatter_near(volumes, w, s, turned, given, freqs, *self._geometry, rhs.numpy(), threads, self._reached)

    def completed(self, lhs: Tensor, rhs: Tensor) -> tuple[Tensor, Tensor]:
        self.sphere.symmetrize_real(lhs.numpy())
        self.sphere.symmetrize(rhs.numpy(), total=True)
        return lhs, rhs

    def solve(
        self, lhs: Tensor, rhs: Tensor, precision: Tensor, *, with_variance: bool = True
    ) -> tuple[Tensor, Tensor]:
        solution, variance = torch.empty_like(rhs), torch.empty(len(rhs) * with_variance, rhs.shape[2])
        arrays = _arrays(lhs, rhs, precision.float())
        solve_voxels(*arrays, self.sphere.shells, solution.numpy(), variance.numpy())
        return solution, variance

    def backproject(self, sums: Tensor, data: Tensor, power: Tensor, weights: Tensor, rotations: Tensor) -> None:
        d, p, w, turned = _arrays(data, power, weights, rotations)
        scatter(d, p, w, turned, self._freqs(d.shape[1]), self.sphere, sums.numpy())

    def _compressed(self, kernel: Callable, n_channels: int, *images: Tensor) -> tuple[Tensor, Tensor]:
        """What a kernel writes of coefs, targets, weights and rotations: A (B, C, C) and b (B, C)."""
        n, count = images[1].shape
        gram, inner = (torch.empty(n, *shape, dtype=torch.float64) for shape in ([n_channels] * 2, [n_channels]))
        kernel(*_arrays(*images), self._freqs(count), *self._geometry, gram.numpy(), inner.numpy())
        return gram, inner

    @property
    def _geometry(self) -> tuple[np.ndarray, np.float32, np.float32]:
        """What every kernel needs to know of the storage: row starts, grid steps per frequency, radius."""
        return self.sphere.row_start, np.float32(self.sphere.step), np.float32(self.sphere.radius)

    @property
    def _reached(self) -> np.ndarray | None:
        """Cells of a block."""
        return self.sphere.reached if isinstance(self.sphere, SphereBlock) else None

    def _freqs(self, count: int) -> np.ndarray:
        """(F, 2) float32."""
        return self.lattice.indices[:count].astype(np.float32)


def _given(slopes: Tensor | None, weights: Tensor) -> Tensor:
    """What kernels take for slopes that there are not: nothing of each image."""
    return weights[:, :0] if slopes is None else slopes


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """Contiguous arrays in the memory of the tensors, in single precision."""
    single = (tensor.to(torch.complex64 if tensor.is_complex() else torch.float32) for tensor in tensors)
    return tuple(np.ascontiguousarray(tensor.detach().resolve_conj().numpy()) for tensor in single)
