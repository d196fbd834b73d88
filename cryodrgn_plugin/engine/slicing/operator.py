"""One slicing operation for decoders: the kernel that fits the device, differentiable in all but the lattice.

On the CPU the numba kernels serve float32; every other case (float64, GPU) takes the torch reference, which is also
where a GPU kernel belongs. Gradients of the coefficients are Hermitian-summed on the plane kx = 0, so that an optimiser
step keeps the stored plane Hermitian: a pair is one variable there, and has its derivative; so has the origin.
"""

import numba
import numpy as np
import torch
from torch import Tensor

from . import cpu, reference
from .sphere import HalfSphere


def slice_weighted(coefs: Tensor, amplitudes: Tensor, rotations: Tensor, sphere: HalfSphere, freqs: Tensor) -> Tensor:
    """Slices of Σ_c amplitudes[b, c] V_c.

    Parameters
    ----------
    coefs : (M, 2, C). Half-sphere coefficients (`HalfSphere`).
    amplitudes : (B, C). Weight of each channel in each image.
    rotations : (B, 3, 3). Volume to view.
    freqs : (F, 2). Frequencies (kx, ky) in 1/(box · pixel), the lattice's `indices`.

    Returns
    -------
    (B, F) complex. Differentiable in coefs, amplitudes and rotations.
    """
    if coefs.device.type == "cpu" and coefs.dtype == torch.float32:
        return _FusedSlice.apply(coefs, amplitudes.float(), rotations.float(), sphere, freqs.float())
    return reference.slice_weighted(_Hermitian.apply(coefs, sphere), amplitudes, rotations, sphere, freqs)


class _FusedSlice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, coefs, amplitudes, rotations, sphere, freqs):
        ctx.save_for_backward(coefs, amplitudes, rotations, freqs)
        ctx.sphere = sphere
        out = np.empty((len(rotations), len(freqs)), dtype=np.complex64)
        cpu.project_weighted(*_arrays(coefs, amplitudes, rotations, freqs), *kernel_geometry(sphere), out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx, grad):
        coefs, amplitudes, rotations, freqs = ctx.saved_tensors
        sphere = ctx.sphere
        values = np.ascontiguousarray(grad.detach().resolve_conj().numpy().astype(np.complex64, copy=False))
        by_coefs = by_amplitudes = by_rotations = None
        if ctx.needs_input_grad[0]:
            by_coefs = np.zeros(tuple(coefs.shape), dtype=np.float32)
            threads = numba.get_num_threads()
            where = (*_arrays(rotations, freqs), *kernel_geometry(sphere))
            cpu.scatter_weighted(values, _arrays(amplitudes)[0], *where, out=by_coefs, threads=threads)
            sphere.symmetrize(by_coefs, total=True)[sphere.origin] /= 2
            by_coefs = torch.from_numpy(by_coefs)
        if ctx.needs_input_grad[1]:
            by_amplitudes = torch.empty(amplitudes.shape)
            arrays = _arrays(coefs, rotations, freqs)
            cpu.amplitude_gradients(values, *arrays, *kernel_geometry(sphere), by_amplitudes.numpy())
        if ctx.needs_input_grad[2]:
            by_rotations = torch.empty(rotations.shape)
            arrays = _arrays(coefs, amplitudes, rotations, freqs)
            cpu.rotation_gradients(values, *arrays, *kernel_geometry(sphere), by_rotations.numpy())
        return by_coefs, by_amplitudes, by_rotations, None, None


class _Hermitian(torch.autograd.Function):
    """Identity on coefficients; its gradient is Hermitian-summed like the fused kernel's."""

    @staticmethod
    def forward(ctx, coefs, sphere):
        ctx.sphere = sphere
        return coefs.view_as(coefs)

    @staticmethod
    def backward(ctx, grad):
        own, partner = (torch.as_tensor(i, device=grad.device) for i in ctx.sphere.plane)
        conjugate = torch.tensor([1.0, -1.0], dtype=grad.dtype, device=grad.device)[:, None]
        summed = grad.clone()
        summed[own] = grad[own] + grad[partner] * conjugate
        summed[ctx.sphere.origin] /= 2
        return summed, None


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(t.detach().numpy()) for t in tensors)


def kernel_geometry(sphere: HalfSphere) -> tuple[np.ndarray, np.float32, np.float32]:
    """What every CPU kernel needs to know of the storage: row starts, grid steps per frequency, radius."""
    return sphere.row_start, np.float32(sphere.step), np.float32(sphere.radius)
