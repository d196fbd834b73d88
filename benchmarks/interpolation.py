"""Error of interpolated slices against the exact Fourier sum, by padding, size of the particle and frequency.

    python benchmarks/interpolation.py --out benchmarks/results/interpolation.json

The particle is white noise in a ball of a given share of the box's width, which has the same power at every frequency
and as much mass far out as any particle of that size can have. The error of a band is |slice − exact|² over |exact|²,
summed over the band and over random rotations, and its root; "low" to "high" are thirds of the way to the Nyquist
limit. "none" leaves out the division by the interpolation's sinc², as a network that learns coefficients directly does
until its coefficients make up for it. Scaled rotations are those of images whose pixels measure 0.9 of the map's.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from hardware import hardware

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.exact import exact_slices
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

BANDS = {"low": (0.0, 1 / 3), "middle": (1 / 3, 2 / 3), "high": (2 / 3, 1.0), "all": (0.0, 1.0)}
SCALE = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--fills", type=float, nargs="+", default=[0.6, 0.9])
    parser.add_argument("--paddings", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    parser.add_argument("--rotations", type=int, default=4)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lattice, rng = HalfPlane(args.box, args.box // 2 - 1), np.random.default_rng(0)
    rows = []
    for fill in args.fills:
        volume = noise_ball(args.box, fill, rng)
        for scale in (1.0, SCALE):
            rotations = random_matrices(args.rotations, rng) * scale
            exact = exact_slices(volume, rotations, lattice)
            stated = {"fill": fill, "rotation_scale": scale}
            rows += [stated | errors(volume, rotations, lattice, exact, padding) for padding in args.paddings]
    text = json.dumps({"hardware": hardware(), "box": args.box, "rows": rows}, indent=1)
    print(table(rows))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


def noise_ball(box: int, fill: float, rng: np.random.Generator) -> np.ndarray:
    """White noise in a ball whose diameter is `fill` of the box."""
    axis = np.arange(box) - box // 2
    r2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    return rng.standard_normal((box,) * 3) * (r2 <= (fill * box / 2) ** 2)


def errors(volume: np.ndarray, rotations: np.ndarray, lattice: HalfPlane, exact: np.ndarray, padding: float) -> dict:
    """Relative error per band, with the interpolation's sinc² divided out and with it left in."""
    sphere = HalfSphere(lattice.box, padding, lattice.radius)
    k = np.linalg.norm(lattice.indices, axis=1) / (lattice.box / 2)
    row: dict[str, object] = {"padding": padding, "voxels": sphere.n_voxels}
    for name, deconvolve in {"divided": True, "none": False}.items():
        found = sliced(sphere.from_volumes(volume[None], deconvolve), rotations, lattice, sphere)
        wrong, power = (np.abs(found - exact) ** 2).sum(0), (np.abs(exact) ** 2).sum(0)
        parts = {band: (k >= low) & (k < high) for band, (low, high) in BANDS.items()}
        row[name] = {band: round(float(np.sqrt(wrong[p].sum() / power[p].sum())), 4) for band, p in parts.items()}
    return row


def sliced(coefs: np.ndarray, rotations: np.ndarray, lattice: HalfPlane, sphere: HalfSphere) -> np.ndarray:
    backend = Compute().backend(sphere, lattice)
    volume, turned = (backend.compute.tensor(values) for values in (coefs, rotations))
    return backend.mix(volume, torch.ones(len(turned), 1), turned, lattice.size).numpy()


def table(rows: list[dict]) -> str:
    lines = ["fill  scale  padding   voxels   divided: low  middle    high     all   none: all"]
    for row in rows:
        cells = "  ".join(f"{row['divided'][band]:6.4f}" for band in BANDS)
        head = f"{row['fill']:.1f}    {row['rotation_scale']:.1f}    {row['padding']:.1f}    {row['voxels']:9,d}"
        lines.append(f"{head}         {cells}      {row['none']['all']:6.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
