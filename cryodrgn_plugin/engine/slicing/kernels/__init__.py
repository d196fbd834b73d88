"""Numba kernels over voxel runs of the half-sphere: what `numba_backend` calls. Float32, CPU, contiguous arrays."""
