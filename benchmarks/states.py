"""How well `states` predicts the agreement of its maps with the truth, on a simulated set.

    python benchmarks/states.py SETS/adk --run RUN --out benchmarks/results/states_adk.json

RUN is a finished run of the set; without it one is trained by the fast recipe and removed. The states are the centres
of eight k-means clusters; the true map of a state is that of the median true state of the 100 particles nearest to it.
Judged is the FSC of the map that a user takes away with that true map, inside the mask that `states` made, against
the FSC that was expected: by half-maps alone, √(2F/(1 + F)), and as measured with prior-free maps. All are means over
the shells from 1 to the last before the Nyquist frequency; an error is positive where too much is promised.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis.metric import LatentMetric
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.expectation import expected_from_halves
from cryodrgn_plugin.engine.reconstruction.fsc import fsc
from cryodrgn_plugin.engine.reconstruction.kernel import kernel_at
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.states.state_options import StatesOptions
from cryodrgn_plugin.engine.states.states_report import MOVING_MASK, make_states

NEAREST = 100
SCALARS = ("label", "effective_particles")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--run", type=Path, help="a finished run of the set")
    parser.add_argument("--states", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.open(args.run) if args.run else trained(args, Path(folder) / "run")
        report = {"set": args.set.name, "seed": args.seed, "hardware": hardware(), **judged(run, args)}
    print(json.dumps({**report, "states": "…"}, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def trained(args: argparse.Namespace, folder: Path) -> Run:
    config = recipe_config("fast", {"particles": str(args.set / "particles.star"), "seed": args.seed})
    run = Run.create(folder, config)
    with run.working():
        fit(run, config)
    return run


def judged(run: Run, args: argparse.Namespace) -> dict:
    began = time.process_time()
    options = StatesOptions(
        states=args.states, group_by="clusters", seed=args.seed, local_resolution=False, figures=False
    )
    index = json.loads(make_states(run, options).read_text())
    seconds = time.process_time() - began
    decoder, latents = load_decoder(run), run.latents()
    known = Truth.open(args.set).at_box(decoder.box)
    metric, moving = LatentMetric(decoder, latents.z), known.moving_mask()
    report = {"particles": index["particles"], "box": index["box"], "cpu_seconds": round(seconds, 1)}
    report["regression"] = index["regression"]
    each: dict[str, list[dict]] = {}
    for series in index["series"]:
        for entry in series["maps"]:
            nearest = kernel_at(metric.positions, metric.at(np.array([entry["z"]], np.float32))[0], NEAREST).index
            truth = known.maps[median_state(known, nearest)]
            own = known.maps[known.state[entry["particle"]]]
            each.setdefault(series["name"], []).append(of_state(run, entry, truth, own, moving))
    return report | digest(each)


def digest(each: dict[str, list[dict]]) -> dict:
    """What is kept of the curves of all states, by the way that their maps were made."""
    return {
        "summary": {name: summary(states) for name, states in each.items()},
        "calibration": {name: calibration(states) for name, states in each.items()},
        "states": {name: [means(state) for state in states] for name, states in each.items()},
    }


def median_state(known: Truth, particles: np.ndarray) -> int:
    """The true state of the middle one of the particles along the true coordinate."""
    order = np.argsort(known.coordinate[particles], kind="stable")
    return int(known.state[particles[order[len(order) // 2]]])


def of_state(run: Run, entry: dict, truth: np.ndarray, own: np.ndarray, moving: np.ndarray) -> dict:
    """Curves of one map: with the truth, as expected, and with the true map of its very particle."""
    volume, mask = (read_map(run.results_dir("states") / entry[name])[0] for name in ("file", "mask"))
    halves = [read_map(run.results_dir("states") / name)[0] for name in entry["half_maps"]]
    region = read_map(run.results_dir("states") / MOVING_MASK)[0]
    curves = {
        "truth": fsc(volume, truth, mask),
        "truth_where_it_moves": fsc(volume, truth, moving),
        "own": fsc(volume, own, mask),
        "by_halves": expected_from_halves(fsc(*halves, mask)),
        "expected": np.array(entry["expected_fsc"]),
        "truth_moving": fsc(volume, truth, region),
        "by_halves_moving": expected_from_halves(fsc(*halves, region)),
        "expected_moving": np.array(entry["moving_expected_fsc"]),
    }
    rounded = {name: [round(float(v), 4) for v in curve] for name, curve in curves.items()}
    return {"label": entry["label"], "effective_particles": entry["effective_particles"], **rounded}


def calibration(states: list[dict]) -> list[dict]:
    """Shells of all states by the FSC that was expected, in steps of a tenth: how many, and the mean of both."""
    expected, truth = (np.array([state[name] for state in states])[:, 1:-1].ravel() for name in ("expected", "truth"))
    steps = np.clip((10 * expected).astype(int), 0, 9)
    return [
        {"shells": int(n), "expected": round(float(a), 4), "truth": round(float(b), 4)}
        for step in np.unique(steps)
        for n, a, b in [((steps == step).sum(), expected[steps == step].mean(), truth[steps == step].mean())]
    ]


def means(state: dict) -> dict:
    """Every curve of a state as its mean over the shells."""
    return {name: value if name in SCALARS else round(float(np.mean(value[1:-1])), 4) for name, value in state.items()}


def summary(states: list[dict]) -> dict:
    """Means over states and shells, and the worst state; of the whole map and of the moving region."""
    curves = {name: np.array([state[name] for state in states])[:, 1:-1] for name in states[0] if name not in SCALARS}
    result: dict = {f"fsc_{name}": round(float(curve.mean()), 4) for name, curve in curves.items()}
    for region in ("", "_moving"):
        for prediction in ("by_halves", "expected"):
            error = curves[f"{prediction}{region}"] - curves[f"truth{region}"]
            thirds = [round(float(part.mean()), 4) for part in np.array_split(error, 3, axis=1)]
            result[f"error_{prediction}{region}"] = {
                "mean": round(float(error.mean()), 4),
                "by_third_of_the_band": thirds,
                "mean_absolute": round(float(np.abs(error).mean()), 4),
                "worst_state": round(float(error.mean(1)[np.argmax(np.abs(error.mean(1)))]), 4),
            }
    return result


if __name__ == "__main__":
    main()
