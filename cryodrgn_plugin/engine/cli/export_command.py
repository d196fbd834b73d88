"""`export`: the particles of a run with their latents and classes, as other programs read them."""

import argparse

from ..selection.export_options import ExportOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Write the particles of a finished run for cryoSPARC: a .cs file with the latent coordinates as components, as its own 3D
Variability Analysis leaves them, and the result group (.csg) with which *Import Result Group* takes it. With an
analysis, each class is a file and a group too.

For cryoDRGN: poses.pkl and ctf.pkl of all images of the particle file, as the run has them, which cryoDRGN takes beside
that file; ind.pkl with the particles of the run, z.pkl with their latents, and class_001.pkl, … with those of a class.

examples
  cryodrgn-plugin export run
  cryodrgn-plugin export run --classes no
  cryodrgn-plugin export run --program cryodrgn
  cryodrgn-plugin export run --only rows.txt         those particles only

what comes out (docs/run_folder.md): RUN/exports/cryosparc/particles.cs and .csg, class_001.cs and .csg, …, export.json;
RUN/exports/cryodrgn/poses.pkl, ctf.pkl, ind.pkl, z.pkl, class_001.pkl, …, export.json. Particles that came from
cryoSPARC keep their uid and every field; those of star files are given both.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, ExportOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    options = chosen_options(args, ExportOptions)
    the_run = run_to_look_at(args)
    with the_run.working("export"), shown(the_run):
        from ..selection.exported import export

        export(the_run, options)
    return 0
