"""Does preflight name the faults that are planted in a clean set, and find none in clean ones? How long does it take?

    python benchmarks/preflight.py SETS --out results/preflight.json

SETS is the folder of make_sets.py. Every set is judged as it is; the faults are planted in the first of them, adk.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.imaging.ctf import evaluate_ctf
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.io.mrc import write_stack
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.io.stacks import StackReader
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.preflight.preflight_options import PreflightOptions
from cryodrgn_plugin.engine.preflight.survey import survey
from cryodrgn_plugin.engine.vetting.verdicts import OK

SETS = ("adk", "uniform", "cooperative", "compositional", "noncontiguous")
POSE = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]


def through_ctf(images: np.ndarray, table, change: Callable) -> np.ndarray:
    """Images whose spectra are multiplied by a function of their CTF."""
    box = images.shape[-1]
    lattice = HalfPlane(box, box // 2)
    ctf = evaluate_ctf(table.ctf(), lattice.indices / (box * table.pixel_size_ang[0]))
    return lattice.images(lattice.spectra(images) * change(ctf))


def faults(table, images: np.ndarray) -> dict[str, tuple]:
    """Name of each fault: (images, particle table, optics table, check that should complain)."""
    frame, optics = table.frame, table.optics
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame.copy()
    shuffled[POSE] = frame[POSE].to_numpy()[order]
    defocus = ["rlnDefocusU", "rlnDefocusV"]
    other_ctf = frame.copy()
    other_ctf[defocus] = frame[defocus].to_numpy()[order]
    repeated = frame.copy()
    repeated.loc[10:59, "rlnImageName"] = frame["rlnImageName"].to_numpy()[:50]
    broken = images.copy()
    broken[[5, 50], 0, 0] = np.nan
    minus = {name: -frame[name] for name in frame.columns if name.startswith(("rlnAngle", "rlnOrigin"))}
    return {
        "black protein": (-images, frame, optics, "sign"),
        "poses of other images": (images, shuffled, optics, "poses"),
        "other sign of psi": (images, frame.assign(rlnAnglePsi=minus["rlnAnglePsi"]), optics, "poses"),
        "other sign of rot": (images, frame.assign(rlnAngleRot=minus["rlnAngleRot"]), optics, "poses"),
        "inverse rotations": (
            images,
            frame.assign(
                rlnAngleRot=minus["rlnAnglePsi"], rlnAngleTilt=minus["rlnAngleTilt"], rlnAnglePsi=minus["rlnAngleRot"]
            ),
            optics,
            "poses",
        ),
        "images upside down": (np.roll(images[:, ::-1], 1, axis=1), frame, optics, "poses"),
        "other sign of origins": (images, frame.assign(**{name: minus[name] for name in POSE[3:]}), optics, "poses"),
        "no CTF columns": (images, frame.drop(columns=[*defocus, "rlnDefocusAngle"]), optics, "CTF"),
        "phases flipped": (through_ctf(images, table, np.sign), frame, optics, "CTF"),
        "multiplied by CTF": (through_ctf(images, table, lambda c: c), frame, optics, "CTF"),
        "CTF of other images": (images, other_ctf, optics, "CTF"),
        "pixel size twice too large": (images, frame, optics.assign(rlnImagePixelSize=3.6), "pixel size"),
        "pixel size 5 % too large": (images, frame, optics.assign(rlnImagePixelSize=1.89), "pixel size"),
        "images listed twice": (images, repeated, optics, "duplicates"),
        "two images with NaN": (broken, frame, optics, "images"),
    }


def judged(star: Path) -> dict:
    """The verdicts on one file, with the time they took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = survey(star, PreflightOptions(), lambda *_: None)
    return {
        "images": found.looked_at,
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "complaints": {v.check: f"{v.level}: {v.sentence}" for v in found.verdicts if v.level != OK},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    result: dict = {"hardware": hardware(), "options": "default", "clean": {}, "planted": {}}
    judged(args.sets / SETS[0] / "particles.star")  # kernels are compiled once
    for name in SETS:
        result["clean"][name] = judged(args.sets / name / "particles.star")
        print(name, result["clean"][name], flush=True)
    table = read_particles(args.sets / SETS[0] / "particles.star")
    images = StackReader(table.image_names, [args.sets / SETS[0]]).read(np.arange(table.n))
    for name, (stack, frame, optics, check) in faults(table, images).items():
        with tempfile.TemporaryDirectory() as folder:
            write_stack(Path(folder) / "particles.mrcs", stack, float(optics["rlnImagePixelSize"].iloc[0]))
            write_star(Path(folder) / "particles.star", {"optics": optics, "particles": frame})
            found = judged(Path(folder) / "particles.star")
        result["planted"][name] = {"found": check in found["complaints"], **found}
        print(name, result["planted"][name], flush=True)
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
