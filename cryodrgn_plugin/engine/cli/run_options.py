"""What the commands that make a run share: where it goes, whether it goes on, and the training itself."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config import RunConfig


def add_recipe(parser: argparse.ArgumentParser, names: Sequence[str], default: str) -> None:
    """--recipe, offering `names`."""
    parser.add_argument("--recipe", default=default, metavar="|".join(names), help=f"set of defaults ({default})")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """--out, --resume or --overwrite, and --until-epoch."""
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the run; made if absent")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint of RUN; starts it when there is none"
    )
    again.add_argument("--overwrite", action="store_true", help="remove the run that is in RUN and start anew")
    parser.add_argument(
        "--until-epoch", type=int, metavar="N", help="pause after this epoch (exit code 3); --resume goes on from there"
    )


def fit_run(args: argparse.Namespace, config: RunConfig) -> int:
    """Make or take up the run that `args` name, and train it. Returns the exit code."""
    from ..run import Run
    from ..run_lock import lock
    from ..run_status import TRAIN
    from .progress_bar import shown

    command = shlex.join(["cryodrgn-plugin", *sys.argv[1:]])
    with lock(Path(args.out), TRAIN):
        run = Run.create(args.out, config, resume=args.resume, overwrite=args.overwrite, command=command)
        if args.resume and run.status == "finished" and run.latents_file.exists():
            run.log(f"{run.path} is finished; there is nothing to resume.")
            return 0
        with run.working(TRAIN), shown(run):
            from ..recipes import fit

            fit(run, config, resume=args.resume, until_epoch=args.until_epoch)
    return 0
