"""`validate`: whether what a run shows is real, on one page with a verdict in plain words."""

import argparse

from ..validation.validation_options import ValidateOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run, opened

DESCRIPTION = """\
Ask of a finished run whether what it shows is real. The whole training is repeated on two halves of the particles that
share no image: do the states of one half explain the images of the other better than chance, and do both place each
particle alike? Does the latent space predict poses, defocus or micrographs? How many particles are in each state, and
how sure is that? Do other runs agree? Takes about as long as two trainings.

examples
  cryodrgn-plugin validate run
  cryodrgn-plugin validate run --states 2 --also seed1 seed2 network
  cryodrgn-plugin validate run --particles 20000               halves of 10,000; all particles are placed
  cryodrgn-plugin validate run --resume                        go on after a stop or a kill
  cryodrgn-plugin validate run --halves no                     leakage, populations and consensus only, in seconds

what comes out (docs/run_folder.md): RUN/validation/validation.html, one page that can be sent to others;
validation.json; confidence.npz, which `select --where "confidence > 0.8"` reads.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on with the halves that a stopped validation has trained, if they fit"
    )
    parser.add_argument("--also", nargs="+", default=[], metavar="RUN", help="other runs of the same particles")
    add_options(parser, ValidateOptions)


def run(args: argparse.Namespace) -> int:
    from ..run import Run
    from .progress_bar import shown

    options = chosen_options(args, ValidateOptions)
    the_run, others = opened(args), [Run.open(other) for other in args.also]
    with the_run.working("validation"), shown(the_run):
        from ..validation.validation_report import validate

        validate(the_run, options, others, resume=args.resume)
    return 0
