"""`abinitio`: particles without poses in, a run folder with their poses out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import RECIPES, finds_poses, recipe_config
from ..errors import ConfigError
from .run_options import add_recipe, add_run_options, fit_run
from .setting_flags import add_settings, given_settings

if TYPE_CHECKING:
    from ..run import Run

DESCRIPTION = """\
Find the poses of particles (a RELION star file with CTF), and the maps they show. Angles and origins that the star file
may have are ignored.

what is looked for
  (nothing)        one molecule that moves: a latent space of --z_dim dimensions beside the poses
  --homogeneous    one rigid molecule: poses and one map. The quickest; start here.
  --species K      K kinds of molecule told apart while poses are found; auto lets the data choose how many.
                   With --homogeneous each is rigid.

recipes (each is a set of defaults; every setting below can be given on top)
{recipes}

examples
  cryodrgn-plugin abinitio particles.star --out run --homogeneous --seed 1
  cryodrgn-plugin abinitio particles.star --out quick --homogeneous --data.box 48 --data.max_particles 5000
  cryodrgn-plugin abinitio particles.star --out mixture --homogeneous --species auto
  cryodrgn-plugin abinitio particles.star --out run --resume                  go on where it stopped

what comes out (docs/run_folder.md): poses.star, the particles with rlnAngleRot/Tilt/Psi and rlnOriginX/YAngst, which
any 3D refinement takes; volumes/ab_initio/map_001.mrc, one map per species, each also in the other hand, which images
cannot tell apart; latents.npz, model.pt and metrics.csv as in every run. Where several species were looked for,
species/ has the particles, confidence and resolution of each, a sheet of their maps, and commands for the states of
each (docs/species.md). Look at it with `cryodrgn-plugin analyze`, improve the poses with
`cryodrgn-plugin refine-poses`, compare with known ones with `cryodrgn-plugin align`.
"""

RECIPE_SUMMARIES = {
    "abinitio": "hierarchical search against voxel maps, maps in closed form. Minutes on two cores.",
    "cryodrgn2": "hierarchical search against the coordinate network. Slow without a GPU.",
    "bnb": "branch and bound against the coordinate network. Slow without a GPU.",
    "ace": "a network reads poses off the images. For large sets, with a GPU.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    recipes = [name for name in RECIPES if finds_poses(name)]
    summaries = "\n".join(f"  {name:15}  {RECIPE_SUMMARIES.get(name, '')}" for name in recipes)
    parser.description = DESCRIPTION.format(recipes=summaries)
    parser.usage = (
        "%(prog)s PARTICLES.star --out RUN [--homogeneous] [--species K|auto] [--recipe NAME] "
        "[--resume | --overwrite] [--SETTING VALUE …]"
    )
    parser.add_argument("particles", metavar="PARTICLES.star", help="particles with CTF; poses are ignored")
    parser.add_argument("--homogeneous", action="store_true", help="rigid molecules: no latent space (z_dim 0)")
    parser.add_argument(
        "--species", metavar="K|auto", help="kinds of molecule told apart; auto lets the data choose (default 1)"
    )
    add_recipe(parser, recipes, default="abinitio")
    add_run_options(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    if args.recipe in RECIPES and not finds_poses(args.recipe):
        raise ConfigError(
            f"The recipe {args.recipe} takes the poses of the star file; use `cryodrgn-plugin train` for it, or choose "
            f"one of {', '.join(name for name in RECIPES if finds_poses(name))}."
        )
    overrides = {**what_is_looked_for(args), "particles": str(Path(args.particles))}
    config = recipe_config(args.recipe, overrides)
    sorts = config.recipe == "abinitio" and config.ab_initio.species != 1
    return fit_run(args, config, then=_leave_species if sorts else None)


def _leave_species(run: "Run") -> None:
    """What each species goes on with, unless it is there."""
    from .progress_bar import shown

    if run.has_results("species"):
        return
    with run.working("species"), shown(run):
        from ..selection.species_report import leave_species

        leave_species(run)


def what_is_looked_for(args: argparse.Namespace) -> dict[str, Any]:
    """The settings given, with those that --homogeneous and --species stand for.

    Raises ConfigError where they contradict each other.
    """
    settings: dict[str, Any] = given_settings(args)
    if args.homogeneous:
        if str(settings.get("z_dim", 0)) != "0":
            raise ConfigError(
                f"--homogeneous has no latent space, but z_dim is {settings['z_dim']}; leave one of them out."
            )
        settings["z_dim"] = 0
    if args.species is not None:
        if "ab_initio.species" in settings:
            raise ConfigError("--species and --ab_initio.species are the same; give one of them.")
        settings["ab_initio.species"] = _species(args.species)
    return settings


def _species(word: str) -> int:
    if word == "auto":
        return 0
    if not word.isdecimal() or len(word) > 9 or int(word) < 1:
        raise ConfigError(f"--species is {word!r}; give a number of at least 1, or auto.")
    return int(word)
