"""Noise for views of a model that is still being learnt: as strong, beside the view, as the data's is beside theirs.

Noise of the data's own strength would drown the faint views of an early model. Theorem 1 of ace_hetem: where noise and
signal are independent, SNR = (σ_I² − σ_ε²) / σ_ε², with σ_I² the variance of the images and σ_ε² that of the
background; so a view of variance σ² gets noise of variance σ² / SNR. The colour is that of the data's noise, shell by
shell, and the data's strength is never exceeded.
"""

import torch
from torch import Tensor

from ..data.step_draws import StepDraws
from ..ranks import Ranks

LOWEST_SIGNAL = 1e-3
"""Share of the images' variance that is granted to the signal, should the noise be estimated higher than the images."""


class SyntheticNoise:
    """Adds noise to spectra.

    Parameters
    ----------
    sigma2 : (G, F). Variance of the noise per coefficient of each optics group; zeros for noise-free data.
    signal_power : (F,)-mean power of the images minus that of the noise, multiplicities counted.
    multiplicity : (F,).
    """

    def __init__(self, sigma2: Tensor, signal_power: float, multiplicity: Tensor):
        self._sigma2, self._signal_power = sigma2, signal_power
        self._multiplicity = multiplicity / multiplicity.sum()

    @classmethod
    def of_data(cls, sigma2: Tensor, image_power: float, multiplicity: Tensor) -> "SyntheticNoise":
        """The noise of data whose images have the mean power `image_power` per coefficient (Theorem 1)."""
        noise_power = float((sigma2 @ multiplicity / multiplicity.sum()).mean())
        return cls(sigma2, max(image_power - noise_power, LOWEST_SIGNAL * image_power), multiplicity)

    def add(self, clean: Tensor, group: Tensor, draws: StepDraws) -> Tensor:
        """(B, F) noise-free spectra of particles in optics groups (B,) → the same with noise."""
        power = Ranks.present().mean(torch.view_as_real(clean).square().sum(-1) @ self._multiplicity)
        strength = (power / self._signal_power).clamp(max=1.0)
        # Real and imaginary parts each carry half of the variance.
        drawn = draws.normal((*clean.shape, 2)).to(clean.device)
        scale = (self._sigma2[group.long()] * strength / 2).sqrt()
        return clean + torch.view_as_complex(drawn) * scale
