"""One fused kernel for weighted slices and its derivatives: gather, weight and sum in one pass over the voxels touched.

Source: sparse_fourier_backpropagation section 4.3. Gradients of the coefficients are Hermitian-summed (`Backend.mix`).
"""

import numba
import numpy as np
import torch
from torch import Tensor

from .kernels.gather import amplitude_gradients, project_weighted, rotation_gradients
from .kernels.ordered_scatter import scatter_weighted
from .sphere import HalfSphere


class FusedSlice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, coefs, amplitudes, rotations, sphere, freqs):
        ctx.save_for_backward(coefs, amplitudes, rotations, freqs)
        ctx.sphere = sphere
        out = np.empty((len(rotations), len(freqs)), dtype=np.complex64)
        project_weighted(*_arrays(coefs, amplitudes, rotations, freqs), *_geometry(sphere), out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, grad):
        coefs, amplitudes, rotations, freqs = ctx.saved_tensors
        sphere = ctx.sphere
        values = np.ascontiguousarray(grad.detach().resolve_conj().numpy().astype(np.complex64, copy=False))
        by_coefs = by_amplitudes = by_rotations = None
        if ctx.needs_input_grad[0]:
            by_coefs = np.zeros(tuple(coefs.shape), dtype=np.float32)
            s, turned, points = _arrays(amplitudes, rotations, freqs)
            threads = numba.get_num_threads()
            scatter_weighted(values, s, turned, points, *_geometry(sphere), out=by_coefs, threads=threads)
            sphere.symmetrize(by_coefs, total=True)[sphere.origin] /= 2
            by_coefs = torch.from_numpy(by_coefs)
        if ctx.needs_input_grad[1]:
            by_amplitudes = torch.empty(amplitudes.shape)
            arrays = _arrays(coefs, rotations, freqs)
            amplitude_gradients(values, *arrays, *_geometry(sphere), by_amplitudes.numpy())
        if ctx.needs_input_grad[2]:
            by_rotations = torch.empty(rotations.shape)
            arrays = _arrays(coefs, amplitudes, rotations, freqs)
            rotation_gradients(values, *arrays, *_geometry(sphere), by_rotations.numpy())
        return by_coefs, by_amplitudes, by_rotations, None, None


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(t.detach().numpy()) for t in tensors)


def _geometry(sphere: HalfSphere) -> tuple[np.ndarray, np.float32, np.float32]:
    """What every kernel needs to know of the storage: row starts, grid steps per frequency, radius."""
    return sphere.row_start, np.float32(sphere.step), np.float32(sphere.radius)
