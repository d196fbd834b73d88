"""Images folded and moved on the CPU: tensors that share their memory with the arrays of the numba kernels."""

import numpy as np
import torch
from torch import Tensor

from ..imaging.ctf import NEAREST_ZERO
from .image_formation import Observed
from .kernels.formed_images import defocus_slopes, form_images
from .kernels.formed_images import waves as fill_waves


def fold(observed: Observed, freqs: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) complex64 and (B, F) float32; see `image_formation.folded`."""
    spectra = torch.view_as_real(observed.spectra.contiguous())
    targets, weights = torch.empty_like(spectra), torch.empty(spectra.shape[:2])
    given = (spectra, observed.ctf_numbers, observed.moves, observed.precision, observed.group, observed.multiplied)
    form_images(*(values.contiguous().numpy() for values in (*given, freqs.T.double(), targets, weights)))
    return torch.view_as_complex(targets), weights


def slopes(numbers: np.ndarray, slowness: np.ndarray, freqs: Tensor) -> Tensor:
    """(B, F) float32; see `kernels.formed_images.defocus_slopes`."""
    values = torch.empty(len(numbers), len(freqs))
    defocus_slopes(numbers, slowness, freqs.T.double().contiguous().numpy(), NEAREST_ZERO, values.numpy())
    return values


def waves(moves: Tensor, freqs: Tensor) -> Tensor:
    """(n, F) complex64. e^{2πi k·move} of moves (n, 2) in boxes at frequencies (F, 2), both double."""
    values = torch.empty(len(moves), len(freqs), 2)
    fill_waves(moves.contiguous().numpy(), freqs.T.contiguous().numpy(), values.numpy())
    return torch.view_as_complex(values)
