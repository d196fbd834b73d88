"""Tilt series on disk for tests, as RELION 5 and WarpTools write them, with planted angles, places, doses and CTFs.

Matrices and dose weights are written out here element by element, as they are in RELION's source, and share nothing
with the engine's.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import write_star

from .particle_files import Blobs, ctf_params, molecule, optics

BOX, PIXEL, N_TILTS = 32, 4.0, 5
VISIBLE = np.array([True, False, True, True, True])
EXACT = DataConfig(sign="white", window=1.0)
TILT_PIXEL, SIZE = 2.0, np.array([400, 300, 200])
EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
CUT_OUT = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")
TILT_ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")


@dataclass(frozen=True)
class TiltSet:
    """How a set is written; what it holds is the same for a seed."""

    whole_stacks: bool = True
    """All tilts in a stack, as WarpTools has them, or the visible ones alone, as RELION 5."""
    away_ang: float = 8.0
    angles: bool = False
    """RELION 5's tilt angles in a star file for each tomogram, or projection matrices in one file."""
    premultiplied: bool = False
    cut_out_turned: bool = False
    """Particles that were extracted turned, with rlnTomoSubtomogramRot, Tilt and Psi."""
    coordinates: str = ""
    """centred (RELION 5), pixels (RELION 4) or none."""
    dose: bool = False
    particles: int = 3
    noise: float = 0.0
    more: dict[str, list] = field(default_factory=dict)
    """Columns of the particles beside those."""


def relion_euler(rot: float, tilt: float, psi: float) -> np.ndarray:
    """Euler::anglesToMatrix3 of RELION, degrees."""
    sp, st, sc = np.sin(np.radians([rot, tilt, psi]))
    cp, ct, cc = np.cos(np.radians([rot, tilt, psi]))
    return np.array(
        [
            [cc * ct * cp - sc * sp, cc * ct * sp + sc * cp, -cc * st],
            [-sc * ct * cp - cc * sp, -sc * ct * sp + cc * cp, sc * st],
            [st * cp, st * sp, ct],
        ]
    )


def relion_projection(x_tilt: float, y_tilt: float, z_rot: float) -> np.ndarray:
    """Tomogram::setProjectionMatrix of RELION 5, its rotation: x first, then y, then z, each by Rodrigues' formula."""
    projection = np.eye(3)
    for axis, angle in zip(np.eye(3), np.radians([x_tilt, y_tilt, z_rot]), strict=True):
        across = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        along = np.outer(axis, axis)
        projection = (along + np.cos(angle) * (np.eye(3) - along) + np.sin(angle) * across) @ projection
    return projection


@dataclass(frozen=True)
class Planted:
    """What was planted: of each particle and tilt."""

    blobs: Blobs
    views: np.ndarray
    """(N, T, 3, 3)."""
    origins_ang: np.ndarray
    """(N, T, 2)."""
    ctf: np.ndarray
    """(N, T, F)."""
    angles_deg: np.ndarray
    """(N, 3)."""
    offsets_ang: np.ndarray
    """(N, 3)."""


def plant(folder: Path, how: TiltSet) -> Planted:
    """Write p.star, its stacks, tomograms.star and set.star: particles of one tomogram, four of five tilts visible."""
    rng = np.random.default_rng(0)
    tomogram, projections = _tomogram(how, rng)
    count = how.particles
    angles, offsets = rng.uniform(0, 180, (count, 3)), rng.uniform(-how.away_ang, how.away_ang, (count, 3))
    cut_out_deg = rng.uniform(0, 180, (count, 3)) * how.cut_out_turned
    centred = rng.uniform(-150, 150, (count, 3))
    turns = np.stack([relion_euler(*row) for row in angles])
    stages = projections @ np.stack([relion_euler(*row) for row in cut_out_deg])[:, None]
    places = zip(centred, cut_out_deg, offsets, strict=True)
    planted = Planted(
        molecule(radius_ang=20, width_ang=6),
        stages @ turns[:, None],
        np.einsum("ntij,nj->nti", stages[:, :, :2], offsets),
        np.stack([_ctf(how, tomogram, projections, *each) for each in places]),
        angles,
        offsets,
    )
    _write_stacks(folder, how, planted)
    table = pd.DataFrame(
        {
            "rlnTomoName": "tomo1",
            "rlnTomoParticleName": [f"tomo1/{i + 1}" for i in range(count)],
            "rlnImageName": [f"{i}.mrcs" for i in range(count)],
            **dict(zip(EULER, angles.T, strict=True)),
            **{f"rlnOrigin{axis}Angst": offsets[:, i] for i, axis in enumerate("XYZ")},
            "rlnTomoVisibleFrames": f"[{','.join(str(int(v)) for v in VISIBLE)}]",
            "rlnOpticsGroup": 1,
            **(dict(zip(CUT_OUT, cut_out_deg.T, strict=True)) if how.cut_out_turned else {}),
            **_coordinates(how, centred),
            **how.more,
        }
    )
    _write_tables(folder, how, table, tomogram)
    return planted


