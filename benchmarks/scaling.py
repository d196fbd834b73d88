"""How the time of a training grows with particles, pixels, bases and processes: `fast` and `paper`, fitted slopes.

    python benchmarks/scaling.py --out benchmarks/results/scaling.json --figure docs/images/scaling.png
    python benchmarks/scaling.py --reduced --out benchmarks/results/scaling_reduced.json

One thing changes at a time from the middle of the grid; each point is one training by the command line, in processes
of one thread. Processor seconds are counted, which other work on the machine disturbs least, less those of the same
training of a few particles, which it takes whatever their number; where several processes share the images, those of
the busiest. A slope is that of the straight line through the logarithms: 1 is in proportion, -1 is a gain in full.
About ten minutes of two cores that do nothing else, --reduced two. Trainings that --out has already are not repeated,
so that the benchmark can be made in parts (--within).
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
EPOCHS = 1
"""Of `paper`."""
RECIPES = ("fast", "paper")
FEW = 250
"""Particles of the trainings that are taken off."""


@dataclass(frozen=True)
class Point:
    """One training."""

    particles: int
    box: int
    bases: int
    ranks: int = 1

    def __str__(self) -> str:
        return f"{self.particles} particles, {self.box} px, {self.bases} bases, {self.ranks} processes"


@dataclass(frozen=True)
class Grid:
    """What is varied around the middle."""

    middle: Point
    particles: tuple[int, ...]
    box: tuple[int, ...]
    bases: tuple[int, ...]
    ranks: tuple[int, ...] = (1, 2)


WHOLE = Grid(Point(4000, 48, 8), (1000, 2000, 4000, 8000), (32, 48, 64), (4, 8, 16))
REDUCED = Grid(Point(1000, 32, 4), (500, 1000, 2000), (32, 48), (2, 4))
AXES = {"particles": "particles", "ranks": "processes", "box": "pixels a side", "bases": "bases"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=list(AXES))
    parser.add_argument("--sets", type=Path, help="folder for the simulated particles; by default one that goes again")
    parser.add_argument("--within", type=float, default=np.inf, help="no training begins after so many seconds")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    grid, until = REDUCED if args.reduced else WHOLE, time.monotonic() + args.within
    report: dict = {"hardware": hardware(), "threads": 1, "epochs_of_paper": EPOCHS, "few_particles": FEW}
    report |= {"middle": vars(grid.middle), "trainings": {recipe: {} for recipe in RECIPES}, "recipes": {}}
    if args.out and args.out.exists():
        report["trainings"] = json.loads(args.out.read_text())["trainings"]
    with tempfile.TemporaryDirectory() as place:
        for recipe in args.recipes:
            sets = args.sets or Path(place)
            known = Trainings(recipe, report["trainings"][recipe], sets, until, report, args.out)
            report["recipes"][recipe] = {axis: along(axis, grid, known) for axis in args.axes}
            known.write()
    if args.figure:
        draw(report, args.figure)


@dataclass
class Trainings:
    """What trainings of one recipe took, by their points; those that are not known yet are made and written down."""

    recipe: str
    known: dict[str, dict]
    sets: Path
    until: float
    report: dict
    out: Path | None

    def of(self, point: Point) -> dict:
        if str(point) not in self.known:
            if time.monotonic() > self.until:
                sys.exit("The time is over; give the command again for the rest.")
            if not self.known:
                trained(self.recipe, point, self.sets)  # kernels are compiled for the first time in here
            self.known[str(point)] = trained(self.recipe, point, self.sets)
            print(self.recipe, point, json.dumps(self.known[str(point)]), flush=True)
            self.write()
        return self.known[str(point)]

    def write(self) -> None:
        if self.out:
            self.out.write_text(json.dumps(self.report, indent=1) + "\n")


def along(axis: str, grid: Grid, trainings: Trainings) -> dict:
    """The points of one axis, with what particles beyond a few took, and the slope of that."""
    rows = []
    for value in getattr(grid, axis):
        point = replace(grid.middle, **{axis: value})
        few = trainings.of(replace(point, particles=FEW, ranks=1))["busiest_cpu_seconds"]
        seconds = trainings.of(point)["busiest_cpu_seconds"] - few
        rows.append({axis: value, "seconds": round(seconds, 2), "seconds_of_few": few})
    return {"slope": slope(rows, axis), "points": rows}


def slope(rows: list[dict], axis: str) -> float:
    x, y = (np.log([max(row[name], 1e-3) for row in rows]) for name in (axis, "seconds"))
    return round(float(np.polyfit(x, y, 1)[0]), 2)


def trained(recipe: str, point: Point, folder: Path) -> dict[str, float]:
    """Processor seconds of all processes and of the busiest, wall clock of the slowest and the most memory of one."""
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
    seconds = [each.ru_utime + each.ru_stime for _, _, each in used]
    if any(status for _, status, _ in used):
        sys.exit(f"{' '.join(command)} failed")
    return {
        "cpu_seconds": round(sum(seconds), 2),
        "busiest_cpu_seconds": round(max(seconds), 2),
        "wall_seconds": round(time.perf_counter() - began, 2),
        "peak_mb": round(max(each.ru_maxrss for _, _, each in used) / 1024),
    }


def draw(report: dict, file: Path) -> None:
    """Seconds along each axis, points and fitted lines, all recipes in one panel; slopes above it. All panels have one
    scale of seconds.
    """
    axes = list(next(iter(report["recipes"].values())))
    told_of_all = [along for told in report["recipes"].values() for along in told.values()]
    every = [row["seconds"] for along in told_of_all for row in along["points"]]
    with figure(file, 2.6 * len(axes), 2.7) as page:
        for panel, axis in zip(page.subplots(1, len(axes), squeeze=False)[0], axes, strict=True):
            slopes = []
            for colour, (recipe, told) in zip(DISTINCT, report["recipes"].items(), strict=False):
                along = told[axis]
                x, y = (np.array([row[name] for row in along["points"]], float) for name in (axis, "seconds"))
                height = np.exp(np.log(y).mean() - along["slope"] * np.log(x).mean())
                panel.plot(x, height * x ** along["slope"], color=colour, lw=1)
                panel.plot(x, y, "o", color=colour, ms=4, label=recipe)
                slopes.append(f"{along['slope']:.2f}".replace("-", "−"))
            panel.set_title(f"slope{'s' if slopes[1:] else ''} {', '.join(slopes)}", fontsize=8.5, fontweight="normal")
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xticks(x, [f"{tick:g}" for tick in x])
            panel.set_yticks(round_seconds(min(every), max(every)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.minorticks_off()
            panel.grid(axis="y", color=FAINT, lw=0.6)
            panel.set_xlabel(AXES[axis])
            panel.set_ylabel("per process (s)" if axis == "ranks" else "processor time (s)")
            panel.margins(0.08)
            panel.set_ylim(min(every) / 1.5, max(every) * 1.5)
        panel.legend()


def round_seconds(least: float, most: float) -> list[float]:
    """1, 2, 5, 10, … from just below to just above."""
    steps = [first * 10.0**power for power in range(-1, 6) for first in (1, 2, 5)]
    return [step for step in steps if least / 2 < step < most * 2]


if __name__ == "__main__":
    main()
