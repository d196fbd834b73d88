"""What a star file of a million particles costs: read, half of its rows chosen and written as they are.

    python benchmarks/many_rows.py --out benchmarks/results/many_rows.json

16 columns as a refinement of RELION 3.1 leaves them, two optics groups. Each step runs in a process of its own, whose
processor time and peak of memory are stated, imports included; the rows that are written are compared with those of the
file byte by byte.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.io.chosen_rows import write_chosen
from cryodrgn_plugin.engine.io.particles import read_particles

OPTICS = """# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
first 1 300.0 2.7 0.1 1.31 256 2
second 2 300.0 2.7 0.1 1.31 256 2


# version 30001

data_particles

loop_
"""
COLUMNS = (
    "CoordinateX", "CoordinateY", "ImageName", "MicrographName", "OpticsGroup", "DefocusU", "DefocusV", "DefocusAngle",
    "PhaseShift", "CtfMaxResolution", "AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst",
    "RandomSubset",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        star, chosen = Path(folder) / "particles.star", Path(folder) / "chosen"
        lines = written(star, args.rows)
        report = {"rows": args.rows, "megabytes": round(star.stat().st_size / 1e6), "hardware": hardware()}
        report["read"] = apart(read, star)
        report["read, choose and write half"] = apart(choose, star, chosen)
        kept = chosen.with_suffix(".star").read_text().splitlines(keepends=True)[-len(lines[::2]) :]
        report["rows are the file's"] = kept == lines[::2]
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def written(star: Path, rows: int) -> list[str]:
    """Write the file; returns the lines of its particles."""
    rng = np.random.default_rng(0)
    numbers = rng.uniform(0, 4000, (rows, 11))
    row = (
        "{0:12.6f} {1:12.6f} {n:06d}@Extract/job010/{m:04d}.mrcs mic/{m:04d}.mrc {g} {2:13.6f} {3:13.6f} {4:10.6f} "
        "0.000000 {5:9.6f} {6:11.6f} {7:11.6f} {8:11.6f} {9:9.6f} {10:9.6f} {g}\n"
    )
    scale = np.array([1, 1, 1, 1, 1 / 25, 1 / 4000, 1 / 12, 1 / 25, 1 / 12, 1e-3, 1e-3])
    numbers = np.where(np.isin(np.arange(11), (2, 3)), 10000, 0) + numbers * scale
    lines = [row.format(*each, n=k + 1, m=k // 500, g=1 + k % 2) for k, each in enumerate(numbers)]
    labels = "".join(f"_rln{name} #{place}\n" for place, name in enumerate(COLUMNS, start=1))
    star.write_text(OPTICS + labels + "".join(lines))
    return lines


def read(star: Path) -> None:
    """The table, and the numbers that a training takes from it."""
    table = read_particles(star)
    table.ctf(), table.euler_deg, table.shifts_ang, table.optics_group, table.pixel_size_ang


def choose(star: Path, path: Path) -> None:
    """Every other row."""
    table = read_particles(star)
    write_chosen(table, np.arange(0, table.n, 2), path)


def apart(step, *args) -> dict[str, float]:
    """Run a step in a process of its own; seconds of its processor time, and megabytes at its peak."""
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe()
    process = context.Process(target=_measured, args=(there, step, args))
    process.start()
    told = here.recv()
    process.join()
    return told


def _measured(there, step, args) -> None:
    began = time.process_time()
    step(*args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    there.send({"cpu_seconds": round(time.process_time() - began, 2), "peak_megabytes": round(peak)})


if __name__ == "__main__":
    main()
