"""`atoms`: an atomic model in the maps of a run, with parts that move and come and go, in RUN/atoms."""

import argparse

from ..atomic_motion.atoms_options import AtomsOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run

DESCRIPTION = """\
Lay an atomic model into the maps of a finished run and follow it through the latent space: where it lies (both hands
are tried, against the model turned at random), which rigid parts it has, how they turn and move, and how much of each
is there. Parts are found from the data: beads that keep their distances, in as many groups as explain maps of held-out
particles.

Two more things read the images. The map of all particles with the motion undone shows each part in its own frame, with
half-maps that share neither images nor motions. And the check of the model says whether maps that know nothing of it
agree: a model that is wrong can be laid into any map.

examples
  cryodrgn-plugin atoms run --model model.cif
  cryodrgn-plugin atoms run --model model.pdb --maps 24          smaller steps, for a part that turns far
  cryodrgn-plugin atoms run --model model.cif --corrected no --bias no    maps alone, no images

what comes out (docs/run_folder.md): RUN/atoms/atoms.json names everything: trajectory.cif with a model for each map and
B-factors from the mobility, volumes/atoms/vol_000.mrc, …, corrected.mrc with half-maps and mask, motion.npz with turns,
moves and occupancies of every particle, figures/*.png, atoms.cxc for ChimeraX.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    add_options(parser, AtomsOptions)


def run(args: argparse.Namespace) -> int:
    from .progress_bar import shown
    from .run_to_look_at import run_to_look_at

    the_run = run_to_look_at(args)
    options = chosen_options(args, AtomsOptions)
    with the_run.working("atoms"), shown(the_run):
        from ..atomic_motion.atoms_report import fit_atoms

        fit_atoms(the_run, options)
    return 0
