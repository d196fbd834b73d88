"""Central slices of volumes kept as Fourier coefficients on a half-sphere, and what flows back from them."""
