"""Small sets with something planted that validation and selection have to find: two states, one state, junk.

python benchmarks/planted_sets.py --out SETS                   two_states, one_state, junk
"""

import argparse
from pathlib import Path

import mrcfile
import numpy as np
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.geometry.rotations import euler_from_matrices, matrices_from_euler
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import EULER, read_particles
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS

BOX_ANG = 115.2
"""Of adenylate kinase's images."""
BOX, JUNK_BOX, REAL_BOX = 32, 48, 48
SHARES = (0.7, 0.3)
"""Open and closed."""
KINDS = ("good", "noise only", "wrong molecule", "off-centre")
OFF_CENTRE = (0.18, 0.35)
"""Shift of off-centre junk as a share of the box, on top of the stated one."""


def two_states(folder: Path, n: int, seed: int, snr: float, shares=SHARES, box: int = BOX, **settings) -> Path:
    """Open and closed adenylate kinase; with one share of 1, the open one alone."""
    ends = PRESETS["adk"].make(2).states[: len(shares)]
    ensemble = Ensemble(ends, np.arange(len(ends), dtype=float), np.array(shares))
    config = SimulationConfig(
        n_particles=n, box=box, pixel_size_ang=BOX_ANG / box, snr=snr, shift_px=2, **settings
    )  # fmt: skip
    return simulate_particles(ensemble, config, folder, seed)


def continuous(folder: Path, n: int, seed: int, snr: float, states: int = 20) -> Path:
    """Adenylate kinase on its way from open to closed."""
    config = SimulationConfig(n_particles=n, box=BOX, pixel_size_ang=BOX_ANG / BOX, snr=snr, shift_px=2)
    return simulate_particles(PRESETS["adk"].make(states), config, folder, seed)


def real_parts(
    folder: Path, n: int, seed: int, snr: float, one_state: bool = False, molecule: str = "real_complex_parts"
) -> Path:
    """Six states of a complex of eight proteins that lack one or two, or of another real_ preset, made as real sets
    are; or the most frequent one alone."""
    preset = PRESETS[molecule]
    ensemble = preset.make(6).most_populated() if one_state else preset.make(6)
    return simulate_particles(ensemble, preset.config(REAL_BOX, n_particles=n, snr=snr), folder, seed)


def with_wrong_poses(star: Path, error_deg: float, seed: int) -> Path:
    """The same file with every pose turned about a random axis by a normal angle of this spread."""
    table = read_particles(star)
    turns = np.random.default_rng([seed, 8]).normal(size=(table.n, 3)) * np.radians(error_deg) / np.sqrt(3)
    turned = Rotation.from_rotvec(turns).as_matrix() @ matrices_from_euler(table.euler_deg)
    frame = table.frame.assign(**dict(zip(EULER, euler_from_matrices(turned).T, strict=True)))
    write_star(star, {"optics": table.optics, "particles": frame})
    return star


def with_junk(folder: Path, n: int, share: float, seed: int, snr: float) -> tuple[Path, np.ndarray]:
    """Two states with a share of junk, a third of each kind; its star file and the kind (N,) of every particle."""
    star = two_states(folder / "clean", n, seed, snr, box=JUNK_BOX)
    other = PRESETS["uniform"].make(1)
    config = SimulationConfig(n_particles=n, box=JUNK_BOX, pixel_size_ang=350.0 / JUNK_BOX, snr=snr, shift_px=2)
    wrong = mrcfile.read(simulate_particles(other, config, folder / "wrong", seed + 100).with_name("particles.mrcs"))
    images = mrcfile.read(star.with_name("particles.mrcs")).astype(np.float32)
    rng = np.random.default_rng([seed, 7])
    kind = np.zeros(n, int)
    bad = rng.permutation(n)[: round(share * n)]
    kind[bad] = 1 + np.arange(len(bad)) % 3
    images[kind == 1] = rng.standard_normal(images[kind == 1].shape)
    images[kind == 2] = wrong[kind == 2]
    for row in np.flatnonzero(kind == 3):
        away, angle = rng.uniform(*OFF_CENTRE) * JUNK_BOX, rng.uniform(0, 2 * np.pi)
        images[row] = np.roll(images[row], (round(away * np.sin(angle)), round(away * np.cos(angle))), (0, 1))
    write_stack(folder / "particles.mrcs", images, BOX_ANG / JUNK_BOX)
    write_star(folder / "particles.star", read_particles(star).tables)
    return folder / "particles.star", kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--particles", type=int, default=3000)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    two_states(args.out / "two_states", args.particles, args.seed, args.snr)
    two_states(args.out / "one_state", args.particles, args.seed, args.snr, shares=(1.0,))
    star, kind = with_junk(args.out / "junk", args.particles, 0.2, args.seed, args.snr)
    np.savez(star.with_name("kind.npz"), kind=kind)


if __name__ == "__main__":
    main()
