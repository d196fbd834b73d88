"""Central slices of volumes kept as Fourier coefficients on a half-sphere, and everything that flows back from slices."""
