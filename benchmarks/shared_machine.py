"""What the recipe `fast` costs on a machine that other work shares, and alone: elapsed, user and system seconds.

    python benchmarks/shared_machine.py --out benchmarks/results/shared_machine.json
    python benchmarks/shared_machine.py --before OTHER/CHECKOUT --threads 1 2

The other work is one busy loop per core, for as long as a run takes. Runs of this checkout and of one to compare with
take turns. A first run of each compiles its kernels and is not counted. Involuntary switches count, among others, the
calls of `sched_yield` by threads that wait. Latents of all runs of
this checkout are compared to the last bit.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hardware import hardware

CHECKOUT = Path(__file__).resolve().parents[1]
BUSY_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10**6))"
"""Ends with the process that started it."""
DECIDING = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
"""Variables of this shell that would decide on threads; runs do not see them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, nargs="*", default=[], help="also with so many threads, alone")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    checkouts = {"before": args.before, "now": CHECKOUT} if args.before else {"now": CHECKOUT}
    cores = len(os.sched_getaffinity(0))
    report = {"hardware": hardware(), "busy_loops": cores, "runs": []}
    report |= {name: getattr(args, name) for name in ("particles", "box", "seed")}
    with tempfile.TemporaryDirectory() as folder:
        star = simulate(Path(folder), args)
        for checkout in checkouts.values():
            train(checkout, star, Path(folder) / "first", args.seed)
        for loops, threads in [*[(0, None), (cores, None)] * args.repeats, *((0, count) for count in args.threads)]:
            for name, checkout in checkouts.items():
                with busy(loops):
                    run = Path(folder) / f"{name}_{len(report['runs'])}"
                    cost = train(checkout, star, run, args.seed, threads)
                report["runs"].append({"checkout": name, "busy_loops": loops, "threads": threads} | cost)
                print(json.dumps(report["runs"][-1]), flush=True)
        report["latents_are_equal"] = latents_are_equal(Path(folder))
    print("latents are equal:", report["latents_are_equal"])
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def simulate(folder: Path, args: argparse.Namespace) -> Path:
    """Adenylate kinase opening, the preset of the command."""
    words = ["simulate", "--out", folder / "set", "--particles", args.particles, "--box", args.box, "--seed", args.seed]
    subprocess.run(engine(words), cwd=CHECKOUT, env=environment(CHECKOUT), check=True, stdout=subprocess.DEVNULL)
    return folder / "set" / "particles.star"


def train(checkout: Path, star: Path, run: Path, seed: int, threads: int | None = None) -> dict[str, float]:
    """Train a checkout's `fast` into the folder `run` and say what the process cost."""
    limits = {} if threads is None else dict.fromkeys(DECIDING[:2], str(threads))
    command = engine(["train", star, "--out", run, "--overwrite", "--recipe", "fast", "--seed", seed])
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, env=environment(checkout) | limits, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}.")
    return {
        "elapsed_s": round(time.perf_counter() - began, 1),
        "user_s": round(used.ru_utime, 1),
        "system_s": round(used.ru_stime, 1),
        "involuntary_switches": used.ru_nivcsw,
    }


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many other processes that want a core each."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(loops)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def latents_are_equal(folder: Path) -> bool:
    """Whether all runs of this checkout gave the same coordinates."""
    latents = [np.load(path)["z"] for path in sorted(folder.glob("now_*/latents.npz"))]
    return all(np.array_equal(latents[0], other) for other in latents)


def engine(words: list) -> list[str]:
    return [sys.executable, "-m", "cryodrgn_plugin.engine.cli", *map(str, words)]


def environment(checkout: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in DECIDING}
    return kept | {"PYTHONPATH": str(checkout.resolve())}


if __name__ == "__main__":
    main()
