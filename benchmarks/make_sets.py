"""Make the simulated sets that the benchmarks and the accuracy checks use, each with its truth.

    python benchmarks/make_sets.py --out SETS --data DATA                     all sets at a CPU size, 64²
    python benchmarks/make_sets.py --out SETS --data DATA --only adk uniform
    python benchmarks/make_sets.py --out SETS --data DATA --size paper        the thesis's size, 50,000 × 128²

DATA holds adk/adk_dims.dcd with adk/adk.psf (98 frames of adenylate kinase, read with MDAnalysis) and
ctf/empiar10028_ctf_5000.npy (CTF parameters of real particles). `adk` is made from those frames, 5,000 × 64², SNR 0.1,
shifts of ± 3 px at 1.8 Å per pixel. The others are the presets of the same name, in the manner of the cryoDRGN thesis
(4.4.1): SNR 0.1, B-factor 100 Å², shifts of ± 8 % of the box, 10,000 particles at the CPU size.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.motions import trajectory
from cryodrgn_plugin.engine.simulate.presets import ADK_CORE, PRESETS

ATOMIC_NUMBER = {"C": 6, "N": 7, "O": 8, "S": 16}
THESIS_SETS = ("uniform", "cooperative", "noncontiguous", "compositional")


def adk_trajectory(data: Path) -> Ensemble:
    """The heavy atoms of the 98 frames, superposed on the core; the coordinate is the fraction of the path."""
    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(data / "adk" / "adk.psf"), str(data / "adk" / "adk_dims.dcd"))
        heavy = universe.select_atoms("not name H*")
        frames = np.stack([heavy.positions.astype(np.float64) for _ in universe.trajectory])
    model = AtomicModel(
        frames[0],
        np.array([ATOMIC_NUMBER[name[0]] for name in heavy.names], dtype=np.float32),
        np.full(len(heavy), "A"),
        heavy.resids.copy(),
        heavy.names.astype(str),
    )
    core = (model.names == "CA") & np.any([model.select(None, *span) for span in ADK_CORE], axis=0)
    states = trajectory(model, frames, core)
    return Ensemble(states, np.linspace(0, 1, len(states)), np.ones(len(states)))


def adk_config(ctf_rows: str) -> SimulationConfig:
    return SimulationConfig(n_particles=5000, box=64, pixel_size_ang=1.8, snr=0.1, shift_px=3, ctf_rows=ctf_rows)


def thesis_config(name: str, ctf_rows: str, paper_size: bool) -> SimulationConfig:
    preset = PRESETS[name]
    box = 128 if paper_size else 64
    return preset.config(
        box, n_particles=50_000 if paper_size else 10_000, snr=0.1, shift_px=10 * box / 128, ctf_rows=ctf_rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, one sub-folder each")
    parser.add_argument("--data", type=Path, required=True, help="folder with adk/ and ctf/")
    parser.add_argument("--only", nargs="+", choices=("adk", *THESIS_SETS), help="make only these sets")
    parser.add_argument("--size", choices=("cpu", "paper"), default="cpu", help="size of the thesis sets")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    ctf_rows = str(args.data / "ctf" / "empiar10028_ctf_5000.npy")
    for name in args.only or ("adk", *THESIS_SETS):
        start = time.perf_counter()
        if name == "adk":
            ensemble, config = adk_trajectory(args.data), adk_config(ctf_rows)
        else:
            ensemble = PRESETS[name].make(50)
            config = thesis_config(name, ctf_rows, args.size == "paper")
        simulate_particles(ensemble, config, args.out / name, args.seed)
        seconds = time.perf_counter() - start
        print(f"{name}: {config.n_particles:,} x {config.box}² in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
