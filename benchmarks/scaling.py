"""How the time of a training grows with particles, pixels, bases and processes: `fast` and `paper`, fitted slopes.

    python benchmarks/scaling.py --out benchmarks/results/scaling.json --figure docs/images/scaling.png
    python benchmarks/scaling.py --reduced --out benchmarks/results/scaling_reduced.json

One thing changes at a time from the middle of the grid; each point is one training by the command line, in processes
of one thread. Processor seconds are counted, which other work on the machine disturbs least, less those of the same
training of next to nothing (imports, reading, figures); where several processes share the images, wall clock. A slope
is that of the straight line through the logarithms: 1 is in proportion, -1 is a gain in full. A quiet half hour on two
cores; --reduced takes a few minutes.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis.figure_style import DISTINCT, FAINT, figure
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

EXTENT_ANG = 112.0
"""Width of the box, whatever its pixels."""
EPOCHS = 2
"""Of `paper`; one epoch is half of what is told."""
RECIPES = ("fast", "paper")


@dataclass(frozen=True)
class Point:
    """One training."""

    particles: int
    box: int
    bases: int
    ranks: int = 1


@dataclass(frozen=True)
class Grid:
    """What is varied around the middle."""

    middle: Point
    particles: tuple[int, ...]
    box: tuple[int, ...]
    bases: tuple[int, ...]
    ranks: tuple[int, ...] = (1, 2)


WHOLE = Grid(Point(2000, 64, 8), (1000, 2000, 4000, 8000), (32, 48, 64, 96, 128), (2, 4, 8, 16))
REDUCED = Grid(Point(800, 48, 4), (400, 800, 1600), (32, 48, 64), (2, 4, 8))
NOTHING = Point(60, 32, 2)
AXES = {"particles": "particles", "box": "pixels a side", "bases": "bases", "ranks": "processes"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=list(AXES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    grid = REDUCED if args.reduced else WHOLE
    report: dict = {"hardware": hardware(), "threads": 1, "epochs_of_paper": EPOCHS, "recipes": {}}
    with tempfile.TemporaryDirectory() as folder:
        for recipe in RECIPES:
            report["recipes"][recipe] = measured(recipe, grid, args.axes, Path(folder))
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")
    if args.figure:
        draw(report, args.figure)


def measured(recipe: str, grid: Grid, axes: list[str], folder: Path) -> dict:
    """The figures of one recipe: what next to nothing takes, and along each axis its points and their slope."""
    trained(recipe, NOTHING, folder)  # kernels are compiled for the first time in here
    start = trained(recipe, NOTHING, folder)
    print(recipe, "next to nothing", json.dumps(start), flush=True)
    known: dict[Point, dict] = {}
    told: dict = {"next_to_nothing": start, "middle": vars(grid.middle), "axes": {}}
    for axis in axes:
        rows = []
        for value in getattr(grid, axis):
            point = replace(grid.middle, **{axis: value})
            if point not in known:
                known[point] = trained(recipe, point, folder)
            counted = "wall_seconds" if axis == "ranks" else "cpu_seconds"
            seconds = known[point][counted] - start[counted]
            rows.append({axis: value, "seconds": round(seconds, 2), **known[point]})
            print(recipe, json.dumps(rows[-1]), flush=True)
        told["axes"][axis] = {"counted": counted, "slope": slope(rows, axis), "points": rows}
    return told


def slope(rows: list[dict], axis: str) -> float:
    x, y = (np.log([max(row[name], 1e-3) for row in rows]) for name in (axis, "seconds"))
    return round(float(np.polyfit(x, y, 1)[0]), 2)


def trained(recipe: str, point: Point, folder: Path) -> dict[str, float]:
    """Processor seconds of all processes, wall clock of the slowest and the most memory that one held."""
    star = folder / f"{point.particles}x{point.box}" / "particles.star"
    if not star.exists():
        config = SimulationConfig(snr=0.1, shift_px=2.0, pixel_size_ang=EXTENT_ANG / point.box)
        tiny_set(star.parent, n=point.particles, box=point.box, seed=5, config=config)
    settings = {"recipe": recipe, "z_dim": 2, "device": "cpu"}
    if recipe == "fast":
        settings["closed_form.n_components"] = point.bases
    else:
        settings |= {"decoder.n_bases": point.bases, "training.epochs": EPOCHS}
    options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", "train", str(star), "--overwrite", *options]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    began, quiet = time.perf_counter(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = []
    for rank in range(point.ranks):
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(point.ranks)}
        environment = {**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(subprocess.Popen([*command, "--out", str(folder / "run")], env=environment, **quiet))
    used = [os.wait4(process.pid, 0) for process in processes]
    if any(status for _, status, _ in used):
        sys.exit(f"{' '.join(command)} failed")
    return {
        "cpu_seconds": round(sum(each.ru_utime + each.ru_stime for _, _, each in used), 2),
        "wall_seconds": round(time.perf_counter() - began, 2),
        "peak_mb": round(max(each.ru_maxrss for _, _, each in used) / 1024),
    }


def draw(report: dict, file: Path) -> None:
    """Seconds along each axis, points and fitted lines, both recipes in one panel; slopes above it."""
    axes = list(next(iter(report["recipes"].values()))["axes"])
    with figure(file, 2.6 * len(axes), 2.7) as page:
        for panel, axis in zip(page.subplots(1, len(axes), squeeze=False)[0], axes, strict=True):
            slopes, every = [], []
            for colour, (recipe, told) in zip(DISTINCT, report["recipes"].items(), strict=False):
                along = told["axes"][axis]
                x, y = (np.array([row[name] for row in along["points"]], float) for name in (axis, "seconds"))
                height = np.exp(np.log(y).mean() - along["slope"] * np.log(x).mean())
                panel.plot(x, height * x ** along["slope"], color=colour, lw=1)
                panel.plot(x, y, "o", color=colour, ms=4, label=recipe)
                slopes.append(f"{along['slope']:.2f}".replace("-", "−"))
                every += list(y)
            panel.set_title(f"slopes {', '.join(slopes)}", fontsize=8.5, fontweight="normal")
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xticks(x, [f"{tick:g}" for tick in x])
            panel.set_yticks(round_seconds(min(every), max(every)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
            panel.grid(axis="y", color=FAINT, lw=0.6)
            panel.set_xlabel(AXES[axis])
            panel.set_ylabel("wall clock (s)" if axis == "ranks" else "processor time (s)")
            panel.margins(0.08, 0.1)
        panel.legend()


def round_seconds(least: float, most: float) -> list[float]:
    """1, 2, 5, 10, … from just below to just above."""
    steps = [first * 10.0**power for power in range(-1, 6) for first in (1, 2, 5)]
    return [step for step in steps if least / 2 < step < most * 2]


if __name__ == "__main__":
    main()
