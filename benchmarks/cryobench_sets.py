"""Sets in the manner of CryoBench, made by its recipe at a size that a CPU can work on.

    python benchmarks/cryobench_sets.py --out SETS --data DATA                 all three, 5,000 x 64²
    python benchmarks/cryobench_sets.py --out SETS --data DATA --only igg_1d --particles 100000 --size 128

The recipe: atoms at 3 Å as ChimeraX's molmap makes them, 256³ at 1.5 Å; even views, shifts uniform in ± 20 pixels of
those; CTF parameters of real particles with a B-factor of 100 Å²; white noise after the CTF whose standard deviation is
that of all pixels, divided by the root of the SNR; then Fourier-cropped. Here the noise level is measured on images of
256² and the cropped images are made directly, for cropping leaves signal coefficients as they are and white noise
white: with N² and n² pixels, in the grey scale of unnormalised coefficients, its variance per pixel is (N/n)² times
what it was. So the SNR of the cropped images, which is printed and stored, is up to (N/n)² times the stated one. The
corners of the transform, which cropping would keep, hold noise alone, as in all sets of `simulate`.

DATA holds models/1igt.pdb.gz and ctf/empiar10028_ctf_5000.npy (CTF parameters of real particles).
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryobench_models import MOLECULES

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.ctf import CtfParams, evaluate_ctf
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.acquisition import read_ctf_rows
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector, images_from_spectra
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang
from cryodrgn_plugin.engine.simulate.transform import squared_radius

FULL_BOX, FULL_PIXEL_ANG = 256, 1.5
RESOLUTION_ANG = 3.0
"""molmap's Gaussian of 0.225 · 3 Å has amplitudes of 1/e at this spacing, as the simulator's setting of it means."""
SHIFT_PX = 20
"""Of the full box."""
B_FACTOR_ANG2 = 100.0
SNR = 0.01
SAMPLED = 200
"""Images of the full box on which the noise level is measured; CryoBench takes up to 10,000."""
CTF_ROWS = Path("ctf") / "empiar10028_ctf_5000.npy"


@dataclass(frozen=True)
class Level:
    """Mean variance over images of the cropped signal and of the noise per pixel, in one grey scale."""

    signal: float
    noise: float

    @property
    def snr(self) -> float:
        return self.signal / self.noise


def make_set(name: str, data: Path, out: Path, n: int, size: int, seed: int = 0) -> dict:
    """Write one set, with truth.npz and maps/ beside it; returns what recipe.json says."""
    ensemble = MOLECULES[name](data)
    level = cropped_level(ensemble, read_ctf_rows(str(data / CTF_ROWS)), size, np.random.default_rng([seed, 256]))
    config = SimulationConfig(
        n_particles=n,
        box=size,
        pixel_size_ang=FULL_PIXEL_ANG * FULL_BOX / size,
        resolution_ang=RESOLUTION_ANG,
        snr=level.snr,
        shift_px=SHIFT_PX * size / FULL_BOX,
        ctf_rows=str(data / CTF_ROWS),
        b_factor_ang2=B_FACTOR_ANG2,
    )
    simulate_particles(ensemble, config, out, seed)
    recipe = {"set": name, "particles": n, "box": size, "pixel_size_ang": config.pixel_size_ang, "seed": seed}
    recipe |= {"states": len(ensemble.states), "snr_at_256": SNR, "snr_cropped": round(level.snr, 4)}
    (out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")
    return recipe


def cropped_level(ensemble: Ensemble, ctf_rows: np.ndarray, size: int, rng: np.random.Generator) -> Level:
    """Signal and noise of images of `size`² pixels that were cropped from noisy ones of the full box.

    Measured on views of states drawn by population. Shifts change no variance and are left out.
    """
    populations = np.asarray(ensemble.populations) / np.sum(ensemble.populations)
    states = np.sort(rng.choice(len(populations), SAMPLED, p=populations))
    centre_ang = frame_centre_ang(ensemble.states)
    radius2 = squared_radius(FULL_BOX, 2)
    inside = radius2 < (size // 2) ** 2
    ctf = ctf_params(ctf_rows[rng.integers(len(ctf_rows), size=SAMPLED)])
    total, squares, signal = 0.0, 0.0, 0.0
    for i, state in enumerate(states):
        projector = AtomProjector(ensemble.states[state], FULL_BOX, FULL_PIXEL_ANG, RESOLUTION_ANG, centre_ang)
        spectrum = projector.spectra(random_matrices(1, rng)) * evaluate_ctf(ctf[i], _freqs_per_ang()).reshape(
            radius2.shape
        )
        image = images_from_spectra(spectrum).astype(np.float64)
        total += image.mean()
        squares += np.mean(image**2)
        signal += images_from_spectra(spectrum * inside).var(dtype=np.float64)
    variance = squares / SAMPLED - (total / SAMPLED) ** 2
    # Cropping keeps coefficients: a signal's mean square grows by (N/n)⁴, that of white noise by (N/n)².
    ratio = (FULL_BOX / size) ** 2
    return Level(signal=signal / SAMPLED * ratio**2, noise=variance / SNR * ratio)


def ctf_params(rows: np.ndarray) -> CtfParams:
    """cryoDRGN's nine columns (N, 9) as parameters with the recipe's B-factor."""
    ones = np.ones(len(rows))
    defocus_u, defocus_v, angle, voltage, cs, contrast, phase = rows[:, 2:].T
    return CtfParams(defocus_u, defocus_v, angle, voltage, cs, contrast, phase, B_FACTOR_ANG2 * ones, ones)


def _freqs_per_ang() -> np.ndarray:
    """(F, 2) frequencies (x, y) of the full box's half-plane, in the order of `rfft2`."""
    ky, kx = np.meshgrid(np.fft.fftfreq(FULL_BOX, 1 / FULL_BOX), np.arange(FULL_BOX // 2 + 1), indexing="ij")
    return np.stack([kx.ravel(), ky.ravel()], axis=1) / (FULL_BOX * FULL_PIXEL_ANG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, one sub-folder each")
    parser.add_argument("--data", type=Path, required=True, help="folder with models/ and ctf/")
    parser.add_argument("--only", nargs="+", choices=MOLECULES, default=list(MOLECULES))
    parser.add_argument("--particles", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64, help="box that images are cropped to")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in args.only:
        start = time.perf_counter()
        recipe = make_set(name, args.data, args.out / name, args.particles, args.size, args.seed)
        print(json.dumps(recipe), f"{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
