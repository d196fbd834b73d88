"""What is drawn at random for each particle: its state, orientation, shift, optics, CTF, contrast and micrograph."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..geometry.rotations import random_matrices, tilt_about_x
from ..imaging.aberrations import Aberrations, even_zernike
from ..imaging.ctf import CtfParams
from ..io.arrays import read_npy_file
from .config import OpticsGroup, SimulationConfig
from .ensemble import assign_states
from .streams import Streams
from .views import drawn_views

_MICROGRAPH_EDGE_PX = 4096


@dataclass(frozen=True)
class Acquisition:
    """N images of particles as they were taken. Arrays have one entry per image."""

    state: np.ndarray
    """(N,) int."""
    rotations: np.ndarray
    """(N, 3, 3) float64, volume to view."""
    shifts_ang: np.ndarray
    """(N, 2) displacement of the feature; minus rlnOriginX/YAngst."""
    ctf: CtfParams
    contrast: np.ndarray
    """(N,) factor on the signal."""
    group: np.ndarray
    """(N,) int, index into `optics`."""
    micrograph: np.ndarray
    """(N,) int."""
    coordinates_px: np.ndarray
    """(N, 2) place in the micrograph."""
    optics: tuple[OpticsGroup, ...]
    particle: np.ndarray
    """(N,) int. Whose image it is: pairs have two, one after the other."""
    tilt_deg: np.ndarray
    """(N,) angle of the stage."""

    def __len__(self) -> int:
        return len(self.state)

    @property
    def aberrations(self) -> tuple[Aberrations, ...]:
        """Of each optics group."""
        return aberrations_of(self.optics)

    @property
    def noise_scale(self) -> np.ndarray:
        """(N,) float32."""
        return np.array([group.noise_scale for group in self.optics], dtype=np.float32)[self.group]


def aberrations_of(optics: tuple[OpticsGroup, ...]) -> tuple[Aberrations, ...]:
    """Of each optics group."""
    return tuple(
        Aberrations(o.beam_tilt_mrad, o.odd_zernike, o.even_zernike, (o.magnification[:2], o.magnification[2:]))
        for o in optics
    )


def draw_acquisition(populations: np.ndarray, config: SimulationConfig, streams: Streams) -> Acquisition:
    """Everything random about the images except their noise, as it is in truth."""
    first = _single_images(populations, config, streams.layout)
    if config.views != "even" or config.views_from:
        first = replace(first, rotations=drawn_views(config, len(first), streams.views))
    if not config.tilt_deg:
        return first
    return _with_partners(first, _single_images(populations, config, streams.layout), config.tilt_deg)


def _with_partners(first: Acquisition, second: Acquisition, tilt_deg: float) -> Acquisition:
    """Two images of each particle of `first`: the second on a micrograph of its own, with the optics of `second`.

    The particle is where it was on the tilted image too: partners are cut out at its place.
    """

    def both(ours: np.ndarray, partners: np.ndarray) -> np.ndarray:
        # One after the other in turn: ours 0, partner 0, ours 1, partner 1, …
        return np.stack([ours, partners], axis=1).reshape(-1, *ours.shape[1:])

    return Acquisition(
        state=both(first.state, first.state),
        rotations=both(first.rotations, tilt_about_x(tilt_deg) @ first.rotations),
        shifts_ang=both(first.shifts_ang, first.shifts_ang),
        ctf=first.ctf.each(both, second.ctf),
        contrast=both(first.contrast, second.contrast),
        group=both(first.group, second.group),
        micrograph=both(2 * first.micrograph, 2 * second.micrograph + 1),
        coordinates_px=both(first.coordinates_px, second.coordinates_px),
        optics=first.optics,
        particle=both(first.particle, first.particle),
        tilt_deg=both(first.tilt_deg, np.full_like(first.tilt_deg, tilt_deg)),
    )


def _single_images(populations: np.ndarray, config: SimulationConfig, rng: np.random.Generator) -> Acquisition:
    n = config.n_particles
    micrograph = np.arange(n) // config.particles_per_micrograph
    limit_ang = config.shift_px * config.pixel_size_ang
    state = assign_states(populations, n, rng)
    rotations = random_matrices(n, rng)
    shifts_ang = rng.uniform(-limit_ang, limit_ang, (n, 2))
    contrast = np.maximum(rng.normal(1.0, config.contrast_sd, n), 0.1)
    coordinates_px = rng.uniform(config.box, _MICROGRAPH_EDGE_PX - config.box, (n, 2)).round()
    if config.ctf_rows:
        optics, group, ctf = _ctf_from_rows(config, micrograph, rng)
    else:
        optics = config.optics or (OpticsGroup(),)
        group = micrograph % len(optics)
        ctf = _ctf_from_ranges(config, optics, group, rng)
    return Acquisition(
        state,
        rotations,
        shifts_ang,
        ctf,
        contrast,
        group,
        micrograph,
        coordinates_px,
        optics,
        particle=np.arange(n),
        tilt_deg=np.zeros(n),
    )


def _ctf_from_ranges(
    config: SimulationConfig, optics: tuple[OpticsGroup, ...], group: np.ndarray, rng: np.random.Generator
) -> CtfParams:
    n = config.n_particles
    mean = rng.uniform(*config.defocus_ang, n)
    half_difference = rng.uniform(0, config.astigmatism_ang / 2, n)
    angle_deg = rng.uniform(-90, 90, n)
    phase_shift_deg = rng.uniform(*config.phase_shift_deg, n)
    return _ctf(config, optics, group, mean + half_difference, mean - half_difference, angle_deg, phase_shift_deg)


def _ctf_from_rows(
    config: SimulationConfig, micrograph: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[OpticsGroup, ...], np.ndarray, CtfParams]:
    rows = read_ctf_rows(config.ctf_rows)
    drawn = rows[rng.integers(len(rows), size=config.n_particles)]
    if config.optics:
        optics, group = config.optics, micrograph % len(config.optics)
    else:
        kinds, group = np.unique(drawn[:, 5:8].round(4), axis=0, return_inverse=True)
        optics, group = tuple(_optics_group(*kind) for kind in kinds.tolist()), group.ravel()
    return optics, group, _ctf(config, optics, group, drawn[:, 2], drawn[:, 3], drawn[:, 4], drawn[:, 8])


def _optics_group(voltage_kv: float, spherical_aberration_mm: float, amplitude_contrast: float) -> OpticsGroup:
    return OpticsGroup(
        voltage_kv=voltage_kv,
        spherical_aberration_mm=spherical_aberration_mm,
        amplitude_contrast=amplitude_contrast,
    )


def read_ctf_rows(path: str) -> np.ndarray:
    """(R, 9) float64 table of cryoDRGN's CTF columns. Raises DataError when the file is absent or is something else."""
    if not Path(path).is_file():
        raise DataError(f"There is no CTF table {path}; give a .npy file with nine columns per particle.")
    rows = read_npy_file(path, "Give a .npy table of cryoDRGN's nine CTF columns.")
    is_table = rows.dtype.kind in "iuf" and rows.ndim == 2 and rows.shape[1] == 9 and len(rows) > 0
    if not is_table or not np.isfinite(rows).all():
        raise DataError(
            f"{path} has the shape {rows.shape}; a CTF table has nine finite columns: "
            "box, pixel size, defocus U, V, angle, kV, Cs, amplitude contrast, phase shift."
        )
    return rows.astype(np.float64)


def _ctf(
    config: SimulationConfig,
    optics: tuple[OpticsGroup, ...],
    group: np.ndarray,
    defocus_u_ang: np.ndarray,
    defocus_v_ang: np.ndarray,
    angle_deg: np.ndarray,
    phase_shift_deg: np.ndarray,
) -> CtfParams:
    def shared(name: str) -> np.ndarray:
        return np.array([getattr(o, name) for o in optics], dtype=np.float64)[group]

    n = config.n_particles
    return CtfParams(
        defocus_u_ang=defocus_u_ang,
        defocus_v_ang=defocus_v_ang,
        defocus_angle_deg=angle_deg,
        voltage_kv=shared("voltage_kv"),
        spherical_aberration_mm=shared("spherical_aberration_mm"),
        amplitude_contrast=shared("amplitude_contrast"),
        phase_shift_deg=phase_shift_deg,
        b_factor_ang2=np.full(n, config.b_factor_ang2),
        scale=np.ones(n),
        even_zernike=even_zernike(aberrations_of(optics), group),
    )
