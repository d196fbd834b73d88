"""The run that a command looks at, and where its particles are if they were moved after training."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..run import Run


def add_run(parser: argparse.ArgumentParser) -> None:
    """RUN and --particles-at."""
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--particles-at",
        default="",
        metavar="PLACE",
        help="where the particles are, if they were moved after training: their star file, or the folder that it "
        "or its stacks lie in; the run remembers it",
    )


def opened(args: argparse.Namespace) -> "Run":
    """The run that the arguments name."""
    from ..run import Run

    return Run.open(args.run, particles_at=args.particles_at)
