"""How right the time is that `abinitio` says is left, from before its first round on.

    python benchmarks/time_left.py SET/particles.star --species auto --out benchmarks/results/time_left.json
    python benchmarks/time_left.py SET/particles.star --species 6 --set-value ab_initio.rounds=8

The search runs as the command runs it. `told` is what was said to be left, `true` what was: seconds until the last
round ended, at the start and after a tenth, a quarter, half and three quarters of the time. Both are elapsed seconds,
so other work on the machine shows.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from hardware import hardware

from cryodrgn_plugin.engine.ab_initio.ab_initio_recipe import AbInitio
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

MOMENTS = (0.0, 0.1, 0.25, 0.5, 0.75)


class Listener:
    """A reporter that remembers when it was told what is left."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []

    def line(self, text: str) -> None:
        """Lines are of no interest here."""

    def step(self, stage: str, done: int, total: int, values: dict[str, float], left_s: float | None = None) -> None:
        if stage == "round" and left_s is not None:
            self.told.append((time.perf_counter(), left_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("particles", type=Path)
    parser.add_argument("--species", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in args.set_value)
    species = 0 if args.species == "auto" else int(args.species)
    settings |= {"particles": str(args.particles), "z_dim": 0, "seed": args.seed, "ab_initio.species": species}
    figures = {"set": args.particles.parent.name, "species": args.species, "set_value": args.set_value}
    figures |= measured(recipe_config("abinitio", settings)) | {"hardware": hardware()}
    print(json.dumps(figures, indent=1))
    if args.out:
        report = json.loads(args.out.read_text()) if args.out.exists() else []
        args.out.write_text(json.dumps([*report, figures], indent=1) + "\n")


def measured(config) -> dict:
    """What was told and what was true at each moment of a search."""
    listener, first = Listener(), []
    left_s = AbInitio.left_s

    def noted(recipe, progress) -> float:
        left = left_s(recipe, progress)
        first.append((time.perf_counter(), left))
        return left

    AbInitio.left_s = noted
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.create(Path(scratch) / "run", config)
        run.reporter = listener
        with run.working():
            fit(run, config)
    told = [first[0], *listener.told]
    began, ended = told[0][0], told[-1][0]
    moments = []
    for share in MOMENTS:
        when, left = min(told, key=lambda pair: abs(pair[0] - began - share * (ended - began)))
        moments.append({"share": share, "told": round(left, 1), "true": round(ended - when, 1)})
    for moment in moments:
        moment["ratio"] = round(moment["told"] / max(moment["true"], 1e-3), 2)
    return {"rounds": len(listener.told), "seconds": round(ended - began, 1), "moments": moments}


if __name__ == "__main__":
    main()