def _tomogram(how: TiltSet, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of its tilts and their projections (T, 3, 3)."""
    turned = np.stack(
        [rng.uniform(-5, 5, N_TILTS), np.linspace(-50, 50, N_TILTS), rng.uniform(80, 90, N_TILTS)], axis=1
    )
    projections = np.stack([relion_projection(*row) for row in turned])
    matrices = {
        f"rlnTomoProj{axis}": [f"[{','.join(f'{x:.9g}' for x in [*p[i], 7])}]" for p in projections]
        for i, axis in enumerate("XYZ")
    }
    geometry = dict(zip(TILT_ANGLES, turned.T, strict=True)) if how.angles else matrices
    shifts = {"rlnTomoXShiftAngst": 3.0, "rlnTomoYShiftAngst": -4.0} if how.angles else {}
    dose = {"rlnMicrographPreExposure": [40.0, 20.0, 0.0, 10.0, 30.0]} if how.dose else {}
    table = pd.DataFrame(
        {
            **geometry,
            **shifts,
            "rlnDefocusU": rng.uniform(1e4, 2e4, N_TILTS),
            "rlnDefocusV": rng.uniform(1e4, 2e4, N_TILTS),
            "rlnDefocusAngle": rng.uniform(0, 180, N_TILTS),
            "rlnCtfScalefactor": np.linspace(0.5, 1, N_TILTS),
            **dose,
        }
    )
    return table, projections


def _ctf(how: TiltSet, tomogram: pd.DataFrame, projections: np.ndarray, place, cut_out_deg, offset) -> np.ndarray:
    """(T, F) of a particle, with RELION's defocus at its depth (hand −1) and dose weights (Damage::getWeight)."""
    freqs = HalfPlane(BOX, BOX // 2 - 1).indices / (BOX * PIXEL)
    table = tomogram.copy()
    if how.coordinates:
        depth = projections[:, 2] @ (place - relion_euler(*cut_out_deg) @ offset)
        table[["rlnDefocusU", "rlnDefocusV"]] += -1.0 * depth[:, None]
    ctf = evaluate_ctf(ctf_params(table, optics()), freqs) * table["rlnCtfScalefactor"].to_numpy()[:, None]
    if how.dose:
        k = np.maximum(np.linalg.norm(freqs, axis=1), 1e-9)
        dose = np.asarray(table["rlnMicrographPreExposure"], float)[:, None]
        ctf = ctf * np.exp(-0.5 * dose / (0.245 * k**-1.665 + 2.81))
    return ctf


def _write_stacks(folder: Path, how: TiltSet, planted: Planted) -> None:
    lattice, rng = HalfPlane(BOX, BOX // 2 - 1), np.random.default_rng(1)
    freqs = lattice.indices / (BOX * PIXEL)
    for number, (views, origins, ctf) in enumerate(zip(planted.views, planted.origins_ang, planted.ctf, strict=True)):
        spectra = np.stack([planted.blobs.slice(freqs @ view[:2]) for view in views]) / PIXEL**3
        images = lattice.images(spectra * ctf * np.exp(2j * np.pi * origins @ freqs.T))
        images = (images + how.noise * rng.normal(size=images.shape)).astype(np.float32)
        if how.premultiplied:
            images = lattice.images(lattice.spectra(images) * ctf)
        write_stack(folder / f"{number}.mrcs", images if how.whole_stacks else images[VISIBLE], PIXEL)


def _coordinates(how: TiltSet, centred_ang: np.ndarray) -> dict[str, np.ndarray]:
    if how.coordinates == "centred":
        return {f"rlnCenteredCoordinate{axis}Angst": centred_ang[:, i] for i, axis in enumerate("XYZ")}
    if how.coordinates == "pixels":
        return {f"rlnCoordinate{axis}": centred_ang[:, i] / TILT_PIXEL + SIZE[i] / 2 for i, axis in enumerate("XYZ")}
    return {}


def _write_tables(folder: Path, how: TiltSet, particles: pd.DataFrame, tomogram: pd.DataFrame) -> None:
    general = pd.DataFrame({"rlnTomoSubTomosAre2DStacks": [1]})
    files = pd.DataFrame({"rlnTomoParticlesFile": ["p.star"], "rlnTomoTomogramsFile": ["tomograms.star"]})
    general.attrs["pairs"] = files.attrs["pairs"] = True
    group = optics(box=BOX, pixel_ang=PIXEL) | {"rlnTomoTiltSeriesPixelSize": TILT_PIXEL}
    group |= {"rlnCtfDataAreCtfPremultiplied": int(how.premultiplied)}
    listed = {"rlnTomoName": "tomo1", "rlnTomoHand": -1.0, "rlnTomoTiltSeriesPixelSize": TILT_PIXEL}
    listed |= {f"rlnTomoSize{axis}": size for axis, size in zip("XYZ", SIZE, strict=True)}
    apart = {"rlnTomoTiltSeriesStarFile": "tilt_series/tomo1.star"} if how.angles else {}
    blocks = {} if how.angles else {"tomo1": tomogram}
    write_star(folder / "p.star", {"general": general, "optics": pd.DataFrame([group]), "particles": particles})
    write_star(folder / "tomograms.star", {"global": pd.DataFrame([listed | apart]), **blocks})
    if how.angles:
        (folder / "tilt_series").mkdir(exist_ok=True)
        write_star(folder / "tilt_series" / "tomo1.star", {"tomo1": tomogram})
    write_star(folder / "set.star", {"": files})


def tilt_series(folder: Path, whole_stacks: bool, away_ang: float = 8.0) -> tuple[Blobs, Path]:
    """Three particles at three-dimensional origins; what they are made of, and their optimisation set."""
    planted = plant(folder, TiltSet(whole_stacks=whole_stacks, away_ang=away_ang))
    return planted.blobs, folder / "set.star"
