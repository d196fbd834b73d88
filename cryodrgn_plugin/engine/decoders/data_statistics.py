"""What a decoder is told of the images before it learns from them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DataStatistics:
    """Sizes of Fourier coefficients of the volume by shell |k| in 1/(box · pixel), in the grey scale of the images."""

    signal: np.ndarray
    """(n_shells,) float32, positive. Root mean square that the images tell of once their noise is taken off."""
    spectrum: np.ndarray
    """(n_shells,), positive. The same with the noise left in: σ̄ of sparse_fourier_backpropagation eq. 5."""
    pixel_size_ang: float
    """Of the images as they are prepared."""
    seed: int
    """Of the random numbers that a decoder starts from."""
