"""`stop`: a training that goes on ends, at once or with what it has found so far."""

import argparse

DESCRIPTION = """\
Ask the training that is going on in RUN to stop, from any machine that sees its folder. It looks for the request every
half second between batches, or after each step of a closed form.

  stop RUN          stops at once, with a checkpoint, and can be resumed
  stop RUN --keep   ends with the epoch or step that it is in: latents and maps are those of then, and can be looked at,
                    analysed and taken on as those of any training. `train … --resume` goes on with it.

examples
  cryodrgn-plugin info run                           how far is it?
  cryodrgn-plugin stop run --keep                    far enough
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--keep", action="store_true", help="end with the epoch or step, and leave what there is then")


def run(args: argparse.Namespace) -> int:
    from ..run import Run

    Run.open(args.run).ask_to_stop(args.keep)
    print(f"{args.run} was asked to {'end early' if args.keep else 'stop'}.")
    return 0
