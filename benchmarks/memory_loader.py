"""Memory and time of streaming a large set from disk through the loader: peak resident memory, milliseconds per image.

    python benchmarks/memory_loader.py --count 100000 --box 64 --out benchmarks/results/memory_loader.json

The set is noise, written for the purpose to a temporary folder (1.6 GB for 100,000 × 64²). Memory is that of a fresh
process which only reads; processor time is stated beside elapsed time, because other work may share the machine.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from hardware import hardware

from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.loader import BatchLoader
from cryodrgn_plugin.engine.io.mrc import StackWriter
from cryodrgn_plugin.engine.io.star import write_star

PER_STACK = 10_000
"""Images per stack file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cache-mb", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(json.dumps(read(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        star = write_set(Path(folder), args.count, args.box)
        command = [sys.executable, __file__, "--read", str(star)]
        for name in ("count", "box", "batch_size", "cache_mb", "epochs"):
            command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = {"hardware": hardware(), **json.loads(done.stdout)}
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def read(args: argparse.Namespace) -> dict:
    """Stream the set for some epochs and say what it took."""
    began = time.perf_counter()
    dataset = ParticleDataset.open(args.read, DataConfig(cache_mb=args.cache_mb, sign="white"))
    opened = time.perf_counter() - began
    before = peak_mb()
    loader = BatchLoader(dataset, args.batch_size)
    epochs = []
    for epoch in range(args.epochs):
        began, worked = time.perf_counter(), time.process_time()
        seen = sum(len(batch) for batch in loader.iterate(epoch))
        elapsed, cpu = time.perf_counter() - began, time.process_time() - worked
        epochs.append({"elapsed": round(elapsed / seen * 1e3, 4), "processor": round(cpu / seen * 1e3, 4)})
    return {
        "particles": dataset.n,
        "box": dataset.box,
        "cache_mb": args.cache_mb,
        "seconds_to_open": round(opened, 2),
        "peak_mb_after_opening": before,
        "peak_mb": peak_mb(),
        "ms_per_image_by_epoch": epochs,
    }


def write_set(folder: Path, count: int, box: int) -> Path:
    """Noise images with random poses and CTFs, in stacks of 10,000."""
    rng = np.random.default_rng(0)
    names: list[str] = []
    for number, start in enumerate(range(0, count, PER_STACK)):
        size = min(PER_STACK, count - start)
        with StackWriter(folder / f"{number:03d}.mrcs", box, 3.0) as stack:
            for first in range(0, size, 1000):
                stack.append(rng.normal(size=(min(1000, size - first), box, box)))
        names += [f"{i:06d}@{number:03d}.mrcs" for i in range(1, size + 1)]
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"], "rlnVoltage": [300.0], "rlnImageSize": [box],
        "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [3.0],
    }  # fmt: skip
    table = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1})
    for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnDefocusAngle"):
        table[name] = rng.uniform(0, 180, count)
    table["rlnDefocusU"] = table["rlnDefocusV"] = rng.uniform(8e3, 2e4, count)
    table["rlnOriginXAngst"] = table["rlnOriginYAngst"] = 0.0
    write_star(folder / "particles.star", {"optics": pd.DataFrame(optics), "particles": table})
    return folder / "particles.star"


def peak_mb() -> int:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
