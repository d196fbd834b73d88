"""Peak memory of training on particles that stream from disk.

    python benchmarks/memory_training.py --particles 100000 --out benchmarks/results/memory_training.json

Simulates the set (minutes, 1.6 GB on disk), trains the fast recipe with few EM iterations (each step of the recipe
is passed at least once, so the peak is that of a full run), and reports the child process's peak resident memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hardware import hardware

ENGINE = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=2, help="EM iterations")
    parser.add_argument("--folder", type=Path, help="where to put the set; a temporary folder otherwise")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(args, args.folder or Path(temporary))
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def measure(args: argparse.Namespace, folder: Path) -> dict:
    star = folder / "set" / "particles.star"
    if not star.exists():
        size = ["--particles", str(args.particles), "--box", str(args.box)]
        subprocess.run([*ENGINE, "simulate", "--out", str(star.parent), "--preset", "adk", *size], check=True)
    run = folder / "run"
    began = time.perf_counter()
    few = ["--closed_form.iterations", str(args.iterations)]
    subprocess.run([*ENGINE, "train", str(star), "--out", str(run), "--overwrite", *few], check=True)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    info = json.loads((run / "run.json").read_text())
    models = [run / name for name in ("model.pt", "half1.pt", "half2.pt")]
    return {
        "particles": args.particles,
        "box": args.box,
        "em_iterations": args.iterations,
        "peak_rss_mb": info["steps"]["train"]["peak_memory_mb"],
        "decoders_mb": round(sum(model.stat().st_size for model in models) / 2**20),
        "seconds": round(seconds),
        "cpu_seconds_of_all_children": round(used.ru_utime + used.ru_stime),
        "loader_wait_seconds": info["notes"]["loader_wait_seconds"],
        "hardware": hardware(),
    }


if __name__ == "__main__":
    main()
