"""`trajectory`: maps and a movie along a path through the latent space, in RUN/trajectories/NAME."""

import argparse

from ..landscape.landscape_options import TrajectoryOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run, opened

DESCRIPTION = """\
Maps along a path through the latent space of a finished run, evenly spaced, with a movie and a ChimeraX script: along a
principal component, straight between particles, from particle to neighbouring particle (Dijkstra), where particles are
densest, or through points of your own.

examples
  cryodrgn-plugin trajectory run                                     between the ends of PC1, from particle to particle
  cryodrgn-plugin trajectory run --kind density --anchors 12,5000,77
  cryodrgn-plugin trajectory run --kind density --space volume       neighbours by volume; needs `landscape` first
  cryodrgn-plugin trajectory run --kind pc --component 2 --steps 30
  cryodrgn-plugin trajectory run --kind points --points z.txt --name mine --half_maps yes

what comes out (docs/run_folder.md): RUN/trajectories/NAME/trajectory.json names everything: volumes/path/vol_000.mrc,
…, movie.gif, path.cxc, path.npz with the latents, figures/*.png.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, TrajectoryOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown

    the_run = opened(args)
    options = chosen_options(args, TrajectoryOptions)
    with the_run.working("trajectory"), shown(the_run):
        from ..landscape.trajectory import trajectory

        trajectory(the_run, options)
    return 0
