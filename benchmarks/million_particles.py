"""A million particles of 64 pixels: the store of their images, the first step after it, an iteration over all of them,
and the memory of each stage.

    python benchmarks/million_particles.py --folder /scratch --out benchmarks/results/million_particles.json

The rows are as a refinement leaves them, each with poses, CTF and place of its own. The images are a simulated stack
that repeats under other grey scales, so that no two are the same and all must be prepared (int16, 8 GB on disk for a
million; the store takes 6 GB more). The set is kept in --folder, and stores are written anew. Stages run in one process
as `train` has them; seconds of wall clock and of processor, and the largest resident size within each.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.fft
from hardware import hardware

from cryodrgn_plugin.engine.closed_form.fast_recipe import ClosedForm
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.stacks import StackReader
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.vetting.at_start import vetted
from cryodrgn_plugin.engine.vetting.kept_images import keep_images

STAGES = ("set", "store", "vetted", "first step", "iteration over all")
BASE, PER_STACK = 2000, 2000
GREY_LEVELS = 1500
"""Of one standard deviation, in int16."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where the set lies, or is put; a temporary folder otherwise")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage; a store before it stays")
    parser.add_argument("--out", type=Path, help="stages measured before stay in it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        star = folder / f"particles_{args.rows}_{args.box}.star"
        if not star.exists():
            write_set(star, args.rows, args.box)
        report: dict = {"rows": args.rows, "box": args.box, "stages": {}}
        if args.out and args.out.exists():
            report = json.loads(args.out.read_text())
        if args.until != "set":
            trained(star, folder / "run", report, STAGES[: STAGES.index(args.until) + 1])
    report["hardware"] = hardware()
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def write_set(star: Path, rows: int, box: int) -> None:
    """The star file and its stacks."""
    base = star.parent / f"base_{box}"
    simulate = [
        "simulate",
        "--out",
        str(base),
        "--preset",
        "adk",
        "--particles",
        str(BASE),
        "--box",
        str(box),
        "--overwrite",
    ]
    subprocess.run([sys.executable, "-m", "cryodrgn_plugin.engine.cli", *simulate], check=True)
    table = read_particles(base / "particles.star")
    images = StackReader(table.image_names, [base]).read(np.arange(BASE))
    images = images / images.std() * GREY_LEVELS
    (star.parent / f"stacks_{box}").mkdir(exist_ok=True)
    for stack in range(-(-rows // PER_STACK)):
        grey = np.rint(images * (1 + stack / 2000) + stack).astype(np.int16)
        write_stack(star.parent / f"stacks_{box}" / f"{stack:06d}.mrcs", grey, float(table.pixel_size_ang[0]))
    lines = (base / "particles.star").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "@" in line)
    name = next(place for place, word in enumerate(lines[first].split()) if "@" in word)
    micrograph = next(place for place, word in enumerate(lines[first].split()) if word.endswith(".mrc"))
    particles = [line.split() for line in lines[first : first + BASE]]
    with open(star, "w", encoding="utf-8") as file:
        file.write("\n".join(lines[:first]) + "\n")
        for row in range(rows):
            words = list(particles[row % BASE])
            words[name] = f"{row % PER_STACK + 1:06d}@stacks_{box}/{row // PER_STACK:06d}.mrcs"
            words[micrograph] = f"mic/{row // PER_STACK:06d}_{words[micrograph].rpartition('/')[2]}"
            file.write(" ".join(words) + "\n")


def trained(star: Path, folder: Path, report: dict, wanted: tuple[str, ...]) -> None:
    """The stages of a training up to its first step, into `report`; and what FFTs alone would have taken."""
    stores = folder.with_name("stores")
    shutil.rmtree(folder, ignore_errors=True)
    config = recipe_config("fast", {"particles": str(star), "data.store": str(stores)})
    run = Run.create(folder, config)
    if not stores.exists():
        written(star, run, report)
    if "vetted" in wanted:
        with stage(report, "vetted"):
            particles = vetted(config).dataset
            assert particles.source.store is not None, "the store was not found"
        with stage(report, "start"):
            recipe = ClosedForm(run, config, particles)
            state = recipe.start()
        report["until_first_step_s"] = round(sum(report["stages"][name]["seconds"] for name in ("vetted", "start")), 1)
    if "first step" in wanted:
        with stage(report, "first step"):
            state, figures = recipe.advance(state)
        report["radius"], report["coefficients"] = figures["radius"], recipe.images.lattice.count(figures["radius"])
    if "iteration over all" in wanted:
        closed_form = replace(config.closed_form, first_particles=particles.n)
        recipe = ClosedForm(run, replace(config, closed_form=closed_form), particles)
        state = recipe.start()
        with stage(report, "iteration over all"):
            recipe.advance(state)
        shutil.rmtree(stores)
    shutil.rmtree(folder)


def written(star: Path, run: Run, report: dict) -> None:
    """Write the store."""
    with stage(report, "open"):
        dataset = ParticleDataset.open(star, run.config.data)
    with stage(report, "store"):
        keep_images(run, dataset, often=True)
    store = dataset.source.store
    assert store is not None, "there was no room for the store"
    report["store_gigabytes"] = round(sum(file.stat().st_size for file in store.path.iterdir()) / 1e9, 2)
    with stage(report, "transforms alone"):
        transform_only(dataset)
    alone, whole = (report["stages"][name]["cpu_seconds"] for name in ("transforms alone", "store"))
    report["share_of_transforms"] = round(alone / whole, 3)


def transform_only(dataset: ParticleDataset) -> None:
    """As many transforms as there are images, on images that are in the processor's cache."""
    step = dataset.source.read_together(0)
    images = dataset.source.raw(dataset.rows[:step])
    for _ in range(-(-dataset.n // step)):
        scipy.fft.rfft2(images)


@contextmanager
def stage(report: dict, name: str) -> Iterator[None]:
    """Seconds and the largest resident size while the block runs."""
    Path("/proc/self/clear_refs").write_text("5")
    began, cpu = time.perf_counter(), time.process_time()
    yield
    took, worked = time.perf_counter() - began, time.process_time() - cpu
    with open("/proc/self/status", encoding="utf-8") as status:
        sizes = dict(line.split(":", 1) for line in status if line.startswith("Vm"))
    peak, now = (int(sizes[key].split()[0]) / 1024 for key in ("VmHWM", "VmRSS"))
    figures = {"seconds": round(took, 1), "cpu_seconds": round(worked, 1), "load": round(os.getloadavg()[0], 1)}
    report["stages"][name] = {**figures, "peak_rss_mb": round(peak), "rss_mb": round(now)}
    print(name, report["stages"][name], flush=True)


if __name__ == "__main__":
    main()
