"""Make the simulated sets of the ab initio benchmarks. Their star files hold no angles and no origins.

    python benchmarks/make_ab_initio_sets.py --out SETS --data DATA                     all sets at a CPU size
    python benchmarks/make_ab_initio_sets.py --out SETS --data DATA --only subunit hand32
    python benchmarks/make_ab_initio_sets.py --out TUNING --data DATA --seed 100        the same molecules, other images
    python benchmarks/make_ab_initio_sets.py --out SETS --data DATA --size paper
    python benchmarks/make_ab_initio_sets.py --out SETS/2000 --data DATA --rows 2000 --only linear1d linear1d_pairs

Poses, shifts and states are in truth.npz, maps/ has each state. DATA holds models/ (6vyb.pdb, 4V5A_70S.mmtf),
hand/hand_pointer.mrc and ctf/empiar10028_ctf_5000.npy (CTF parameters of real particles). SNR is 0.1 unless the name
says `_clean`.

    hand, hand_clean           the hand of the thesis's tables 5.2 and 5.7, no CTF, shifts of ± 5 px at 64²
    hand32, hand32_clean       the same at 32², noise as 64² images of SNR 0.1 have it after cropping (SNR 0.4)
    spike, spike_clean         6VYB in a box of 256 Å (384 Å at 128²); the noisy one with CTF
    subunit                    2,000 × 48², 48 kDa, CTF, shifts of ± 3 px
    mixture                    six species at 64², CTF, shifts of ± 3 px
    linear1d … discrete10      in the manner of the thesis's 3.7, no CTF, shifts of ± 5 px at 64²
    linear1d_pairs …           the same with a second image of every particle after a tilt by 45°

`--size paper` gives the hand 50,000 × 64², the spike 50,000 × 128², and the sets of 3.7 50,000 × 64². `--rows` keeps
the first rows alone, the same images whatever their number.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ab_initio_models import MOTIONS, mixture, spike, subunit

from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, equal_parts, simulate_particles
from cryodrgn_plugin.engine.simulate.map_motions import cropped_map

GIVEN_AWAY = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnClassNumber"]
HAND_PIXEL_ANG = 6.0


@dataclass(frozen=True)
class Request:
    """What was asked for: where the models are, and how large the sets should be."""

    data: Path
    paper_size: bool

    @property
    def ctf_rows(self) -> str:
        return str(self.data / "ctf" / "empiar10028_ctf_5000.npy")


def hand(request: Request, box: int, snr: float) -> tuple[Ensemble, SimulationConfig]:
    """`snr` is that of images of the map's own box; cropping them to a smaller one leaves the noise beyond it out."""
    volume, _ = read_map(request.data / "hand" / "hand_pointer.mrc")
    full = len(volume)
    few = 2_000 if box < full else 10_000
    config = SimulationConfig(
        n_particles=50_000 if request.paper_size else few,
        box=box,
        pixel_size_ang=HAND_PIXEL_ANG * full / box,
        snr=snr * (full / box) ** 2,
        shift_px=5 * box / full,
        ctf=False,
    )
    return equal_parts([cropped_map(volume, box, "the hand")], ("hand",)), config


def spike_set(request: Request, snr: float, ctf: bool) -> tuple[Ensemble, SimulationConfig]:
    box = 128 if request.paper_size else 64
    config = SimulationConfig(
        n_particles=50_000 if request.paper_size else 5_000,
        box=box,
        pixel_size_ang=3.0 if request.paper_size else 4.0,
        resolution_ang=0.0 if request.paper_size else 8.0,
        snr=snr,
        shift_px=10 * box / 128,
        ctf=ctf,
        ctf_rows=request.ctf_rows if ctf else "",
    )
    return spike(request.data), config


def subunit_set(request: Request) -> tuple[Ensemble, SimulationConfig]:
    config = SimulationConfig(
        n_particles=2_000, box=48, pixel_size_ang=3.0, snr=0.1, shift_px=3, ctf_rows=request.ctf_rows
    )
    return subunit(request.data), config


def mixture_set(request: Request) -> tuple[Ensemble, SimulationConfig]:
    config = SimulationConfig(
        n_particles=10_000, box=64, pixel_size_ang=3.2, snr=0.1, shift_px=3, ctf_rows=request.ctf_rows
    )
    return mixture(request.data), config


def motion_set(request: Request, name: str, tilt_deg: float = 0.0) -> tuple[Ensemble, SimulationConfig]:
    ensemble = MOTIONS[name]()
    config = SimulationConfig(
        n_particles=50_000 if request.paper_size else 5_000,
        box=64,
        pixel_size_ang=6.0,
        snr=0.1,
        shift_px=5,
        ctf=False,
        tilt_deg=tilt_deg,
    )
    return ensemble, config


SETS = {
    "subunit": subunit_set,
    "hand32": lambda request: hand(request, 32, 0.1),
    "hand32_clean": lambda request: hand(request, 32, float("inf")),
    "mixture": mixture_set,
    "spike": lambda request: spike_set(request, 0.1, ctf=True),
    "spike_clean": lambda request: spike_set(request, float("inf"), ctf=False),
    "hand": lambda request: hand(request, 64, 0.1),
    "hand_clean": lambda request: hand(request, 64, float("inf")),
    **{name: lambda request, name=name: motion_set(request, name) for name in MOTIONS},
    **{f"{name}_pairs": lambda request, name=name: motion_set(request, name, tilt_deg=45.0) for name in MOTIONS},
}


def withhold_poses(star: Path, rows: int | None) -> None:
    """Take angles, origins and class numbers out of a star file; truth.npz keeps them. Both keep their first `rows`."""
    tables = read_star(star)
    particles = tables["particles"].drop(columns=GIVEN_AWAY)
    tables["particles"] = particles[:rows]
    write_star(star, tables)
    truth_path = star.with_name("truth.npz")
    with np.load(truth_path) as stored:
        each = {name: value.shape[:1] == (len(particles),) for name, value in stored.items()}
        truth = {name: value[:rows] if each[name] else value for name, value in stored.items()}
    np.savez_compressed(truth_path, **truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, one sub-folder each")
    parser.add_argument("--data", type=Path, required=True, help="folder with models/, hand/ and ctf/")
    parser.add_argument("--only", nargs="+", choices=tuple(SETS), help="make only these sets")
    parser.add_argument("--size", choices=("cpu", "paper"), default="cpu")
    parser.add_argument("--rows", type=int, help="keep the first rows of each star file alone")
    parser.add_argument("--seed", type=int, default=0, help="of poses, shifts, CTF and noise; molecules stay the same")
    args = parser.parse_args()
    request = Request(args.data, args.size == "paper")
    for name in args.only or SETS:
        start = time.perf_counter()
        ensemble, config = SETS[name](request)
        star = simulate_particles(ensemble, config, args.out / name, args.seed)
        withhold_poses(star, args.rows)
        seconds = time.perf_counter() - start
        print(f"{name}: {config.n_particles:,} x {config.box}² in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
