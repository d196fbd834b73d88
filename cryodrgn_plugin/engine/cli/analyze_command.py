"""`analyze`: what a run has found, as clusters, maps, particle lists and figures in RUN/analysis."""

import argparse

from ..analysis.analysis_options import AnalysisOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run, opened

DESCRIPTION = """\
Look at a finished run: principal components, UMAP, k-means clusters with a real particle at each centre, maps at the
centres, along the components and along the curve that was found, their resolution from half-maps, particle lists that
return to RELION with every column, and figures.

examples
  cryodrgn-plugin analyze run
  cryodrgn-plugin analyze run --clusters 6 --components 3
  cryodrgn-plugin analyze run --volumes no --umap no        latents and figures only, in seconds

what comes out (docs/run_folder.md): RUN/analysis/analysis.json names everything: volumes/ (kmeans, pc1, …, curve),
particles.star with rlnClassNumber and the latents, clusters/*.star, figures/*.png, volumes.cxc for ChimeraX.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, AnalysisOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown

    the_run = opened(args)
    options = chosen_options(args, AnalysisOptions)
    with the_run.working("analysis"), shown(the_run):
        from ..analysis.analysis_report import analyze

        analyze(the_run, options)
    return 0
