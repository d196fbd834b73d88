"""Whether validation finds heterogeneity where it is and none where it is not, and whether its intervals hold.

    python benchmarks/validation.py --out benchmarks/results/validation.json
    python benchmarks/validation.py --seeds 0 --only one_state

Sets of adenylate kinase, 32², SNR 0.1 over the box, made anew for every seed (`planted_sets.py`): two states (open and
closed, 70 : 30), the same at SNR 0.04, the way between them, and one state: as it is, with a contrast that varies by
20 %, and with poses that are wrong by 5°. And a complex that lacks proteins and adenylate kinase closing, 48², as
flawed as real images are and as faint (SNR 0.05, twice as many particles) or fainter (0.02, three times), beside the
most frequent state alone. Each is trained by the fast recipe and validated, one state also by the paper's network.
Every seed is reported.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware
from planted_sets import continuous, real_parts, two_states, with_wrong_poses

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.engine.validation.validation_report import validate

ONE = (1.0,)
CASES = {
    "two_states": lambda *where: two_states(*where, 0.1),
    "two_states_faint": lambda *where: two_states(*where, 0.04),
    "continuous": lambda *where: continuous(*where, 0.1),
    "one_state": lambda *where: two_states(*where, 0.1, ONE),
    "one_state_contrast": lambda *where: two_states(*where, 0.1, ONE, contrast_sd=0.2),
    "one_state_network": lambda *where: two_states(*where, 0.1, ONE),
    "one_state_wrong_poses": lambda *where: with_wrong_poses(two_states(*where, 0.1, ONE), 5.0, where[2]),
    "real_parts": lambda folder, n, seed: real_parts(folder, 2 * n, seed, 0.05),
    "real_one_state": lambda folder, n, seed: real_parts(folder, 2 * n, seed, 0.05, one_state=True),
    "real_parts_faint": lambda folder, n, seed: real_parts(folder, 3 * n, seed, 0.02),
    "real_motion": lambda folder, n, seed: real_parts(folder, 2 * n, seed, 0.05, molecule="real_adk"),
    "real_motion_one_state": lambda folder, n, seed: real_parts(folder, 2 * n, seed, 0.05, True, "real_adk"),
}
"""Name to a maker of the set, called with folder, particles and seed."""
NETWORK = {"recipe": "paper", "z_dim": 4, "decoder.n_bases": 4, "training.epochs": 5}
"""Settings of the case one_state_network: a network puts noise into its latent space where there is nothing else."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--particles", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {"particles": args.particles, "box": 32, "hardware": hardware(), "cases": {}}
    for case in args.only:
        report["cases"][case] = [one(case, args.particles, seed) for seed in args.seeds]
        print(json.dumps({case: report["cases"][case]}, indent=1), flush=True)
        if args.out:
            args.out.write_text(json.dumps(report, indent=1) + "\n")


def one(case: str, n: int, seed: int) -> dict:
    """Simulate, train and validate with one seed."""
    with tempfile.TemporaryDirectory() as folder:
        star = CASES[case](Path(folder) / "set", n, seed)
        state = np.load(star.with_name("truth.npz"))["state"]
        settings = dict(NETWORK) if case == "one_state_network" else {"recipe": "fast"}
        config = recipe_config(settings.pop("recipe"), {**settings, "particles": str(star), "seed": seed})
        run = Run.create(Path(folder) / "run", config)
        began = time.process_time()
        with run.working():
            fit(run, config)
        trained = time.process_time()
        index = validate(run, ValidateOptions(states=2, seed=seed, nodes=20))
        found = json.loads(index.read_text())
        confidence = np.load(index.with_name("confidence.npz"))["confidence"]
    true = np.sort(np.bincount(state) / len(state))[::-1]
    return {
        "seed": seed,
        "cpu_seconds": {"train": round(trained - began, 1), "validate": round(time.process_time() - trained, 1)},
        "outcome": found["verdict"]["outcome"],
        "headline": found["verdict"]["headline"],
        "sensitivity": found["sensitivity"],
        "leaks": {leak["name"]: [leak["share"], leak["nearby"]] for leak in found["leakage"]},
        "heterogeneity": found["heterogeneity"],
        "halves": found["halves"],
        "median_confidence": round(float(np.median(confidence)), 3),
        "true_shares": [round(float(share), 4) for share in true],
        "populations": held(found["populations"], true) if len(true) == 2 else None,
    }


def held(rows: list[dict], true: np.ndarray) -> dict:
    """The populations that were found, the largest first, and whether the interval of each holds the true one."""
    answer = {}
    for kind in ("counted", "likely"):
        found = sorted((row[kind] for row in rows), reverse=True)
        answer[kind] = found
        answer[f"{kind}_holds"] = [
            bool(low <= share <= high) for (_, low, high), share in zip(found, true, strict=True)
        ]
    return answer


if __name__ == "__main__":
    main()
