"""Compile the kernels that most tests use, once, before several processes would each do it at the same time.

python -m cryodrgn_plugin.tests.compile_kernels of-trainings
python -m cryodrgn_plugin.tests.compile_kernels of-searches        beside it: they have few kernels in common
"""

import importlib
import sys
import tempfile
from pathlib import Path

FAST = ["--closed_form.iterations=2", "--closed_form.nodes=8"]
SEARCH = [
    "--ab_initio.rounds=2",
    "--ab_initio.refinements=1",
    "--ab_initio.most_climbs=0",
    "--ab_initio.images_per_round=40",
    "--poses.levels=1",
]
PAPER = ["--recipe=paper", "--training.epochs=1"]


def main(which: str) -> None:
    """Run what a user runs, on a few small images, in the environment of tests, which says where kernels are kept."""
    importlib.import_module("cryodrgn_plugin.tests.conftest")
    from cryodrgn_plugin.engine.cli.main import main as command
    from cryodrgn_plugin.engine.simulate import tiny_set

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        star = str(tiny_set(folder / "set", n=100, box=16, seed=1))
        commands = {
            "of-trainings": (
                ["train", star, "--out", str(folder / "fast"), *FAST],
                ["analyze", str(folder / "fast")],
                ["train", star, "--out", str(folder / "paper"), *PAPER],
            ),
            "of-searches": (
                ["abinitio", star, "--out", str(folder / "found"), "--homogeneous", *SEARCH],
                ["refine-poses", star, "--out", str(folder / "refined")],
                ["abinitio", star, "--out", str(folder / "moving"), *SEARCH, *FAST],
            ),
        }
        for words in commands[which]:
            if command(words):
                raise SystemExit(f"`{' '.join(words)}` failed.")


if __name__ == "__main__":
    main(sys.argv[1])
