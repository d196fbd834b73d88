"""What writing an image store costs beside the transforms of its images, on one thread.

    python benchmarks/store_writing.py --out benchmarks/results/store_writing.json

A lot of images is written again and again into a store, and as many are transformed from the processor's cache, by the
transform that the engine takes (scipy's) and by torch's. All three take turns, so that other work on the machine hits
them alike; processor time, medians of the rounds. The stack is int16 and lies in the system's memory of files, as do
the files written: reading and writing are copies, and no disk is measured.

Torch's transform (MKL's here) is the faster one at boxes 64 and 128, not at 48, 90, 180 or 256, and at 32 an image
alone differs in its last bits from itself among others; so the engine, which promises otherwise, takes scipy's.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft
import torch
from hardware import hardware
from million_particles import BASE, write_set

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.store_files import StoreFiles, opened
from cryodrgn_plugin.engine.data.store_key import StoredImages
from cryodrgn_plugin.engine.data.store_writing import StoreWriter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    report = {"hardware": hardware(), "rounds": args.rounds, "rows": []}
    for box in args.boxes:
        with tempfile.TemporaryDirectory() as folder:
            report["rows"].append(measure(Path(folder), box, args.rounds))
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def measure(folder: Path, box: int, rounds: int) -> dict[str, float]:
    """Microseconds per image of `box` pixels."""
    star = folder / "particles.star"
    write_set(star, BASE, box)
    source = ParticleDataset.open(star, recipe_config("fast", {"particles": str(star)}).data).source
    images, _, row = StoredImages.of(source, np.arange(BASE))
    writer, some = StoreWriter(source, images, row), source.raw(np.arange(source.read_together(0)))
    n, tensor = writer.at_once, torch.from_numpy(some)
    sizes = StoreFiles(folder).sizes(len(images), images.lattice)
    with opened(list(sizes), os.O_RDWR | os.O_CREAT) as files:
        for file, size in zip(files, sizes.values(), strict=True):
            os.ftruncate(file, size)
        work = {
            "store": lambda: writer.write(files, 0),
            "scipy's transform": lambda: [scipy.fft.rfft2(some) for _ in range(n // len(some))],
            "torch's transform": lambda: [torch.fft.rfft2(tensor) for _ in range(n // len(some))],
        }
        times = [[seconds(each) * 1e6 / n for each in work.values()] for _ in range(rounds + 1)][1:]
    store, scipys, _ = np.array(times).T
    medians = {name: round(float(value), 2) for name, value in zip(work, np.median(times, axis=0), strict=True)}
    share = round(float(np.median(scipys / store)), 3)
    return {"box": box, "images_at_once": n, "us_per_image": medians, "transform_over_store": share}


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
