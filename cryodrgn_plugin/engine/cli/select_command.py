"""`select`: the particles of a run that go on, as lists that go back where they came from."""

import argparse

from ..selection.selection_options import SelectOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Choose particles of a finished run, and write those chosen and those left out as particle files of the same kind as the
one the run was made from: every column as it was, byte for byte, in the same order. Choices are combined: a particle is
taken when all of them take it.

examples
  cryodrgn-plugin select run --clusters 1,3
  cryodrgn-plugin select run --where "z1 > 0 and confidence > 0.8" --name sure
  cryodrgn-plugin select run --junk --name clean         what the maps explain; train again on it, and once more
  cryodrgn-plugin select run --lasso drawn.json --original Extract/job012/particles.star
  cryodrgn-plugin select run --listed rows.txt           star rows that were chosen elsewhere, one per line
  cryodrgn-plugin select run --random 10000 --clusters 2-5

what comes out (docs/run_folder.md): RUN/selections/NAME/selected.star and rejected.star (selected.cs for cryoSPARC),
selection.json with the counts, selection.npz with scores, selection.png.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, SelectOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    options = chosen_options(args, SelectOptions)
    the_run = run_to_look_at(args)
    with the_run.working("select"), shown(the_run):
        from ..selection.selection_report import select

        select(the_run, options)
    return 0
