"""`analyze`: what a run has found, as clusters, maps, particle lists and figures in RUN/analysis."""

import argparse

from ..analysis.analysis_options import AnalysisOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Look at a run, finished or as its last checkpoint has it: principal components, UMAP, classes, a map of each, maps along
the components and along the curve that was found, their resolution from half-maps, particle lists that return to
RELION with every column, and figures. Classes are the separate states that training found, each particle with the
probability of its own, or else k-means clusters of the latents with a real particle at each centre.

examples
  cryodrgn-plugin analyze run
  cryodrgn-plugin analyze run --clusters 6 --components 3
  cryodrgn-plugin analyze run --group_by clusters           k-means even where training found separate states
  cryodrgn-plugin analyze run --volumes no --umap no        latents and figures only, in seconds

A run whose focus has several regions is looked at as a whole, and then each region, which is the run RUN/regions/NAME.

what comes out (docs/run_folder.md): RUN/analysis/analysis.json names everything: volumes/ (states or kmeans, pc1, …,
curve), particles.star with rlnClassNumber and the latents, clusters/*.star, figures/*.png, volumes.cxc for ChimeraX.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, AnalysisOptions)


def run(args: argparse.Namespace) -> int:
    from ..run import Run
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    the_run = run_to_look_at(args)
    options = chosen_options(args, AnalysisOptions)
    with the_run.working("analysis"), shown(the_run):
        from ..analysis.analysis_report import analyze

        analyze(the_run, options)
    for folder in the_run.region_dirs:
        region = Run.open(folder, particles_at=args.particles_at)
        with region.working("analysis"), shown(region):
            analyze(region, options)
    return 0
