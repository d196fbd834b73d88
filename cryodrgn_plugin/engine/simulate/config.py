"""Settings of a simulated data set, each explained. Imports no heavy library."""

import math
from dataclasses import dataclass
from typing import Annotated

from ..config import Settings, require
from ..config.bounds import AtLeast, Between, Even, LessThan, Means, MoreThan, OneOf, Rising


@dataclass(frozen=True, kw_only=True)
class OpticsGroup(Settings):
    """What the particles of one microscope session share."""

    voltage_kv: Annotated[float, MoreThan(0)] = 300.0
    """Accelerating voltage."""
    spherical_aberration_mm: float = 2.7
    """Cs of the objective lens."""
    amplitude_contrast: Annotated[float, AtLeast(0), LessThan(1)] = 0.1
    """Share of amplitude contrast, between 0 and 1."""
    noise_scale: Annotated[float, MoreThan(0)] = 1.0
    """Standard deviation of this group's noise relative to the one that gives the stated SNR."""
    beam_tilt_mrad: tuple[float, float] = (0.0, 0.0)
    """rlnBeamTiltX and Y: coma, which images have and the star file tells."""
    odd_zernike: tuple[float, ...] = ()
    """rlnOddZernike: antisymmetric terms in RELION's order, such as trefoil."""
    even_zernike: tuple[float, ...] = ()
    """rlnEvenZernike: symmetric terms, such as tetrafoil."""
    magnification: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    """rlnMagMat00, 01, 10 and 11: an image's frequency k shows the molecule's at M k."""


