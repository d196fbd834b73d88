"""Imported trainings of cryoDRGN against its own `eval_vol`: the same volumes, of every kind of network it trains.

    pip install cryodrgn==4.3.1            in an environment of its own
    python benchmarks/cryodrgn_import.py --cryodrgn ENV/bin/cryodrgn --out benchmarks/results/cryodrgn_import.json

1,000 simulated images of 32² are given to it as its own `parse_pose_star` and `parse_ctf_star` read them; each kind is
trained for a few epochs, then its volumes at three particles are compared voxel by voxel with those of the imported
run, whose grey scale on the images is told as well. --folder keeps trainings, which are not made again.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.cli.main import main as command
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.importing.cryodrgn_training import read_training
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run

BOX, PIXEL_ANG, PARTICLES, AT = 32, 3.6, 1000, (7, 300, 555)
VAE = "train_vae --zdim 2 --enc-dim 64 --enc-layers 2 --dec-dim 64 --dec-layers 2 --lr 1e-3 -b 16 --no-analysis"
KINDS = {
    "gaussian": f"{VAE} --domain hartley -n 8",
    "fourier": f"{VAE} --domain fourier --pe-type geom_lowf -n 3",
    "geom_ft": f"{VAE} --domain hartley --pe-type geom_ft --pe-dim 12 --activation leaky_relu -n 3",
    "geom_full": f"{VAE} --domain hartley --pe-type geom_full -n 2",
    "nohighf": f"{VAE} --domain fourier --pe-type geom_nohighf --dec-dim 128 --dec-layers 3 -n 2",
    "linear": f"{VAE} --domain hartley --pe-type linear_lowf -n 2",
    "gauss_fourier": f"{VAE} --domain fourier --zdim 4 -n 3",
    "slice": f"{VAE} --domain fourier --pe-type none -n 2",
    "nn": "train_nn --domain hartley --dim 64 --layers 2 -n 3",
    "dec": "train_dec --zdim 2 --dim 64 --layers 2 --no-analysis -n 3",
    "sgd": f"{VAE} --domain hartley --do-pose-sgd -n 3",
    "abinit": "abinit --zdim 2 -n 2",
}
"""What cryoDRGN can be asked for; each makes another network, latents of another kind, or poses of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cryodrgn", required=True, help="its executable")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--folder", type=Path, help="where trainings are, and stay")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        given = prepared(folder, args.cryodrgn)
        report = {"box": BOX, "particles": PARTICLES, "kinds": {}, "hardware": hardware()}
        for kind in args.kinds:
            trained(args.cryodrgn, kind, folder, given)
            report["kinds"][kind] = figures = compared(args.cryodrgn, kind, folder / kind, Path(scratch))
            print(kind, json.dumps(figures))
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def prepared(folder: Path, program: str) -> list[str]:
    """The images and cryoDRGN's files of them, as its arguments."""
    sim, poses, ctf = folder / "sim", folder / "poses.pkl", folder / "ctf.pkl"
    if not ctf.exists():
        made = ["simulate", "--out", str(sim), "--preset", "adk", "--box", str(BOX), "--n_particles", str(PARTICLES)]
        command([*made, "--seed", "5", "--snr", "0.2"])
        star = [str(sim / "particles.star"), "-D", str(BOX), "--Apix", str(PIXEL_ANG), "-o"]
        called([program, "parse_pose_star", *star, str(poses)])
        called([program, "parse_ctf_star", *star, str(ctf)])
    return [str(sim / "particles.mrcs"), "--poses", str(poses), "--ctf", str(ctf)]


def trained(program: str, kind: str, folder: Path, given: list[str]) -> None:
    """Train a kind, unless that has been done. Searches take no poses."""
    if any((folder / kind).glob("weights*.pkl")):
        return
    name, *options = KINDS[kind].split()
    files = given if name != "abinit" else [given[0], *given[3:]]
    called([program, name, *files, "--seed", "1", "-o", str(folder / kind), *options])


def called(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr[-2000:]}")


def compared(program: str, kind: str, folder: Path, scratch: Path) -> dict:
    """The imported run's volumes beside eval_vol's."""
    began = time.perf_counter()
    if command(["import", str(folder), "--out", str(scratch / kind)]):
        raise SystemExit(f"{kind} could not be imported")
    run = Run.open(scratch / kind)
    training, decoder, z = read_training(folder), load_decoder(run), run.latents().z
    seconds = time.perf_counter() - began
    ends = [folder / "weights.pkl", folder / f"weights.{training.epoch}.pkl"]
    weights = next(path for path in ends if path.exists())
    correlation, difference = [], []
    for row in AT if z.shape[1] else AT[:1]:
        theirs = evaluated(program, weights, z[row], scratch / "theirs.mrc")
        ours = training.network.volume(z[row])
        correlation.append(abs(np.corrcoef(decoder.volume(z[row]).ravel(), theirs.ravel())[0, 1]))
        difference.append(np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()))
    notes = run.info["notes"]["imported"]
    return {
        "asked": KINDS[kind],
        "least_correlation": round(float(min(correlation)), 9),
        "largest_relative_rms_difference": float(f"{max(difference):.2e}"),
        "grey_scale": [notes["grey_scale"], notes["grey_scale_error"]],
        "seconds_to_import": round(seconds, 1),
    }


def evaluated(program: str, weights: Path, z: np.ndarray, out: Path) -> np.ndarray:
    """cryoDRGN's volume (D, D, D) at z (Z,)."""
    config = ["-c", str(weights.parent / "config.yaml"), "-o", str(out)]
    if len(z):
        called([program, "eval_vol", str(weights), *config, "-z", *(repr(float(value)) for value in z)])
        return read_map(out)[0]
    return read_map(weights.parent / "reconstruct.mrc")[0]


if __name__ == "__main__":
    main()
