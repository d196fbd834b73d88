"""What `fast` takes on sets of some sizes: wall clock, processor and memory, told before and used.

    python benchmarks/sizes.py --sets 2000x128 10000x128 20000x64 --out benchmarks/results/sizes.json
    python benchmarks/sizes.py --sets 100000x128 --device cuda --repeat --out benchmarks/results/sizes_gpu.json
    python benchmarks/sizes.py --sets 400x256 --components 16 --out benchmarks/results/sizes.json -- --z_dim 16

Sets are simulated as real ones are (contrast, wrong poses, coloured noise, uneven views). With --repeat 2,000 images of
each stand in the stacks again and again under other grey scales, where simulating all would take hours; times do not
depend on that. What stands after `--` are further settings of the training. One process after the other, each as a user
runs it, from the star file to coordinates, states and maps.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hardware import hardware
from million_particles import write_set

ENGINE = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["2000x128", "10000x128", "20000x64"], help="particles x pixels")
    parser.add_argument("--preset", default="real_adk")
    parser.add_argument("--repeat", action="store_true")
    parser.add_argument("--components", type=int, nargs="+", default=[8], help="directions of motion")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where sets are kept; a temporary folder otherwise")
    parser.add_argument("--out", type=Path, help="sets measured before stay in it")
    parser.add_argument("settings", nargs="*", help="further options of the training, after --")
    args = parser.parse_args()
    report = json.loads(args.out.read_text()) if args.out and args.out.exists() else {"sets": {}}
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.sets:
            particles, box = (int(number) for number in name.split("x"))
            star = the_set(args, args.folder or Path(temporary), particles, box)
            for components in args.components:
                row = trained(args, star, Path(temporary) / "run", box, components)
                words = name, f"{components} directions", args.device, " ".join(args.settings)
                report["sets"][", ".join(filter(None, words))] = row
                print(name, json.dumps(row, indent=1), flush=True)
                report["hardware"] = hardware()
                if args.out:
                    args.out.write_text(json.dumps(report, indent=1) + "\n")


def the_set(args: argparse.Namespace, folder: Path, particles: int, box: int) -> Path:
    """The star file of a set, made where it is not there."""
    if args.repeat:
        star = folder / f"particles_{particles}_{box}.star"
        if not star.exists():
            write_set(star, particles, box)
        return star
    star = folder / f"{args.preset}_{particles}_{box}" / "particles.star"
    if not star.exists():
        size = ["--particles", str(particles), "--box", str(box), "--seed", "5"]
        subprocess.run([*ENGINE, "simulate", "--out", str(star.parent), "--preset", args.preset, *size], check=True)
    return star


def trained(args: argparse.Namespace, star: Path, run: Path, box: int, components: int) -> dict:
    """Figures of one training."""
    settings = ["--device", args.device, "--data.box", str(box), "--closed_form.n_components", str(components)]
    threads = {name: str(args.threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    train = [*ENGINE, "train", str(star), "--out", str(run), "--overwrite", "--seed", "0", *settings, *args.settings]
    subprocess.run(train, check=True, env=os.environ | threads)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    info = json.loads((run / "run.json").read_text())
    models = sum((run / name).stat().st_size for name in ("model.pt", "half1.pt", "half2.pt"))
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "threads": args.threads,
        "peak_rss_mb": info["steps"]["train"]["peak_memory_mb"],
        "told_mb": info["notes"].get("memory_needed_mb"),
        "maps_mb": round(models / 2**20),
        "image_passes": info["notes"]["image_passes"],
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
