"""`train`: particles with poses in, a run folder out."""

import argparse
import shlex
import sys
from pathlib import Path

from ..config import RECIPES, recipe_config
from .settings import add_settings, given_settings

DESCRIPTION = """\
Find the latent space of a set of particles with poses and CTF (a RELION star file), and the maps of its states.

recipes (each is a set of defaults; every setting below can be given on top)
  fast         closed forms first, a short network after. Minutes on two cores. Start here.
  paper        structural bases trained end to end by sparse Fourier backpropagation. Best with a GPU.
  cryodrgn     the coordinate network of cryoDRGN. For comparison, or very continuous motion; slow without a GPU.
  homogeneous  one map, no latent space. A check that poses, CTF and pixel size are right.

examples
  cryodrgn-plugin train particles.star --out run
  cryodrgn-plugin train particles.star --out quick --data.box 64 --data.max_particles 5000     a first look
  cryodrgn-plugin train particles.star --out big --recipe paper --device cuda:0 --z_dim 8 --seed 1
  cryodrgn-plugin train particles.star --out run --resume                                      go on where it stopped

what comes out (docs/run_folder.md): latents.npz with `z` in the order of the star file's rows, model.pt, metrics.csv,
run.json with the status. Look at it with `cryodrgn-plugin analyze`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s PARTICLES.star --out RUN [--recipe NAME] [--resume | --overwrite] [--SETTING VALUE …]"
    parser.add_argument("particles", metavar="PARTICLES.star", help="particles with poses and CTF")
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the run; made if absent")
    parser.add_argument("--recipe", default="fast", metavar="|".join(RECIPES), help="set of defaults (fast)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint of RUN; starts it when there is none"
    )
    again.add_argument("--overwrite", action="store_true", help="remove the run that is in RUN and start anew")
    parser.add_argument(
        "--until-epoch", type=int, metavar="N", help="pause after this epoch (exit code 3); --resume goes on from there"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    config = recipe_config(args.recipe, {**given_settings(args), "particles": str(Path(args.particles))})
    from ..run import Run
    from .progress import shown

    command = shlex.join(["cryodrgn-plugin", *sys.argv[1:]])
    the_run = Run.create(args.out, config, resume=args.resume, overwrite=args.overwrite, command=command)
    if args.resume and the_run.status == "finished" and the_run.latents_file.exists():
        the_run.log(f"{the_run.path} is finished; there is nothing to resume.")
        return 0
    with the_run.working("train"), shown(the_run):
        from ..training.recipes import fit

        fit(the_run, config, resume=args.resume, until_epoch=args.until_epoch)
    return 0
