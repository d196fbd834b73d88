"""Kernels of the Triton member: one idea a file, each with the function that launches it."""
