"""Noise whose power goes with spatial frequency as in real images, of standard deviation 1 over the box.

`ice` is  P(κ) = 1 + 9/(1 + (κ/0.04)²)^1.5 + 0.07 exp(−(κ − 0.265)²/(2 · 0.02²)),  κ in 1/Å, in units of the power near
the Nyquist frequency. It was drawn by hand near the backgrounds of two sets as `imaging/noise.py` unmixes them, seven
images of EMPIAR-10076 (3 at 1/50 Å, 1.6 at 1/20, 1.04 at 1/17, a ring of 1.07 at 1/3.8) and five 256² images of another
(5.7 at 1/45 Å, 4.4 at 1/11, 1.9 at 1/9, 1.3 at 1/4.5; above 15 beyond 1/100): between the two, but for 1/50 to 1/35 Å,
where it is up to 40 % above the higher.
"""

from pathlib import Path

import numpy as np
from scipy import fft

from ..config import DataConfig
from ..errors import DataError
from .config import SimulationConfig
from .transform import squared_radius

_READ_AS_STAR = (".star", ".cs")


class ColouredNoise:
    """Draws noise with the spectrum that the settings ask for.

    Raises DataError when a file of the spectrum cannot be used.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._box = config.box
        self._amplitude: np.ndarray | None = None
        if config.noise_spectrum != "white":
            self._amplitude = np.sqrt(noise_power(config)).astype(np.float32)

    def __call__(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, box, box) float32."""
        white = rng.standard_normal((count, self._box, self._box), dtype=np.float32)
        if self._amplitude is None:
            return white
        return fft.irfft2(fft.rfft2(white) * self._amplitude, s=white.shape[1:])


def noise_power(config: SimulationConfig) -> np.ndarray:
    """(box, box // 2 + 1) power of each coefficient in the order of `rfft2`, with mean 1 over the whole plane."""
    box = config.box
    frequency = np.sqrt(squared_radius(box, 2)) / (box * config.pixel_size_ang)
    power = _spectrum(config, frequency)
    # All but the first and the last column stand for two.
    mean = (2 * power.sum() - power[:, 0].sum() - power[:, -1].sum()) / box**2
    return power / mean


def _spectrum(config: SimulationConfig, frequency: np.ndarray) -> np.ndarray:
    """Power at these spatial frequencies in 1/Å, up to a factor."""
    if config.noise_spectrum == "white":
        return np.ones_like(frequency)
    if config.noise_spectrum == "ice":
        return ice_power(frequency)
    path = Path(config.noise_spectrum)
    if not path.is_file():
        raise DataError(
            f"There is no file {path} with a noise spectrum; give white, ice, a text file of power by spatial "
            "frequency, or a star file of real particles."
        )
    if path.suffix in _READ_AS_STAR:
        given, power = _measured(path)
    else:
        given, power = _listed(path, config)
    return np.exp(np.interp(frequency, given, np.log(power)))


def ice_power(frequency: np.ndarray) -> np.ndarray:
    """The built-in spectrum at spatial frequencies in 1/Å, 1 where it is lowest."""
    falling = 9 / (1 + (frequency / 0.04) ** 2) ** 1.5
    ring = 0.07 * np.exp(-((frequency - 0.265) ** 2) / (2 * 0.02**2))
    return 1 + falling + ring


def _listed(path: Path, config: SimulationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Rising spatial frequencies in 1/Å and the power there, as a text file has them."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except (ValueError, UnicodeDecodeError):
        raise DataError(f"{path} is no table of numbers; give one column of power, or frequency and power.") from None
    if table.shape[1] not in (1, 2) or len(table) < 2:
        raise DataError(
            f"{path} has {len(table)} rows of {table.shape[1]} numbers; a noise spectrum has two rows or more, of the "
            "power or of spatial frequency (1/Å) and power."
        )
    power = table[:, -1]
    nyquist = 1 / (2 * config.pixel_size_ang)
    frequency = table[:, 0] if table.shape[1] == 2 else np.linspace(0, nyquist, len(table))
    if not (np.isfinite(table).all() and power.min() > 0 and (np.diff(frequency) > 0).all()):
        raise DataError(f"{path} is no noise spectrum: powers must be positive, and spatial frequencies must rise.")
    return frequency, power


def _measured(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Spatial frequencies in 1/Å and the power on the background of a real set's images, in its largest group."""
    from ..data.dataset import ParticleDataset
    from ..imaging.noise import SAMPLE, background_spectrum

    dataset = ParticleDataset.open(path, DataConfig(cache_mb=0))
    geometry = dataset.source.geometry
    group, whole = geometry.reference, int(geometry.boxes[geometry.reference])
    if geometry.box != whole and len(np.unique(geometry.boxes)) == 1:
        dataset = ParticleDataset.open(path, DataConfig(box=whole, cache_mb=0))
    if not dataset.source.preparations[group].has_noise:
        raise DataError(f"The images of {path} have no noise to measure a spectrum of; give a set of real particles.")
    members = np.flatnonzero(dataset.optics_group == group)
    power = background_spectrum(dataset, members[:: max(1, len(members) // SAMPLE)])
    return np.arange(len(power)) / (dataset.box * dataset.pixel_size_ang), power
