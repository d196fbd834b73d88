"""`agreement`: what several searches for species agree on."""

import argparse

from ..agreement.agreement_options import AgreementOptions
from .option_flags import add_options, chosen_options
from .run_argument import add_run, opened

DESCRIPTION = """\
Compare the species that several runs of `abinitio --species` have found among the same particles, from different seeds
or from parts that overlap. Says which species they agree on, in how many runs each was found and on how many of its
particles all of them agree, which species of one run are two in another, and how alike the maps are once they are
brought into one frame and hand. Particles are known by rlnImageName.

examples
  cryodrgn-plugin agreement run_a run_b run_c
  cryodrgn-plugin agreement seed0 seed1 seed2 seed3 seed4 --least 0.8     one run in five may disagree on a particle
  cryodrgn-plugin agreement run_a run_b --out agreed
  cryodrgn-plugin refine-poses run_a/agreement/species_001.star --out refined

what comes out (docs/run_folder.md): under the first run, or in --out, particles.star, all particles with rlnClassNumber
and cryodrgnClassAgreement; species_001.star …, the particles of each species on which runs agree, with the poses of the
run whose map is best; species_001.mrc …, the mean of the maps; agreement.json; figures/agreement.png.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    parser.add_argument("others", nargs="*", metavar="RUN", help="other runs of the same particles")
    parser.add_argument(
        "--out",
        default="",
        metavar="DIR",
        help="folder for the results (default RUN/agreement). Outside of a run, image paths of its lists that do not "
        "start in the working folder are found with --root, which the commands that read them take",
    )
    add_options(parser, AgreementOptions)


def run(args: argparse.Namespace) -> int:
    from ..run import Run
    from .progress_bar import shown

    options = chosen_options(args, AgreementOptions)
    the_run, others = opened(args), [Run.open(other) for other in args.others]
    with the_run.working("agreement"), shown(the_run):
        from ..agreement.agreement_report import agreement

        agreement([the_run, *others], options, args.out)
    return 0
