"""The star file of a simulated set, and the table of what was planted."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..data.tilt_pairs import PARTICLE, TILT_ANGLE
from ..geometry.rotations import euler_from_matrices
from ..io.optics_terms import BEAM_TILT, EVEN, MAGNIFICATION, ODD
from ..io.star import write_star
from ..io.writing import replacing
from .acquisition import Acquisition
from .config import OpticsGroup, SimulationConfig
from .ensemble import Ensemble
from .star_errors import StarErrors
from .surroundings import KINDS, Surroundings

SNR_DEFINITION = (
    "variance of the noise-free images over the whole box after CTF, shift and contrast, averaged over images, "
    "divided by the variance of the noise over the whole box (of an optics group with noise_scale 1)"
)


def write_star_file(path: Path, told: Acquisition, config: SimulationConfig) -> Path:
    """Write a RELION 3.1 star file for the stack particles.mrcs beside it, which says what is `told`; returns its
    path."""
    write_star(path, {"optics": _optics_table(told, config), "particles": _particle_table(told, config)})
    return path


def _optics_table(acquisition: Acquisition, config: SimulationConfig) -> pd.DataFrame:
    rows = [
        {
            "rlnOpticsGroupName": f"opticsGroup{number}",
            "rlnOpticsGroup": number,
            "rlnMicrographOriginalPixelSize": config.pixel_size_ang,
            "rlnVoltage": group.voltage_kv,
            "rlnSphericalAberration": group.spherical_aberration_mm,
            "rlnAmplitudeContrast": group.amplitude_contrast,
            "rlnImagePixelSize": config.pixel_size_ang,
            "rlnImageSize": config.box,
            "rlnImageDimensionality": 2,
        }
        for number, group in enumerate(acquisition.optics, start=1)
    ]
    return pd.DataFrame(rows).assign(**_aberration_columns(acquisition.optics))


def _aberration_columns(optics: tuple[OpticsGroup, ...]) -> dict[str, list]:
    """The columns that some group needs; all groups have those."""

    def listed(values: tuple[float, ...]) -> str:
        return f"[{','.join(f'{value:.10g}' for value in values)}]"

    plain = OpticsGroup()
    columns: dict[str, list] = {}
    if any(group.beam_tilt_mrad != plain.beam_tilt_mrad for group in optics):
        columns |= {name: [group.beam_tilt_mrad[i] for group in optics] for i, name in enumerate(BEAM_TILT)}
    if any(group.magnification != plain.magnification for group in optics):
        columns |= {name: [group.magnification[i] for group in optics] for i, name in enumerate(MAGNIFICATION)}
    if any(group.odd_zernike for group in optics):
        columns[ODD] = [listed(group.odd_zernike or (0.0,)) for group in optics]
    if any(group.even_zernike for group in optics):
        columns[EVEN] = [listed(group.even_zernike or (0.0,)) for group in optics]
    return columns


def _particle_table(acquisition: Acquisition, config: SimulationConfig) -> pd.DataFrame:
    n = len(acquisition)
    stack = Path(config.image_prefix, "particles.mrcs").as_posix()
    euler_deg = euler_from_matrices(acquisition.rotations)
    origins_ang = -acquisition.shifts_ang
    columns = {
        "rlnImageName": [f"{i:06d}@{stack}" for i in range(1, n + 1)],
        "rlnMicrographName": [f"micrographs/mic_{m + 1:05d}.mrc" for m in acquisition.micrograph],
        "rlnCoordinateX": acquisition.coordinates_px[:, 0],
        "rlnCoordinateY": acquisition.coordinates_px[:, 1],
        "rlnOpticsGroup": acquisition.group + 1,
        "rlnAngleRot": euler_deg[:, 0],
        "rlnAngleTilt": euler_deg[:, 1],
        "rlnAnglePsi": euler_deg[:, 2],
        "rlnOriginXAngst": origins_ang[:, 0],
        "rlnOriginYAngst": origins_ang[:, 1],
    }
    if config.ctf:
        ctf = acquisition.ctf
        columns |= {
            "rlnDefocusU": ctf.defocus_u_ang,
            "rlnDefocusV": ctf.defocus_v_ang,
            "rlnDefocusAngle": ctf.defocus_angle_deg,
            "rlnPhaseShift": ctf.phase_shift_deg,
            "rlnCtfBfactor": ctf.b_factor_ang2,
            "rlnCtfScalefactor": ctf.scale,
        }
    if config.tilt_deg:
        columns |= {
            PARTICLE: [f"particle_{i + 1:06d}" for i in acquisition.particle],
            TILT_ANGLE: acquisition.tilt_deg,
        }
    columns |= {"rlnRandomSubset": 1 + acquisition.particle % 2, "rlnClassNumber": np.ones(n, dtype=int)}
    return pd.DataFrame(columns)


def write_truth(
    path: Path,
    acquisition: Acquisition,
    errors: StarErrors,
    surroundings: Surroundings,
    ensemble: Ensemble,
    config: SimulationConfig,
    seed: int,
) -> None:
    """Write what was planted, one entry per row of the star file, as plain arrays.

    `rotations`, `shifts_ang`, `defocus_u_ang` and `defocus_v_ang` are true; `pose_error_deg` (rotation vectors about
    the axes of the view), `shift_error_ang` and `defocus_error_ang` are what the star file says minus that.
    `kind` counts in `kinds`; `neighbour` is the row of the particle that is partly seen too, −1 for none; `gradient` is
    the rise of brightness over the box in x and y.
    """
    coordinates = np.asarray(ensemble.coordinates, dtype=np.float64)
    values = dict(
        state=acquisition.state.astype(np.int32),
        coordinate=coordinates[acquisition.state],
        rotations=acquisition.rotations,
        shifts_ang=acquisition.shifts_ang,
        contrast=acquisition.contrast,
        defocus_u_ang=acquisition.ctf.defocus_u_ang,
        defocus_v_ang=acquisition.ctf.defocus_v_ang,
        pose_error_deg=errors.rotation_deg,
        shift_error_ang=errors.shift_ang,
        defocus_error_ang=errors.defocus_ang,
        kind=surroundings.kind.astype(np.int32),
        kinds=np.array(KINDS),
        neighbour=surroundings.neighbour.astype(np.int32),
        neighbour_ang=surroundings.neighbour_ang,
        gradient=surroundings.slope,
        particle=acquisition.particle.astype(np.int32),
        tilt_deg=acquisition.tilt_deg,
        noise_sd=acquisition.noise_scale if config.noisy else np.zeros(len(acquisition), dtype=np.float32),
        state_coordinates=coordinates,
        state_populations=np.asarray(ensemble.populations, dtype=np.float64) / np.sum(ensemble.populations),
        state_labels=np.array(ensemble.labels or [f"state {i}" for i in range(len(coordinates))]),
        pixel_size_ang=config.pixel_size_ang,
        resolution_ang=config.model_resolution_ang,
        snr=config.snr,
        snr_definition=SNR_DEFINITION,
        seed=seed,
    )
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **values)
