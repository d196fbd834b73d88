"""Small particle sets on disk for tests: a molecule of Gaussian blobs, exact at every frequency, with CTF and noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler
from cryodrgn_plugin.engine.imaging.ctf import CtfParams, evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.star import write_star


@dataclass(frozen=True)
class Blobs:
    """Gaussian blobs: its projections are known exactly in Fourier space, at any box and pixel size."""

    centres_ang: np.ndarray
    weights: np.ndarray
    width_ang: float

    def slice(self, frequencies_per_ang: np.ndarray) -> np.ndarray:
        """Transform at (..., 3) frequencies; an integral over space, in Å³."""
        q = np.asarray(frequencies_per_ang, np.float64)
        phases = np.exp(-2j * np.pi * (q @ self.centres_ang.T)) @ self.weights
        envelope = np.exp(-2 * np.pi**2 * self.width_ang**2 * (q**2).sum(-1))
        return phases * envelope


def molecule(radius_ang: float = 40.0, width_ang: float = 8.0, seed: int = 3) -> Blobs:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centres = directions * radius_ang * rng.random((12, 1)) ** (1 / 3)
    return Blobs(centres, rng.uniform(0.5, 1.5, 12) * 1e3, width_ang)


def optics(group: int = 1, box: int = 32, pixel_ang: float = 4.0, kilovolts: float = 300.0) -> dict:
    return {
        "rlnOpticsGroup": group, "rlnOpticsGroupName": f"opticsGroup{group}", "rlnVoltage": kilovolts,
        "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnImagePixelSize": pixel_ang, "rlnImageSize": box,
        "rlnImageDimensionality": 2,
    }  # fmt: skip


def rows(count: int, group: int = 1, stack: str = "stack.mrcs", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    defocus = rng.uniform(8e3, 22e3, count)
    return pd.DataFrame(
        {
            "rlnImageName": [f"{i:06d}@{stack}" for i in range(1, count + 1)],
            "rlnAngleRot": rng.uniform(-180, 180, count),
            "rlnAngleTilt": np.degrees(np.arccos(rng.uniform(-1, 1, count))),
            "rlnAnglePsi": rng.uniform(-180, 180, count),
            "rlnOriginXAngst": rng.uniform(-6, 6, count),
            "rlnOriginYAngst": rng.uniform(-6, 6, count),
            "rlnDefocusU": defocus + 300,
            "rlnDefocusV": defocus - 300,
            "rlnDefocusAngle": rng.uniform(0, 180, count),
            "rlnMicrographName": "mic1.mrc",
            "rlnOpticsGroup": group,
        }
    )


def ctf_params(table: pd.DataFrame, group: dict) -> CtfParams:
    n = len(table)
    return CtfParams(
        *(table[f"rlnDefocus{x}"].to_numpy(float) for x in ("U", "V", "Angle")),
        np.full(n, group["rlnVoltage"]), np.full(n, group["rlnSphericalAberration"]),
        np.full(n, group["rlnAmplitudeContrast"]), np.zeros(n), np.zeros(n), np.ones(n),
    )  # fmt: skip


def project(blobs: Blobs, table: pd.DataFrame, group: dict, with_ctf: bool = True) -> np.ndarray:
    """(N, D, D) exact projections of the rows, as integrals along the view divided by nothing: grey value per Å²."""
    box, pixel = int(group["rlnImageSize"]), float(group["rlnImagePixelSize"])
    lattice = HalfPlane(box, box // 2 - 1)
    freqs = lattice.indices / (box * pixel)
    rotations = matrices_from_euler(table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy(float))
    spectra = np.stack([blobs.slice(freqs @ rotation[:2]) for rotation in rotations]) / pixel**2
    origins = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float)
    spectra = spectra * np.exp(2j * np.pi * origins @ freqs.T)
    if with_ctf:
        spectra = spectra * evaluate_ctf(ctf_params(table, group), freqs)
    return lattice.images(spectra)


def write_set(
    folder: Path,
    images: np.ndarray,
    table: pd.DataFrame,
    groups: list[dict] | None = None,
    name: str = "particles.star",
) -> Path:
    """Write stack.mrcs and a RELION 3.1 star file, and give the star's path."""
    groups = groups or [optics(box=images.shape[-1])]
    write_stack(folder / "stack.mrcs", images, groups[0]["rlnImagePixelSize"])
    write_star(folder / name, {"optics": pd.DataFrame(groups), "particles": table})
    return folder / name


def small_set(folder: Path, count: int = 12, box: int = 32, noise: float = 1.0, seed: int = 0) -> Path:
    """Projections of the molecule with white noise, in one optics group."""
    group = optics(box=box)
    table = rows(count, seed=seed)
    images = project(molecule(), table, group)
    images = images / images.std() * 0.4 + noise * np.random.default_rng(seed).normal(size=images.shape)
    return write_set(folder, images.astype(np.float32), table, [group])
