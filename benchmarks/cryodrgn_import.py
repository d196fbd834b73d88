"""Imported trainings of cryoDRGN against its own `eval_vol`: the same volumes, of every kind of network it trains.

    pip install cryodrgn==4.3.1            in an environment of its own
    python benchmarks/cryodrgn_import.py --environment ENV --out benchmarks/results/cryodrgn_import.json

1,000 simulated images of 32² are given to it as its own `parse_pose_star` and `parse_ctf_star` read them; each kind is
trained for a few epochs, then its volumes at three particles are compared voxel by voxel with those of the imported
run, whose grey scale on the images is told as well. --folder keeps trainings, which are not made again; kinds that are
not asked for stay in --out as they were. The search for poses (abinit) is given no poses, and the first 32 images.
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
from cryodrgn_plugin.engine.io.cryodrgn import write_indices
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run

BOX, PIXEL_ANG, PARTICLES, AT = 32, 3.6, 1000, (7, 300, 555)
SEARCHED = 32
"""Images whose poses are searched for, which takes a processor about a third of a second for each in every epoch."""
SIZES = "--zdim 2 --enc-dim 64 --enc-layers 2 --dec-dim 64 --dec-layers 2 --lr 1e-3 -b 16"
SEARCH = (
    f"--epochs-pose-search 1 --n-imgs-pretrain {SEARCHED} --n-imgs-pose-search {SEARCHED} --l-start 4 --l-end 8 "
    "--niter 1 --t-extent 2 --t-ngrid 3 --nkeptposes 2"
)
VAE = f"train_vae --no-amp --no-analysis {SIZES}"
KINDS = {
    "gaussian": f"{VAE} --domain hartley -n 8",
    "fourier": f"{VAE} --domain fourier --pe-type geom_lowf -n 3",
    "geom_ft": f"{VAE} --domain hartley --pe-type geom_ft --pe-dim 12 --activation leaky_relu -n 3",
    "geom_full": f"{VAE} --domain hartley --pe-type geom_full -n 2",
    "nohighf": f"{VAE} --domain fourier --pe-type geom_nohighf --dec-dim 128 --dec-layers 3 -n 2",
    "linear": f"{VAE} --domain hartley --pe-type linear_lowf -n 2",
    "gauss_fourier": f"{VAE} --domain fourier --zdim 4 -n 3",
    "nn": "train_nn --domain hartley --dim 64 --layers 2 -n 3",
    "dec": "train_dec --zdim 2 --dim 64 --layers 2 --no-analysis -n 3",
    "sgd": f"{VAE} --domain hartley --do-pose-sgd -n 3",
    "abinit": f"abinit --zdim 2 -n 2 --dim 64 --layers 2 {SEARCH} --checkpoint 1 --no-analysis --no-amp",
}
"""What cryoDRGN can be asked for; each makes another network, latents of another kind, or poses of its own. Without an
encoding (--pe-type none) its version 4.3.1 trains nothing: it stops at the first batch. On a processor it divides the
translations that it moves (sgd) by D + 1 whenever it saves them, so that those maps suit the images less."""

EVALUATOR = """
import argparse, json, sys
from cryodrgn.commands import eval_vol
for words in json.load(open(sys.argv[1])):
    parser = argparse.ArgumentParser()
    eval_vol.add_args(parser)
    eval_vol.main(parser.parse_args(words))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="where cryoDRGN is installed")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--folder", type=Path, help="where trainings are, and stay")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    program = str(args.environment / "bin/cryodrgn")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        given = prepared(folder, program)
        report = {"box": BOX, "particles": PARTICLES, "kinds": {}, "hardware": hardware()}
        if args.out and args.out.exists():
            report["kinds"] = json.loads(args.out.read_text())["kinds"]
        runs = {}
        for kind in args.kinds:
            trained(program, kind, folder, given)
            began = time.perf_counter()
            if command(["import", str(folder / kind), "--out", str(Path(scratch) / kind)]):
                raise SystemExit(f"{kind} could not be imported")
            runs[kind] = Run.open(Path(scratch) / kind), time.perf_counter() - began
        evaluate(args.environment, folder, {kind: run for kind, (run, _) in runs.items()}, Path(scratch))
        for kind, (run, seconds) in runs.items():
            report["kinds"][kind] = figures = compared(kind, folder / kind, run, Path(scratch))
            figures["seconds_to_import"] = round(seconds, 1)
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
    files = given
    if name == "abinit":
        write_indices(folder / "ind.pkl", np.arange(SEARCHED))
        files = [given[0], *given[3:], "--ind", str(folder / "ind.pkl"), "--max-threads", "1"]
    called([program, name, *files, "--seed", "1", "-o", str(folder / kind), *options])


def called(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr[-2000:]}")


def evaluate(environment: Path, folder: Path, runs: dict[str, Run], scratch: Path) -> None:
    """cryoDRGN's volumes at the particles `AT`, into a folder of each kind; one process starts its program once."""
    jobs = []
    for kind, run in runs.items():
        z = run.latents().z
        if z.shape[1]:
            np.savetxt(scratch / f"{kind}.txt", z[rows_of(z)], fmt="%.9g")
            weights = weights_of(folder / kind, run.info["notes"]["imported"]["epoch"])
            words = [str(weights), "-c", str(folder / kind / "config.yaml"), "-o", str(scratch / f"of_{kind}")]
            jobs.append([*words, "--zfile", str(scratch / f"{kind}.txt")])
    (scratch / "jobs.json").write_text(json.dumps(jobs))
    called([str(environment / "bin/python"), "-c", EVALUATOR, str(scratch / "jobs.json")])


def rows_of(z: np.ndarray) -> list[int]:
    """The particles whose maps are compared; of fewer, where those would come if these were repeated."""
    return [row % len(z) for row in AT]


def weights_of(folder: Path, epoch: int) -> Path:
    return next(path for path in (folder / "weights.pkl", folder / f"weights.{epoch}.pkl") if path.exists())


def compared(kind: str, folder: Path, run: Run, scratch: Path) -> dict:
    """The imported run's volumes beside cryoDRGN's."""
    training, decoder, z = read_training(folder), load_decoder(run), run.latents().z
    written = sorted((scratch / f"of_{kind}").glob("vol_*.mrc"))
    if not z.shape[1]:
        written = [next(path for path in (folder / "reconstruct.mrc", folder / f"reconstruct.{training.epoch}.mrc"))]
    correlation, difference = [], []
    for path, row in zip(written, rows_of(z), strict=False):
        theirs, ours = read_map(path)[0], training.network.volume(z[row])
        correlation.append(abs(np.corrcoef(decoder.volume(z[row]).ravel(), theirs.ravel())[0, 1]))
        difference.append(np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()))
    notes = run.info["notes"]["imported"]
    return {
        "asked": KINDS[kind],
        "volumes": len(correlation),
        "least_correlation": round(float(min(correlation)), 9),
        "largest_relative_rms_difference": float(f"{max(difference):.2e}"),
        "grey_scale": [notes["grey_scale"], notes["grey_scale_error"]],
    }


if __name__ == "__main__":
    main()
