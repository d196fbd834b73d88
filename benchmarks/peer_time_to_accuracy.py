"""Time to a coordinate of equal quality: the fast recipe beside cryoDRGN's train_vae with its defaults.

    python benchmarks/peer_time_to_accuracy.py SETS/adk --peer PEER_ENV/bin --epochs 12 --out results/peer_adk.json

PEER_ENV is an environment of its own with `pip install cryodrgn==4.3.1`; nothing of it is imported here. Both read the
same star file and stack on the same cores, ours first. The peer's latents are judged after every epoch by the best of
its axes and principal components, ours by the best of coordinate and axes; both times are processor seconds, which
other work on the machine disturbs least.
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

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis.truth import Truth, rank_correlation
from cryodrgn_plugin.engine.io.cryodrgn import read_latents
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--peer", type=Path, required=True, help="bin folder of the environment that has cryodrgn")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hours", type=float, default=12.0, help="stop the peer after this long")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    truth, star = Truth.open(args.set), args.set / "particles.star"
    with tempfile.TemporaryDirectory() as folder:
        report = {"set": args.set.name, "particles": len(truth.state), "hardware": hardware()}
        report["ours"] = ours(star, Path(folder) / "ours", truth)
        print(json.dumps(report["ours"]), flush=True)
        report["peer"] = peer(args, star, Path(folder), truth)
    reached = [epoch for epoch in report["peer"] if epoch["spearman"] >= report["ours"]["spearman"]]
    report["peer_reached_ours"] = bool(reached)
    last = (reached or report["peer"])[0 if reached else -1]
    report["cpu_ratio"] = round(last["cpu_seconds"] / report["ours"]["cpu_seconds"], 1)
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def ours(star: Path, folder: Path, truth: Truth) -> dict:
    """The whole command, imports and reading included."""
    command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", "train", str(star), "--out", str(folder)]
    before, began = children_cpu(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    latents = Run.open(folder).latents()
    found = np.column_stack([latents.coordinate, latents.z])
    return {
        "cpu_seconds": round(children_cpu() - before, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "spearman": best(found, truth),
    }


def peer(args: argparse.Namespace, star: Path, folder: Path, truth: Truth) -> list[dict]:
    """train_vae with its defaults; one entry per finished epoch."""
    table = read_particles(star)
    size = ["-D", str(int(table.box[0])), "--Apix", str(float(table.pixel_size_ang[0]))]
    program, out = str(args.peer / "cryodrgn"), folder / "peer"
    subprocess.run([program, "parse_pose_star", str(star), "-o", str(folder / "poses.pkl"), *size], check=True)
    subprocess.run([program, "parse_ctf_star", str(star), "-o", str(folder / "ctf.pkl"), *size], check=True)
    command = [program, "train_vae", str(args.set / "particles.mrcs"), "--uninvert-data", "--no-analysis"]
    command += ["--poses", str(folder / "poses.pkl"), "--ctf", str(folder / "ctf.pkl"), "--zdim", "8"]
    command += ["-n", str(args.epochs), "-o", str(out)]
    seen, began = [], time.perf_counter()
    with open(folder / "peer.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while len(seen) < args.epochs and time.perf_counter() - began < args.hours * 3600:
            path = out / f"z.{len(seen) + 1}.pkl"
            if not path.exists() and process.poll() is not None:
                break
            if path.exists():
                time.sleep(1)  # until it is written whole
                z = read_latents(path)[0].astype(float)
                components = (z - z.mean(0)) @ np.linalg.svd(z - z.mean(0), full_matrices=False)[2].T
                entry = {"epoch": len(seen) + 1, "cpu_seconds": round(process_cpu(process.pid), 1)}
                seen.append(entry | {"spearman": best(np.column_stack([z, components]), truth)})
                print(json.dumps(seen[-1]), flush=True)
            time.sleep(1)
        process.kill()
        process.wait()
    return seen


def best(columns: np.ndarray, truth: Truth) -> float:
    return max(rank_correlation(column, truth.coordinate) for column in columns.T)


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def process_cpu(pid: int) -> float:
    """Processor seconds of a running process (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