@dataclass(frozen=True, kw_only=True)
class SimulationConfig(Settings):
    n_particles: Annotated[int, AtLeast(1)] = 5000
    """Number of particle images, or of pairs of them with `tilt_deg`."""
    box: Annotated[int, Even(), AtLeast(16)] = 64
    """Box edge in pixels, even."""
    pixel_size_ang: Annotated[float, MoreThan(0)] = 2.2
    """Pixel size in angstrom."""
    resolution_ang: Annotated[float, AtLeast(0), Means(0, "means two pixels")] = 0.0
    """Resolution of states rendered from atoms: their amplitudes fall to 1/e at this spacing. 0 means two pixels."""
    snr: Annotated[float, MoreThan(0), Means(math.inf, "adds no noise")] = 0.1
    """Variance of the signal over the whole box after the CTF, averaged over images, divided by the variance of the
    noise over the whole box, whatever its colour. inf adds no noise."""
    noise_spectrum: str = "white"
    """How the power of the noise goes with spatial frequency. white: alike at all. ice: as in real images, ten times
    higher at the lowest frequencies and falling, with the ring of ice at 3.8 Å where pixels reach it. Or a text file:
    two columns are spatial frequency in 1/Å and power, one column is power from 0 to the Nyquist frequency. Or the star
    file of a real set, on the background of whose images it is measured."""
    shift_px: Annotated[float, AtLeast(0)] = 3.0
    """Shifts are uniform in ± this many pixels in x and in y."""
    views: Annotated[str, OneOf("even", "side", "top", "preferred")] = "even"
    """From where particles are seen. even: from all sides alike. side: from near the equator of the model's z axis.
    top: from near both ends of that axis. preferred: from around a few random directions, some more than others.
    In-plane angles are always even."""
    views_concentration: Annotated[float, AtLeast(0)] = 10.0
    """How narrowly uneven views lie around the equator or their direction (κ of a von Mises–Fisher distribution): they
    spread by about 57°/√κ, 10 is 18°. 0 is even."""
    preferred_views: Annotated[int, AtLeast(1)] = 4
    """Number of directions of `views` preferred."""
    views_from: str = ""
    """Star file of real particles: each particle is seen from where one of these is, drawn at random, at an in-plane
    angle of its own. Empty takes `views`."""
    ctf: bool = True
    """Multiply by the CTF. Without it the star file carries no CTF columns."""
    ctf_rows: str = ""
    """A .npy table of CTF parameters of real particles to draw from, cryoDRGN's nine columns: box, pixel size, defocus
    U, V, angle, kV, Cs, amplitude contrast, phase shift. Empty draws from the ranges below."""
    defocus_ang: Annotated[tuple[float, float], Rising()] = (10_000.0, 25_000.0)
    """Range of the mean defocus in angstrom."""
    astigmatism_ang: Annotated[float, AtLeast(0)] = 500.0
    """Largest difference between defocus U and V in angstrom; the axis is random."""
    phase_shift_deg: Annotated[tuple[float, float], Rising()] = (0.0, 0.0)
    """Range of the phase plate's shift in degrees."""
    b_factor_ang2: float = 0.0
    """Envelope exp(−B k²/4) of the images, written as rlnCtfBfactor. The cryoDRGN thesis uses 100."""
    optics: tuple[OpticsGroup, ...] = ()
    """Optics groups; particles are dealt to them micrograph by micrograph. Empty is one group, with the kV, Cs and
    amplitude contrast of `ctf_rows` where given."""
    tilt_deg: Annotated[float, MoreThan(-90), LessThan(90)] = 0.0
    """Take a second image of every particle after tilting the stage by this angle about the x axis; the star file has
    both, one after the other. 0 takes one image."""
    contrast_sd: Annotated[float, AtLeast(0)] = 0.0
    """Standard deviation of the contrast of an image around 1 (ice thickness); what would be under 0.1 is 0.1. It is
    planted, not told: truth.npz has it, the star file has not."""
    pose_error_deg: Annotated[float, AtLeast(0)] = 0.0
    """Orientations in the star file are wrong: turned from the true ones about each of the three axes of the view by
    normal errors of this standard deviation in degrees. The images of a tilt pair share the error of their particle.
    truth.npz has the true orientations and the errors."""
    shift_error_px: Annotated[float, AtLeast(0)] = 0.0
    """Shifts in the star file are wrong by normal errors of this standard deviation in pixels, in x and in y.
    truth.npz has the true shifts and the errors."""
    defocus_error_ang: Annotated[float, AtLeast(0)] = 0.0
    """Defocus in the star file is wrong by normal errors of this standard deviation in angstrom, U and V of an image
    alike. truth.npz has the true values and the errors."""
    junk_share: Annotated[float, AtLeast(0), LessThan(1)] = 0.0
    """Share of images that are no good particles, a quarter each: noise only, something else, a particle off the
    centre (by 18 to 35 % of the box, which the star file does not know), a crystal of ice. truth.npz has the kind."""
    neighbours_share: Annotated[float, Between(0, 1)] = 0.0
    """Share of images that show part of another particle of the set, whose centre lies just outside the box."""
    gradient_sd: Annotated[float, AtLeast(0)] = 0.0
    """Linear ramp of brightness across images, of random direction and strength: its standard deviation over the box in
    units of that of the noise, root mean square over images."""
    particles_per_micrograph: Annotated[int, AtLeast(1)] = 100
    """How many particles share an rlnMicrographName."""
    float16: bool = False
    """Write the stack in half precision (MRC mode 12) instead of float32."""
    keep_clean: bool = False
    """Also write clean.mrcs, the images before the noise."""
    image_prefix: str = ""
    """Folder written before the stack's name in rlnImageName, for programs that do not start in the output folder."""

    def check_together(self) -> None:
        require(
            not self.views_from or self.views == "even",
            f"views_from names a star file and views is {self.views}; give one of them.",
        )
        require(
            self.shift_px < self.box / 2,
            f"shift_px is {self.shift_px}; it must be less than half the box of {self.box}.",
        )

    @property
    def noisy(self) -> bool:
        return math.isfinite(self.snr)

    @property
    def model_resolution_ang(self) -> float:
        """The resolution at which atoms are rendered, in angstrom."""
        return self.resolution_ang or 2 * self.pixel_size_ang
