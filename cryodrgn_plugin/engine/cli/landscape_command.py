"""`landscape`: every particle in the space of volumes, its clusters, states and populations, in RUN/landscape."""

import argparse

from ..landscape.landscape_options import LandscapeOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Place every particle in the space of volumes and not of latents, where distances mean something: principal components
of the masked volumes, the separate states that training found or else clusters that keep rare states apart and mixture
states, populations with intervals, and −ln(density). Exact and quick for runs made of bases (fast, paper); others get a
sketch of volumes and a network.

examples
  cryodrgn-plugin landscape run
  cryodrgn-plugin landscape run --mask moving --clusters 6       only where the volumes differ
  cryodrgn-plugin landscape run --mask mask.mrc --walks 3
  cryodrgn-plugin landscape run --group_by clusters              what lies together, not the states of the training
  cryodrgn-plugin landscape again --match run                    clusters numbered as in another run
  cryodrgn-plugin landscape run --volumes no                     places, clusters and figures only, in seconds

what comes out (docs/run_folder.md): RUN/landscape/landscape.json names everything: landscape.npz with the components of
every particle, volumes/ (clusters, states, pc1, …), particles.star, clusters/*.star, figures/*.png, landscape.cxc.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, LandscapeOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    the_run = run_to_look_at(args)
    options = chosen_options(args, LandscapeOptions)
    with the_run.working("landscape"), shown(the_run):
        from ..landscape.landscape_report import landscape

        landscape(the_run, options)
    return 0
