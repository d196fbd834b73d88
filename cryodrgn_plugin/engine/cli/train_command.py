"""`train`: particles with poses in, a run folder out."""

import argparse
from pathlib import Path

from ..config import RECIPES, finds_poses, recipe_config
from .run_options import add_recipe, add_run_options, fit_run
from .setting_flags import add_settings, given_settings

DESCRIPTION = """\
Find the latent space of a set of particles with poses and CTF (a RELION star file), and the maps of its states.

recipes (each is a set of defaults; every setting below can be given on top)
  fast         closed forms throughout, no network. Minutes on two cores. Start here.
  paper        structural bases trained end to end by sparse Fourier backpropagation. Best with a GPU.
  cryodrgn     the coordinate network of cryoDRGN. For comparison, or very continuous motion; slow without a GPU.
  homogeneous  one map, no latent space. A check that poses, CTF and pixel size are right.

examples
  cryodrgn-plugin train particles.star --out run
  cryodrgn-plugin train particles.star --out quick --data.box 64 --data.max_particles 5000     a first look
  cryodrgn-plugin train particles.star --out big --recipe paper --device cuda:0 --z_dim 8 --seed 1
  cryodrgn-plugin train particles.star --out run --resume                                      go on where it stopped
  CRYODRGN_PLUGIN_PROCESSES=gpu cryodrgn-plugin train particles.star --out run --recipe paper       on all GPUs

what comes out (docs/run_folder.md): latents.npz with `z` in the order of the star file's rows, model.pt, metrics.csv,
run.json with the status. Look at it with `cryodrgn-plugin analyze`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s PARTICLES.star --out RUN [--recipe NAME] [--resume | --overwrite] [--SETTING VALUE …]"
    parser.add_argument("particles", metavar="PARTICLES.star", help="particles with poses and CTF")
    add_recipe(parser, [name for name in RECIPES if not finds_poses(name)], default="fast")
    add_run_options(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    config = recipe_config(args.recipe, {**given_settings(args), "particles": str(Path(args.particles))})
    return fit_run(args, config)
