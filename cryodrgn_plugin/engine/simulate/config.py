"""Settings of a simulated data set, each explained. Imports no heavy library."""

import math
from dataclasses import dataclass

from ..errors import ConfigError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class OpticsGroup:
    """What the particles of one microscope session share."""

    voltage_kv: float = 300.0
    """Accelerating voltage."""
    spherical_aberration_mm: float = 2.7
    """Cs of the objective lens."""
    amplitude_contrast: float = 0.1
    """Share of amplitude contrast, between 0 and 1."""
    noise_scale: float = 1.0
    """Standard deviation of this group's noise relative to the one that gives the stated SNR."""

    def __post_init__(self) -> None:
        _require(self.voltage_kv > 0, f"The voltage is {self.voltage_kv} kV; it must be positive.")
        _require(
            0 <= self.amplitude_contrast < 1,
            f"The amplitude contrast is {self.amplitude_contrast}; it must lie in [0, 1).",
        )
        _require(self.noise_scale > 0, f"The noise scale is {self.noise_scale}; it must be positive.")


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    n_particles: int = 5000
    """Number of particle images, or of pairs of them with `tilt_deg`."""
    box: int = 64
    """Box edge in pixels, even."""
    pixel_size_ang: float = 2.2
    """Pixel size in angstrom."""
    resolution_ang: float = 0.0
    """Resolution of states rendered from atoms: their amplitudes fall to 1/e at this spacing. 0 means two pixels."""
    snr: float = 0.1
    """Variance of the signal over the whole box after the CTF, averaged over images, divided by the variance of the
    noise. inf adds no noise."""
    shift_px: float = 3.0
    """Shifts are uniform in ± this many pixels in x and in y."""
    ctf: bool = True
    """Multiply by the CTF. Without it the star file carries no CTF columns."""
    ctf_rows: str = ""
    """A .npy table of CTF parameters of real particles to draw from, cryoDRGN's nine columns: box, pixel size, defocus
    U, V, angle, kV, Cs, amplitude contrast, phase shift. Empty draws from the ranges below."""
    defocus_ang: tuple[float, float] = (10_000.0, 25_000.0)
    """Range of the mean defocus in angstrom."""
    astigmatism_ang: float = 500.0
    """Largest difference between defocus U and V in angstrom; the axis is random."""
    phase_shift_deg: tuple[float, float] = (0.0, 0.0)
    """Range of the phase plate's shift in degrees."""
    b_factor_ang2: float = 0.0
    """Envelope exp(−B k²/4) of the images, written as rlnCtfBfactor. The cryoDRGN thesis uses 100."""
    optics: tuple[OpticsGroup, ...] = ()
    """Optics groups; particles are dealt to them micrograph by micrograph. Empty is one group, with the kV, Cs and
    amplitude contrast of `ctf_rows` where given."""
    tilt_deg: float = 0.0
    """Take a second image of every particle after tilting the stage by this angle about the x axis; the star file has
    both, one after the other. 0 takes one image."""
    contrast_sd: float = 0.0
    """Standard deviation of the contrast of an image around 1 (ice thickness). It is planted, not told: truth.npz has
    it, the star file has not."""
    particles_per_micrograph: int = 100
    """How many particles share an rlnMicrographName."""
    float16: bool = False
    """Write the stack in half precision (MRC mode 12) instead of float32."""
    keep_clean: bool = False
    """Also write clean.mrcs, the images before the noise."""
    image_prefix: str = ""
    """Folder written before the stack's name in rlnImageName, for programs that do not start in the output folder."""

    def __post_init__(self) -> None:
        _require(self.n_particles >= 1, f"The number of particles is {self.n_particles}; it must be at least 1.")
        _require(self.box >= 16 and self.box % 2 == 0, f"The box is {self.box}; it must be even and at least 16.")
        _require(self.pixel_size_ang > 0, f"The pixel size is {self.pixel_size_ang} Å; it must be positive.")
        _require(
            self.resolution_ang >= 0,
            f"The resolution is {self.resolution_ang} Å; it must be positive, or 0 for two pixels.",
        )
        _require(self.snr > 0, f"The SNR is {self.snr}; it must be positive (inf adds no noise).")
        _require(
            0 <= self.shift_px < self.box / 2,
            f"The shift is {self.shift_px} px; it must be from 0 to half the box of {self.box}.",
        )
        for name in ("defocus_ang", "phase_shift_deg"):
            low, high = getattr(self, name)
            _require(low <= high, f"The range {name} is {low} to {high}; give the smaller number first.")
        _require(self.astigmatism_ang >= 0, f"The astigmatism is {self.astigmatism_ang} Å; it must be 0 or more.")
        _require(
            self.contrast_sd >= 0, f"The contrast's standard deviation is {self.contrast_sd}; it must be 0 or more."
        )
        _require(-90 < self.tilt_deg < 90, f"The tilt is {self.tilt_deg}°; it must lie between -90 and 90.")
        _require(self.particles_per_micrograph >= 1, "particles_per_micrograph must be at least 1.")

    @property
    def noisy(self) -> bool:
        return math.isfinite(self.snr)

    @property
    def model_resolution_ang(self) -> float:
        """The resolution at which atoms are rendered, in angstrom."""
        return self.resolution_ang or 2 * self.pixel_size_ang
