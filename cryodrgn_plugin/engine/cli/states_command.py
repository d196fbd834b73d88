"""`states`: maps of states with half-maps, an honest resolution, local resolution and sharpening, in RUN/states."""

import argparse

from ..states.state_options import StatesOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Make the maps of states of a finished run and say how good each is: half-maps, their FSC, the FSC with the true map
that can be expected, local resolution, a sharpened map, and how many particles each rests on. States are the separate
ones that training found, or else centres of clusters, unless particles or points are named.

Half-maps of a heterogeneous run agree with each other more than with the truth, for they share latents and prior. The
expected FSC is measured with maps that do not: from the nearest particles of the other half-set. It still does not see
what is blurred because no image says better where its particle lies.

examples
  cryodrgn-plugin states run
  cryodrgn-plugin states run --particles 0,17,42                 at the latents of these rows of the star file (from 0)
  cryodrgn-plugin states run --points path.txt --method decoder  without the regression's maps
  cryodrgn-plugin states run --states 4 --mask mask.mrc --b_factor_ang2 60 --lowpass_ang 4

what comes out (docs/run_folder.md): RUN/states/states.json names everything: state_001.mrc with _half1, _half2, _mask,
_locres and _sharpened, the same of regression_001, …, figures/*.png, states.cxc for ChimeraX.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, StatesOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    the_run = run_to_look_at(args)
    options = chosen_options(args, StatesOptions)
    with the_run.working("states"), shown(the_run):
        from ..states.states_report import make_states

        make_states(the_run, options)
    return 0
