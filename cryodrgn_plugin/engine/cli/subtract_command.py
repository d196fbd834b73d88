"""`subtract`: particle images without what lies outside of a mask."""

import argparse
from pathlib import Path

from ..selection.subtract_options import SubtractOptions
from .option_flags import add_options, chosen_options

DESCRIPTION = """\
Take off the images of a finished run what its maps show outside of a mask, so that any program sees only what lies
inside: for a classification, a refinement of a small part, or another training. Each image loses the projection of the
map at its own latent coordinates, with its pose, contrast and CTF; noise and grey values stay.

The map knows as much of what moves outside as the run does. A run without a focus knows its large motions: subtract
with that one, and look at the part with the images that are left.

examples
  cryodrgn-plugin subtract run --mask part.mrc --out subtracted
  cryodrgn-plugin subtract run --mask=-20,14,-42,30 --out subtracted     a sphere of 30 Å
  cryodrgn-plugin train subtracted/particles.star --out again --closed_form.focus part.mrc

what comes out (docs/run_folder.md): particles.mrcs, particles.star with every column as it was but the image name,
subtraction.json, and figures/views.png with what stays and what is taken off.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the particles; made if absent")
    add_options(parser, SubtractOptions)


def run(args: argparse.Namespace) -> int:
    from ..run import Run
    from .progress_bar import shown

    options = chosen_options(args, SubtractOptions)
    the_run = Run.open(args.run)
    with the_run.working("subtract"), shown(the_run):
        from ..selection.subtraction import subtract

        star = subtract(the_run, Path(args.out), options)
        the_run.reporter.line(f"The images without what lies outside of the mask are in {star}.")
    return 0
