"""What the commands that make a run share: where it goes, whether it goes on, and the training itself."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..config import RunConfig

if TYPE_CHECKING:
    from ..ranks import Ranks
    from ..run import Run


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


def fit_run(args: argparse.Namespace, config: RunConfig, then: "Callable[[Run], None] | None" = None) -> int:
    """Make or take up the run that `args` name, and train it. Returns the exit code.

    `then` is called with the finished run, also where it was finished before; of several processes the first does so.
    """
    from ..ranks import joined

    with joined() as ranks:
        if ranks.own:
            _fit_beside(args, config, ranks)
            return 0
        run = _fit_first(args, config, ranks)
    if then is not None:
        then(run)
    return 0


def _fit_first(args: argparse.Namespace, config: RunConfig, ranks: "Ranks") -> "Run":
    from ..run import Run
    from ..run_lock import lock
    from ..run_status import TRAIN
    from .progress_bar import shown

    command = shlex.join(["cryodrgn-plugin", *sys.argv[1:]])
    with lock(Path(args.out), TRAIN):
        run = Run.create(args.out, config, resume=args.resume, overwrite=args.overwrite, command=command)
        if args.resume and run.status == "finished" and run.latents_file.exists():
            run.log(f"{run.path} is finished; there is nothing to resume.")
            ranks.any(True)
            return run
        ranks.any(False)
        with run.working(TRAIN), shown(run):
            from ..recipes import fit

            fit(run, config, resume=args.resume, until_epoch=args.until_epoch)
    return run


def _fit_beside(args: argparse.Namespace, config: RunConfig, ranks: "Ranks") -> None:
    """The same training in a folder of its own that nobody looks at."""
    from ..borrowing import copy_training
    from ..run import Run

    if ranks.any(False):
        return
    with TemporaryDirectory(prefix="cryodrgn-rank-") as place:
        folder = Path(place) / "run"
        if args.resume:
            copy_training(args.out, folder)
        run = Run(folder, config) if args.resume else Run.create(folder, config)
        with run.working():
            from ..recipes import fit

            fit(run, config, resume=args.resume, until_epoch=args.until_epoch)
