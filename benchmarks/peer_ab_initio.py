"""Ab initio by cryoDRGN 4.3.1 on a set of benchmarks/make_ab_initio_sets.py: pose error against processor time.

    python benchmarks/peer_ab_initio.py SETS/subunit --peer PEER_ENV/bin --box 32 --cpu-minutes 20 \\
        --ours benchmarks/results/ab_initio_subunit.json --out benchmarks/results/peer_ab_initio.json

PEER_ENV is an environment of its own with `pip install cryodrgn==4.3.1`; nothing of it is imported here. Its
hierarchical ab initio for one structure (`abinit_homo_old`) runs on the images cropped to --box, on --threads threads,
until it has used --cpu-minutes or is done; the poses after each of its epochs are judged as ours are, by `pose_errors`.
Settings that differ from its defaults are in the report. OURS is a report of benchmarks/ab_initio.py on the same set.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from hardware import hardware
from peer_time_to_accuracy import process_cpu

from cryodrgn_plugin.engine.analysis.known_poses import KnownPoses
from cryodrgn_plugin.engine.analysis.known_poses import read_poses as read_known
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.io.cryodrgn import read_poses
from cryodrgn_plugin.engine.io.particles import read_particles

REDUCED = (
    "--pretrain 2000 --ps-freq 2 -n 8 --base-healpy 1 --niter 3 --nkeptposes 2 --dim 64 -b 32 --t-ngrid 5 --l-end 16 "
    "--l-ramp-epochs 6"
)
"""Some thirty times quicker a search than its defaults, which take 1.5 processor seconds per image and search at a box
of 32: a first grid of 30° and not 15°, three refinements and not four, fewer poses kept, a narrower network."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--peer", type=Path, required=True, help="bin folder of the environment that has cryodrgn")
    parser.add_argument("--box", type=int, default=32, help="images are cropped to this box")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-minutes", type=float, default=20.0)
    parser.add_argument("--wall-minutes", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", default=REDUCED, help="its settings, as one word; empty leaves its defaults")
    parser.add_argument("--ours", type=Path, help="report of benchmarks/ab_initio.py on the same set")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    truth = read_known(args.set / "truth.npz")
    report = {"set": args.set.name, "particles": len(truth), "box": args.box, "threads": args.threads}
    report |= {"peer": "cryodrgn 4.3.1 abinit_homo_old", "settings": args.settings, "hardware": hardware()}
    if args.ours:
        report["ours"] = json.loads(args.ours.read_text())["runs"]
    with tempfile.TemporaryDirectory() as folder:
        for report["epochs"], report["ended"] in epochs(args, Path(folder), truth):
            print(json.dumps(report["epochs"][-1:]), report["ended"], flush=True)
            if args.out:
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def epochs(args: argparse.Namespace, folder: Path, truth: KnownPoses):
    """Yields (figures of each finished epoch so far, why it ended or "running") while the peer works."""
    table = read_particles(args.set / "particles.star")
    full, pixel_ang = int(table.box[0]), float(table.pixel_size_ang[0])
    found_pixel_ang = pixel_ang * full / args.box
    program, stack, out = str(args.peer / "cryodrgn"), folder / "small.mrcs", folder / "peer"
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}

    def prepare(*words: str) -> None:
        subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL, env=environment)

    star = str(args.set / "particles.star")
    prepare("downsample", str(args.set / "particles.mrcs"), "-D", str(args.box), "-o", str(stack))
    size = ["-D", str(full), "--Apix", str(pixel_ang)]
    prepare("parse_ctf_star", star, "-o", str(folder / "ctf.pkl"), *size)
    extent_px = str(round(4 * args.box / full, 1))
    command = [program, "abinit_homo_old", str(stack), "--ctf", str(folder / "ctf.pkl"), "-o", str(out)]
    command += ["--uninvert-data", "--seed", str(args.seed), "--t-extent", extent_px, "--log-interval", "64"]
    command += args.settings.split()
    began, seen = time.perf_counter(), []
    with open(folder / "peer.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        ended = "running"
        while ended == "running":
            time.sleep(2)
            used, wall = process_cpu(process.pid), time.perf_counter() - began
            if process.poll() is not None:
                ended = "done" if process.returncode == 0 else f"failed: {last_line(folder / 'peer.log')}"
            elif used > 60 * args.cpu_minutes or wall > 60 * args.wall_minutes:
                process.kill()
                process.wait()
                ended = f"stopped after {used / 60:.1f} processor minutes; {last_line(folder / 'peer.log')}"
            for path in sorted(out.glob("pose.*.pkl"), key=lambda path: path.stat().st_mtime)[len(seen) :]:
                time.sleep(1)  # until it is written whole
                seconds = {"cpu": round(used, 1), "wall": round(wall, 1)}
                seen.append({"poses": path.name, "seconds": seconds, **judged(path, args.box, found_pixel_ang, truth)})
                yield seen, ended
    yield seen, ended


def judged(path: Path, box: int, found_pixel_ang: float, truth: KnownPoses) -> dict:
    rotations, origins_px = read_poses(path, box)
    errors = align_poses(rotations, truth.rotations, -origins_px * found_pixel_ang, truth.shifts_ang)
    return errors.summary(truth.pixel_size_ang)


def last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else "no output"


if __name__ == "__main__":
    main()
